# SPDX-License-Identifier: ISC
"""Offers, reliable ringing, early media and hold against SIPp (scenarios of
our own) and baresip."""
import json
import os
import socket

import bb
import peers
from test_baresip import DOMAIN, OURS, THEIRS, world

SDP = """
      v=0
      o=sipp 1 %(version)d IN IP4 127.0.0.1
      s=-
      c=IN IP4 %(addr)s
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
      a=%(dir)s
"""


def sdp(version=1, direction="sendrecv", addr="127.0.0.1"):
    return SDP % {"version": version, "dir": direction, "addr": addr}


def scenario(t, name, *steps):
    path = os.path.join(t.dir, name + ".xml")
    bb.write(path, '<?xml version="1.0" encoding="ISO-8859-1" ?>\n'
             '<scenario name="%s">\n%s\n<Reference variables="rest"/>\n'
             '</scenario>\n' % (name, "\n".join(steps)))
    return path


def send(head, body="", attrs=""):
    text = head.strip().replace("\n    ", "\n")
    lines = ["      " + x.strip() for x in text.splitlines()]
    if body:
        lines.append("      Content-Type: application/sdp")
    lines.append("      Content-Length: [len]")
    return ("<send %s><![CDATA[\n\n%s\n%s\n\n]]></send>"
            % (attrs, "\n".join(lines), body or ""))


def recv(what, *checks, **attrs):
    """`checks`: (regular expression, header or None for the whole message,
    variable)."""
    kind = "response" if what.isdigit() else "request"
    acts = []
    for expr, header, var in checks:
        where = ('search_in="hdr" header="%s:"' % header) if header \
            else 'search_in="msg"'
        acts.append('<ereg regexp="%s" %s check_it="true" assign_to="%s"/>'
                    % (expr, where, var or "rest"))
    more = " ".join('%s="%s"' % kv for kv in attrs.items())
    return '<recv %s="%s" %s><action>%s</action></recv>' % (
        kind, what, more, "\n".join(acts)) if acts else \
        '<recv %s="%s" %s/>' % (kind, what, more)


OK = """SIP/2.0 200 OK
    [last_Via:]
    [last_From:]
    [last_To:]
    [last_Call-ID:]
    [last_CSeq:]
    Contact: <sip:sipp@[local_ip]:[local_port]>
    Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE"""

TAG = ";tag=[pid]SIPp[call_number]"


def answer(text, tag=False):
    return text.replace("[last_To:]", "[last_To:]" + TAG) if tag else text


def endpoint(t, **settings):
    s = {"audio.device": "tone:440", "sip.allow": "127.0.0.0/8",
         "sip.listen.udp": "127.0.0.1:0", "audio.codecs": "pcmu"}
    s.update(settings)
    return t.endpoint(settings=s).start()


def events(e):
    """All events that the endpoint still keeps."""
    seen, data = [], b""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(e.socket)
        s.settimeout(0.5)
        s.sendall(b'{"id":1,"cmd":"events","args":{"since":0}}\n')
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    break
                data += more
        except socket.timeout:
            pass
    for line in data.splitlines():
        x = json.loads(line)
        if "event" in x:
            seen.append(x)
    return seen


def named(e, name):
    return [x for x in events(e) if x["event"] == name]


def judge(t, u, what):
    code = u.wait(20)
    t.ok(code == 0 and u.counts() == (1, 0), what,
         bb.read(u.dir + "/errors.log")[:3000])


