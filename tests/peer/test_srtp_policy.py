# SPDX-License-Identifier: ISC
"""Row 5: what sip.srtp means against a peer that has no SRTP."""
import os
import re

import bb
import peers

EXPECT_488 = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<!DOCTYPE scenario SYSTEM "sipp.dtd">
<scenario name="RTP/AVP is refused with 488">
  <send retrans="500"><![CDATA[
      INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>
      Call-ID: [call_id]
      CSeq: 1 INVITE
      Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=user1 53655765 2353687637 IN IP[local_ip_type] [local_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
  ]]></send>
  <recv response="100" optional="true"></recv>
  <recv response="488"></recv>
  <send><![CDATA[
      ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
      [last_Via:]
      From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[call_number]
      [last_To:]
      Call-ID: [call_id]
      CSeq: 1 ACK
      Max-Forwards: 70
      Content-Length: 0
  ]]></send>
  <pause milliseconds="500"/>
</scenario>
"""


def endpoint(t, **settings):
    # A tone, so that there is something to send if it were sent.
    s = {"audio.device": "tone:1000", "sip.allow": "127.0.0.0/8"}
    s.update(settings)
    return t.endpoint(settings=s, identity=t.pki.device,
                      trusted=[t.pki.root, t.pki.device_ca],
                      server_cert=t.pki.server).start()


def rtp_of(cap, to):
    return [p for _, d, p in cap.udp if d == to and bb.is_rtp(p)]


def refused(t, e, port, transport, what):
    path = bb.write(os.path.join(t.dir, "expect488.xml"), EXPECT_488)
    cap = t.capture()
    u = peers.Sipp(t, "uac", path, remote=port, transport=transport, calls=3,
                   args=["-r", "10", "-l", "1"])
    code = u.wait(20)
    cap.stop()
    t.ok(code == 0 and u.counts() == (3, 0), "%s: 488, three times" % what,
         bb.read(u.dir + "/errors.log")[:1500])
    t.ok(not [p for _, _, p in cap.udp if bb.is_rtp(p)],
         "%s: not one RTP packet" % what)
    e.no_calls(3)


@bb.test(30)
def standard_refuses_clear_over_udp(t):
    e = endpoint(t, **{"sip.srtp": "standard",
                       "sip.listen.udp": "127.0.0.1:0"})
    refused(t, e, e.port("udp"), "u1", "udp")


@bb.test(30)
def standard_refuses_clear_over_tls(t):
    """Signalling on TLS does not make clear media right."""
    e = endpoint(t, **{"sip.srtp": "standard",
                       "sip.listen.tls": "127.0.0.1:0",
                       "sip.allow": "tls:peer.bb.test"})
    s = peers.Stunnel(t, "stunnel", t.pki.peer, t.pki.root, True,
                      e.port("tls"), check_host="localhost")
    refused(t, e, s.port, "t1", "tls")


def clear_call(t, e, u, cap, direction):
    """While it lasts: the call is up, in clear, and says so."""
    c = e.wait_call(5, state="established", direction=direction)
    c = bb.wait_until(lambda: next((c for c in e.calls() if (
        c.get("media") or {}).get("tx_packets")), None), 5,
        "packets are sent", alive=e.proc)
    t.ok(c.get("security") == "clear" and not c["media"].get("suite"),
         "the status says security = clear", c)
    bb.wait_until(lambda: len(rtp_of(cap, u.media)) >= 20, 5,
                  "20 RTP packets are on the wire")
    p = rtp_of(cap, u.media)[-1]
    t.ok(p[1] & 0x7F == 0 and len(p) == 172,
         "they are PCMU in clear (12 + 160 bytes)", len(p))


@bb.test(30)
def optional_goes_on_in_clear(t):
    """SIPp calls with RTP/AVP: answered, clear, and the status says so."""
    e = endpoint(t, **{"sip.srtp": "optional",
                       "sip.listen.udp": "127.0.0.1:0"})
    # --since 0: it may be connected only after the call came.
    events = e.spawn("wait", "wait", "call.established", "--since", "0",
                     "--timeout", "15s")
    cap = t.capture()
    u = peers.Sipp(t, "uac", "uac", remote=e.port("udp"), calls=1,
                   args=["-d", "2500"])
    clear_call(t, e, u, cap, "in")
    t.ok(u.wait(20) == 0, "SIPp is content", u.proc.text()[-800:])
    t.ok(events.wait_exit(10) == 0 and '"clear"' in events.text(),
         "the event call.established says clear", events.text())


@bb.test(30)
def optional_over_tls_goes_on_in_clear(t):
    e = endpoint(t, **{"sip.srtp": "optional",
                       "sip.listen.tls": "127.0.0.1:0",
                       "sip.allow": "tls:peer.bb.test"})
    s = peers.Stunnel(t, "stunnel", t.pki.peer, t.pki.root, True,
                      e.port("tls"), check_host="localhost")
    cap = t.capture()
    u = peers.Sipp(t, "uac", "uac", remote=s.port, transport="t1", calls=1,
                   args=["-d", "2500"])
    clear_call(t, e, u, cap, "in")
    t.ok(u.wait(20) == 0, "SIPp is content", u.proc.text()[-800:])


@bb.test(30)
def standard_as_caller_ends_the_call(t):
    """We offer RTP/SAVP with a=crypto over TLS; SIPp answers RTP/AVP without
    asking: ACK, BYE, no packet, an exit code that says so."""
    e = endpoint(t, **{"sip.srtp": "standard"})
    u = peers.Sipp(t, "uas", "uas", transport="t1", calls=1,
                   args=["-trace_msg", "-message_file",
                         os.path.join(t.dir, "messages.log")])
    s = peers.Stunnel(t, "stunnel", t.pki.server, t.pki.device_ca, False,
                      u.port)
    cap = t.capture()
    r = e.verb("call", "sip:x@localhost:%d;transport=tls" % s.port,
               "--wait", "answered")
    t.ok(r.code in (5, 8), "call: exit 5 or 8, not 0 (%s)" % r.code, r)
    e.no_calls(5)
    bb.wait_until(lambda: "BYE sip:" in bb.read(
        os.path.join(t.dir, "messages.log")), 5, "SIPp got a BYE")
    cap.stop()
    msgs = bb.read(os.path.join(t.dir, "messages.log"))
    t.ok(re.search(r"^m=audio \d+ RTP/SAVP ", msgs, re.M)
         and "a=crypto:" in msgs, "we offered RTP/SAVP with a=crypto",
         msgs[:1500])
    t.ok(not [p for _, _, p in cap.udp if bb.is_rtp(p)],
         "not one RTP packet")


@bb.test(30)
def optional_as_caller_goes_on_in_clear(t):
    e = endpoint(t, **{"sip.srtp": "optional"})
    messages = os.path.join(t.dir, "messages.log")
    u = peers.Sipp(t, "uas", "uas", transport="t1", calls=1,
                   args=["-trace_msg", "-message_file", messages])
    s = peers.Stunnel(t, "stunnel", t.pki.server, t.pki.device_ca, False,
                      u.port)
    cap = t.capture()
    r = e.verb("call", "sip:x@localhost:%d;transport=tls" % s.port,
               "--wait", "answered")
    t.ok(r.code == 0, "call: exit 0", r)
    clear_call(t, e, u, cap, "out")
    e.verb("hangup")
    e.no_calls(5)
    msgs = bb.read(messages)
    t.ok(re.search(r"^m=audio \d+ RTP/AVP ", msgs, re.M)
         and "a=crypto:" in msgs,
         "we offered RTP/AVP with a=crypto (RFC 8643)", msgs[:1500])


@bb.test(30)
def no_keys_over_clear_signalling(t):
    """sip.srtp = optional over UDP: no key is written where all can read."""
    e = endpoint(t, **{"sip.srtp": "optional"})
    messages = os.path.join(t.dir, "messages.log")
    u = peers.Sipp(t, "uas", "uas", calls=1,
                   args=["-trace_msg", "-message_file", messages])
    r = e.verb("call", "sip:x@127.0.0.1:%d;transport=udp" % u.port,
               "--wait", "answered")
    t.ok(r.code == 0, "call: exit 0", r)
    e.verb("hangup")
    e.no_calls(5)
    t.ok("m=audio" in bb.read(messages)
         and "a=crypto" not in bb.read(messages),
         "the offer has no a=crypto", bb.read(messages)[:1500])
