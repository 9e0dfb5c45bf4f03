# SPDX-License-Identifier: ISC
"""Item 6: message waiting, asked for and not, check-sync, and text: by Kamailio
over the registered flow, and by SIPp, who is a stranger."""
import os
import re
import subprocess

import bb
import peers
import registrar
import test_transfer
from test_transfer import DOMAIN, events, uri, wait_event

NOTIFY = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="notify">
<send retrans="500"><![CDATA[
NOTIFY sip:1001@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:stranger@[local_ip]>;tag=[call_number]
To: <sip:1001@[remote_ip]>
Call-ID: [call_id]
CSeq: [cseq] NOTIFY
Max-Forwards: 70
Contact: <sip:stranger@[local_ip]:[local_port]>
Event: check-sync;reboot=true
Content-Length: 0

]]></send>
<recv response="%s" timeout="3000"></recv>
</scenario>
"""


def push(k, e, method, headers, body="", user="1001"):
    """Kamailio sends a request to `e`, over the flow it registered by
    (tm.t_uac_start of its RPC); the code of the answer."""
    argv = ["kamcmd", "-s", "unix:%s/ctl" % k.dir]
    r = subprocess.run(argv + ["ul.lookup", "location", "s:" + user],
                       capture_output=True, text=True)
    contact = re.search(r"Address: (\S+)", r.stdout)
    received = re.search(r"Received: (\S+)", r.stdout)
    if not contact:
        raise bb.Failure("ul.lookup: %s %s" % (r.stdout, r.stderr))
    hop = received[1] if received and "sip:" in received[1] else contact[1]
    lines = "From: <sip:server@%s>;tag=k%d\r\nTo: <sip:%s@%s>\r\n%s" % (
        DOMAIN, bb.free_port(), user, DOMAIN,
        "".join(h + "\r\n" for h in headers))
    if not body:  # kamcmd cannot send none
        lines, body = lines + "Content-Type: text/plain\r\n", "-"
    answer = r"received %s (?:.*\n)+?.* sent SIP/2\.0 (\d+) " % method
    seen = len(re.findall(answer, e.proc.text()))
    r = subprocess.run(argv + ["tm.t_uac_start", method, contact[1], hop, ".",
                               lines, body],
                       capture_output=True, text=True)
    if r.returncode != 0 or "error" in r.stdout + r.stderr:
        raise bb.Failure("t_uac_start: %s %s" % (r.stdout, r.stderr))
    codes = bb.wait_until(
        lambda: re.findall(answer, e.proc.text())[seen:], 5,
        "an answer to the %s of Kamailio" % method, alive=e.proc)
    return int(codes[0])


def bellbird(t, k, user, **settings):
    """Its log holds what it answers."""
    return test_transfer.bellbird(t, k, user, **dict(
        settings, **{"log.level": "info,sip=trace"}))


def kamailio(t):
    return peers.Kamailio(t, domain=DOMAIN, host=peers.ADDRESS)


SUMMARY = ["Event: message-summary",
           "Subscription-State: active",
           "Content-Type: application/simple-message-summary"]


@bb.test(40)
def check_sync_of_the_registrar(t):
    """Obeyed over the registered, verified flow; once a minute; others 489."""
    k = kamailio(t)
    e = bellbird(t, k, "1001")
    code = push(k, e, "NOTIFY", ["Event: check-sync;reboot=false"])
    t.ok(code == 200, "check-sync: 200", code)
    got = wait_event(e, "prov.checksync")
    t.ok(got["by"] == "flow" and got["restart"] is False,
         "obeyed by the flow, no restart", got)
    code = push(k, e, "NOTIFY", ["Event: resync"])
    t.ok(code == 480, "again within the minute: 480", code)
    t.ok(len(events(e, "prov.checksync")) == 1, "and nothing happened")
    code = push(k, e, "NOTIFY", ["Event: ua-profile"])
    t.ok(code == 489, "another event: 489", code)


@bb.test(40)
def check_sync_restarts(t):
    """reboot=true: exit code 75 once the fetch is done and no call is up."""
    k = kamailio(t)
    e, b = bellbird(t, k, "1001"), bellbird(t, k, "1002")
    r = b.verb("call", uri("1001"), "--wait", "answered")
    t.ok(r.code == 0, "a call is up", r)
    code = push(k, e, "NOTIFY", ["Event: check-sync;reboot=true"])
    t.ok(code == 200 and wait_event(e, "prov.checksync")["restart"],
         "check-sync;reboot=true: 200", code)
    bb.wait_until(lambda: e.ask("status"), 3, "it runs on")
    t.ok(len(e.calls()) == 1, "the call goes on", e.calls())
    b.verb("hangup")
    code = e.proc.wait_exit(8)
    t.ok(code == 75, "exit 75 once the call is over", code)


@bb.test(40)
def check_sync_of_a_stranger(t):
    """SIPp: not heard at all; by sip.allow, challenged and then ignored."""
    for allow, code in (("", None), ("127.0.0.0/8", 401)):
        s = {"sip.proxy": "127.0.0.1:9", "sip.u1.user": "1001",
             "sip.transp": "udp", "sip.listen.udp": "127.0.0.1:0",
             "audio.device": "null", "sip.allow": allow}
        e = t.endpoint("stranger%s" % (code or ""), settings=s,
                       secrets={"sip.u1.pwd": peers.password("1001")}).start()
        name = "sipp%s" % (code or "")
        xml = bb.write(os.path.join(t.dir, name + ".xml"),
                       NOTIFY % (code or 200))
        u = peers.Sipp(t, name, xml, remote=e.port("udp"), calls=1, timeout=8)
        ended = u.wait(15)
        if code:
            t.ok(ended == 0, "allowed, but without the password: 401", ended)
        else:
            t.ok(ended != 0, "a stranger gets no answer", ended)
        t.ok(not events(e, "prov.checksync") and e.proc.poll() is None,
             "nothing was fetched, nothing restarts")


@bb.test(40)
def message_waiting(t):
    """Not asked for, then by a subscription; refused as somebody else."""
    k = kamailio(t)
    e = bellbird(t, k, "1001")
    body = ("Messages-Waiting: yes\r\nMessage-Account: sip:vm@bb.test\r\n"
            "Voice-Message: 2/8 (1/0)\r\n")
    code = push(k, e, "NOTIFY", SUMMARY, body)
    t.ok(code == 200, "unsolicited: 200", code)
    got = wait_event(e, "mwi")
    t.ok(got["waiting"] is True and got["new"] == 2 and got["old"] == 8
         and got["urgent_new"] == 1 and got["solicited"] is False,
         "2 new, 8 old, 1 urgent", got)
    t.ok((e.account().get("mwi") or {}).get("new") == 2,
         "the status says so", e.account().get("mwi"))
    code = push(k, e, "NOTIFY", SUMMARY, "nonsense\r\n")
    t.ok(code == 400, "a body that is no summary: 400", code)


@bb.test(40)
def message_waiting_is_asked_for(t):
    """SUBSCRIBE to our own address, which Kamailio sends back to us for want
    of a mailbox: the refusal is told, and it is not asked again."""
    k = kamailio(t)
    e = bellbird(t, k, "1001", **{"sip.mwi.subs": "1"})
    got = wait_event(e, "sub.state", 8)
    # The AOR is our own device, which is no notifier: 489.
    t.ok(got["event_package"] == "message-summary" and got["code"] == 489
         and got["state"] == "refused", "asked, and told what came", got)
    t.ok("BB SUBSCRIBE user=1001" in k.text(), "Kamailio saw the SUBSCRIBE",
         k.text()[-400:])


@bb.test(40)
def message_waiting_by_subscription(t):
    """A server that is a notifier: SUBSCRIBE, NOTIFY, the event and status; the
    end of the account is the end of the subscription."""
    r, e = registrar.world(t, **{"sip.mwi.subs": "1"})
    t.closers.append(r.close)
    ask = r.read()
    while not ask.startswith("SUBSCRIBE"):
        r.reply(ask)
        ask = r.read()
    h = registrar.header
    t.ok(h(ask, "Event") == "message-summary" and h(ask, "Accept") ==
         "application/simple-message-summary" and h(ask, "Expires") == "3600",
         "SUBSCRIBE for message-summary", ask)
    me = "<sip:mwi@%s:%d;transport=tls>" % (r.host, r.port)
    r.reply(ask, "Expires: 600\r\nContact: %s\r\n" % me)
    got = wait_event(e, "sub.state")
    t.ok(got["state"] == "pending" and got["code"] == 200, "accepted", got)
    body = "Messages-Waiting: no\r\nVoice-Message: 0/3\r\n"
    contact = re.search(r"<([^>]+)>", h(ask, "Contact"))[1]
    r.conn.sendall((
        "NOTIFY %s SIP/2.0\r\nVia: SIP/2.0/TLS %s:%d;branch=z9hG4bKmw1\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:1001@bb.test>;tag=r\r\nTo: %s\r\n"
        "Call-ID: %s\r\nCSeq: 7 NOTIFY\r\nContact: %s\r\n"
        "Event: message-summary\r\nSubscription-State: active;expires=600\r\n"
        "Content-Type: application/simple-message-summary\r\n"
        "Content-Length: %d\r\n\r\n%s" % (
            contact, r.host, r.port, h(ask, "From"), h(ask, "Call-ID"), me,
            len(body), body)).encode())
    code, _ = r.final("NOTIFY")
    got = wait_event(e, "mwi")
    t.ok(code == 200 and got["solicited"] and got["waiting"] is False
         and got["old"] == 3, "NOTIFY: 200, and the event", got)
    e.proc.popen.terminate()
    told = r.read()
    while told.startswith("REGISTER"):
        r.reply(told)
        told = r.read()
    t.ok(told.startswith("SUBSCRIBE " + me[1:-1]) and
         h(told, "Expires") == "0", "at the end it unsubscribes", told)


@bb.test(40)
def text_both_ways(t):
    k = kamailio(t)
    a, b = bellbird(t, k, "1001"), bellbird(t, k, "1002")
    r = a.verb("message", uri("1002"), "h\u00e9llo <b>")
    t.ok(r.code == 0 and r.json.get("code") == 200, "message: exit 0", r)
    got = wait_event(b, "message.in")
    t.ok(got["text"] == "h\u00e9llo <b>" and "1001" in got["from"]
         and got["account"] == "u1", "it came as it was sent", got)
    r = a.verb("message", uri("1999"), "x")
    t.ok(r.code == 5 and r.find("code") == 404, "nobody there: exit 5, 404", r)
    r = a.verb("message", uri("1002"), "x" * 1001)
    t.ok(r.code == 2, "too long: usage", r)
    code = push(k, b, "MESSAGE", ["Content-Type: text/html"], "<b>", "1002")
    t.ok(code == 415, "HTML: 415", code)