@bb.test(40)
def sipp_answers_with_prack_and_update(t):
    """100rel with early media, UPDATE before the answer, and our hold."""
    xml = scenario(
        t, "uas_prack",
        recv("INVITE", (".*", "From", "from"), (".*", "To", "to"),
             (".*", "Via", "via"), ("sip:[^&gt;]*", "Contact", "target"),
             ("100rel", "Supported", None), ("PRACK", "Allow", None)),
        '<nop><action><strcmp assign_to="rest" variable="from" '
        'value=""/></action></nop>',
        send(answer(OK.replace("200 OK", "183 Session Progress"), True)
             + "\nRequire: 100rel\nRSeq: 7", sdp()),
        recv("PRACK", ("7 1 INVITE", "RAck", None)),
        send(OK),
        send("""UPDATE [$target] SIP/2.0
             Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
             From:[$to]%s
             To:[$from]
             Call-ID: [call_id]
             CSeq: 1 UPDATE
             Contact: <sip:sipp@[local_ip]:[local_port]>
             Max-Forwards: 70""" % TAG, sdp(2)),
        recv("200", ("m=audio", None, None)),
        send("""SIP/2.0 200 OK
             Via:[$via]
             From:[$from]
             To:[$to]%s
             Call-ID: [call_id]
             CSeq: 1 INVITE
             Contact: <sip:sipp@[local_ip]:[local_port]>
             Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE""" % TAG),
        recv("ACK"),
        recv("INVITE", ("a=sendonly", None, None)),
        send(OK, sdp(3, "recvonly")),
        recv("ACK"),
        recv("INVITE", ("a=sendrecv", None, None)),
        send(OK, sdp(4)),
        recv("ACK"),
        recv("INVITE", ("a=sendonly", None, None)),
        send(OK.replace("200 OK", "488 Not Acceptable Here")),
        recv("ACK"),
        # their new offer shows what ours is: not the one that was refused
        send("""INVITE [$target] SIP/2.0
             Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
             From:[$to]%s
             To:[$from]
             Call-ID: [call_id]
             CSeq: 2 INVITE
             Contact: <sip:sipp@[local_ip]:[local_port]>
             Max-Forwards: 70""" % TAG, sdp(5)),
        recv("100", optional="true"),
        recv("200", ("a=sendrecv", None, None)),
        send("""ACK [$target] SIP/2.0
             Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
             From:[$to]%s
             To:[$from]
             Call-ID: [call_id]
             CSeq: 2 ACK
             Max-Forwards: 70""" % TAG),
        recv("BYE"),
        send(OK))
    u = peers.Sipp(t, "uas", xml, calls=1, timeout=30)
    e = endpoint(t)
    r = e.verb("call", "sip:x@127.0.0.1:%d" % u.port, "--wait", "answered",
               timeout=15)
    t.ok(r.code == 0, "answered", r)
    e.wait_call(5, state="established")
    r = e.verb("hold")
    t.ok(r.code == 0, "hold is taken", r)
    e.wait_call(5, state="held")
    t.ok(e.verb("hold", e.calls()[0]["id"]).code == 0,
         "holding what is held changes nothing")
    t.ok(e.verb("resume").code == 0, "resume is taken")
    c = e.wait_call(5, state="established")
    # refused by the peer: stays as it was
    t.ok(e.verb("hold").code == 0, "a hold that will be refused")
    refused = bb.wait_until(lambda: named(e, "call.hold_refused"), 5,
                            "the refusal is told", alive=e.proc)
    t.ok(refused[0]["code"] == 488 and refused[0]["hold"], "with its code",
         refused)
    c = e.calls()[0]
    t.ok(c["state"] == "established" and c["media"]["receiving"]
         and c["media"]["sending"], "the call is as it was", c)
    e.verb("hangup")
    judge(t, u, "SIPp saw PRACK, UPDATE, hold, resume, BYE")
    e.no_calls(5)
    held = [(x["held"], x["local"], x["remote"])
            for x in named(e, "call.held")]
    t.ok(held == [(True, True, False), (False, False, False)],
         "held by us, once", held)
    t.ok(named(e, "call.ringing")[0]["early_media"], "early media were heard")


@bb.test(40)
def sipp_calls_with_a_late_offer(t):
    """INVITE without SDP that requires 100rel: our offer in the 183, the
    answer in PRACK; then the peer holds: sendonly, inactive, 0.0.0.0."""
    ack = """ACK sip:x@[remote_ip]:[remote_port] SIP/2.0
        Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
        From: <sip:sipp@[local_ip]>;tag=[call_number]
        [last_To:]
        Call-ID: [call_id]
        CSeq: %d ACK
        Max-Forwards: 70"""
    req = """%s sip:x@[remote_ip]:[remote_port] SIP/2.0
        Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
        From: <sip:sipp@[local_ip]>;tag=[call_number]
        To: <sip:x@[remote_ip]>[peer_tag_param]
        Call-ID: [call_id]
        CSeq: %d %s
        Contact: <sip:sipp@[local_ip]:[local_port]>
        Max-Forwards: 70
        Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE"""

    def reinvite(n, direction, addr="127.0.0.1", want="a="):
        return [send(req % ("INVITE", n, "INVITE"), sdp(n, direction, addr)),
                recv("100", optional="true"),
                recv("200", (want, None, None)), send(ack % n),
                '<pause milliseconds="300"/>']
    xml = scenario(
        t, "uac_late",
        send(req % ("INVITE", 1, "INVITE") + "\nRequire: 100rel"),
        recv("100", optional="true"),
        recv("183", ("m=audio", None, None), ("[0-9]+", "RSeq", "rseq")),
        send(req % ("PRACK", 2, "PRACK") + "\nRAck: [$rseq] 1 INVITE", sdp()),
        recv("200", ("PRACK", "CSeq", None)),
        recv("200", ("INVITE", "CSeq", None),
             ("Content-Length: 0", None, None)),
        send(ack % 1),
        '<pause milliseconds="300"/>',
        *reinvite(3, "sendonly", want="a=recvonly"),
        *reinvite(4, "inactive", want="a=inactive"),
        *reinvite(5, "sendrecv", want="a=sendrecv"),
        *reinvite(6, "sendrecv", "0.0.0.0"),
        send(req % ("UPDATE", 7, "UPDATE"), sdp(7)),
        recv("200", ("a=sendrecv", None, None)),
        send(req % ("BYE", 8, "BYE")
             + '\nReason: Q.850;cause=16;text="Normal"'),
        recv("200"))
    e = endpoint(t, **{"answer.mode": "early"})
    u = peers.Sipp(t, "uac", xml, remote=e.port("udp"), calls=1, timeout=30)
    c = e.wait_call(5, state="ringing")
    r = e.verb("answer", c["id"])
    t.ok(r.code == 0, "answered", r)
    judge(t, u, "SIPp saw our offer in 183 and its holds answered")
    e.no_calls(5)
    held = [(x["held"], x["local"], x["remote"])
            for x in named(e, "call.held")]
    ended = named(e, "call.ended")
    t.ok(held == [(True, False, True), (False, False, False),
                  (True, False, True), (False, False, False)],
         "held by the peer, twice", held)
    t.ok(ended and ended[0]["q850"] == 16 and not ended[0]["missed"],
         "the reason of the BYE", ended)


@bb.test(30)
def sipp_makes_the_offer(t):
    """call --late-offer: the offer is in the 200, our answer in the ACK."""
    xml = scenario(
        t, "uas_late",
        recv("INVITE", ("Content-Length: 0", None, None)),
        send(answer(OK, True), sdp()),
        recv("ACK", ("m=audio [1-9]", None, None)),
        recv("BYE"),
        send(OK))
    u = peers.Sipp(t, "uas", xml, calls=1, timeout=20)
    e = endpoint(t)
    r = e.verb("call", "sip:x@127.0.0.1:%d" % u.port, "--late-offer",
               "--wait", "answered", timeout=15)
    t.ok(r.code == 0, "answered", r)
    c = e.wait_call(5, state="established")
    bb.wait_until(lambda: e.calls()[0]["media"]["tx_packets"] > 5, 5,
                  "audio goes out", alive=e.proc)
    t.ok("PCMU" in c["media"]["codec"], "the codec they offered", c["media"])
    e.verb("hangup")
    judge(t, u, "SIPp saw our answer in the ACK")


@bb.test(30)
def sipp_says_who_took_the_call(t):
    """CANCEL with a Reason: another device took it, or nobody did."""
    head = """%s sip:x@[remote_ip]:[remote_port] SIP/2.0
        Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK%s
        From: <sip:sipp@[local_ip]>;tag=[call_number]
        To: <sip:x@[remote_ip]>%s
        Call-ID: [call_id]
        CSeq: 1 %s
        Contact: <sip:sipp@[local_ip]:[local_port]>
        Max-Forwards: 70"""
    e = endpoint(t, **{"answer.mode": "ring"})
    for n, reason in enumerate((
            'SIP;cause=200;text="Call completed elsewhere"', "Q.850;cause=16")):
        xml = scenario(
            t, "cancel%d" % n,
            send(head % ("INVITE", "i%d" % n, "", "INVITE"), sdp()),
            recv("100", optional="true"), recv("180"),
            send(head % ("CANCEL", "i%d" % n, "", "CANCEL")
                 + "\nReason: " + reason),
            recv("200", ("CANCEL", "CSeq", None)), recv("487"),
            send(head % ("ACK", "i%d" % n, "[peer_tag_param]", "ACK")))
        u = peers.Sipp(t, "uac%d" % n, xml, remote=e.port("udp"), calls=1,
                       timeout=20)
        judge(t, u, "cancelled with " + reason)
        e.no_calls(5)
    a, b = named(e, "call.ended")
    t.ok(a["elsewhere"] and not a["missed"] and a["cause"] == 200
         and a["cause_text"] == "Call completed elsewhere",
         "taken elsewhere, not missed", a)
    t.ok(not b["elsewhere"] and b["missed"] and b["q850"] == 16,
         "missed", b)


@bb.test(60)
def baresip_and_hold(t):
    """Through Kamailio: we hold baresip, baresip holds us."""
    _, b, e = world(t)
    r = e.verb("call", "sip:%s@%s" % (THEIRS, DOMAIN), "--wait", "answered",
               timeout=15)
    t.ok(r.code == 0, "answered", r)
    e.wait_call(5, state="established")
    t.ok(e.verb("hold").code == 0, "hold")
    c = e.wait_call(5, state="held")
    t.ok(c["media"]["sending"] and not c["media"]["receiving"],
         "we send alone", c["media"])
    t.ok(e.verb("resume").code == 0, "resume")
    e.wait_call(5, state="established")
    b.command("hold")
    c = e.wait_call(5, state="held")
    t.ok(not c["media"]["sending"], "baresip holds: nothing is sent",
         c["media"])
    b.command("resume")
    c = e.wait_call(5, state="established")
    before = c["media"]["rx_packets"]
    bb.wait_until(lambda: e.calls()[0]["media"]["rx_packets"] > before + 20,
                  5, "audio comes again", alive=e.proc)
    e.verb("hangup")
    e.no_calls(5)
    t.ok(OURS in b.proc.text(), "baresip saw who called")
