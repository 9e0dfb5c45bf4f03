# SPDX-License-Identifier: ISC
"""What becomes of calls that come in: alerts and ring tones (heard in the WAV
of the speaker), headers that ask for an answer, limits of time, who is busy."""
import os
import time

import bb
import peers

DOMAIN, OURS, ALERT, THEIRS = "bb.test", "1001", "1003", "1002"

SDP = """v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""

INVITE = """<send retrans="500"><![CDATA[
INVITE sip:page@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:%(user)s@[local_ip]:[local_port]>;tag=[pid]-[call_number]
To: <sip:page@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:%(user)s@[local_ip]:[local_port]>
Max-Forwards: 70
%(headers)sContent-Type: application/sdp
Content-Length: [len]

""" + SDP + """]]></send>
<recv response="100" optional="true"/>
"""
IN_DIALOG = """<send%(retrans)s><![CDATA[
%(method)s sip:page@[remote_ip]:[remote_port] SIP/2.0
[last_Via:]
From: <sip:%(user)s@[local_ip]:[local_port]>;tag=[pid]-[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: %(cseq)s
Max-Forwards: 70
Content-Length: 0

]]></send>
"""
RINGING = '<recv response="180"/>\n'
BYE_COMES = """<recv request="BYE" timeout="8000"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
"""


class Caller(peers.Sipp):
    """SIPp calls once.  `steps`: "180", a final code, "hold" (stay until we
    are told to hang up), "bye" (hang up), "byed" (wait to be hung up on)."""

    def __init__(self, t, name, e, steps, headers=(), user="5501", hold_ms=0):
        v = {"user": user, "headers": "".join(h + "\n" for h in headers)}
        xml = INVITE % v
        for s in steps:
            if s == "180":
                xml += RINGING
            elif s == "bye":
                xml += IN_DIALOG % dict(v, method="BYE", cseq="2 BYE",
                                        retrans=' retrans="500"')
                xml += '<recv response="200"/>\n'
            elif s == "byed":
                xml += BYE_COMES
            elif s == "hold":
                xml += '<pause milliseconds="%d"/>\n' % hold_ms
            else:
                xml += '<recv response="%s"/>\n' % s
                xml += IN_DIALOG % dict(v, method="ACK", cseq="1 ACK",
                                        retrans="")
        path = bb.write(os.path.join(t.dir, name + ".xml"),
                        '<?xml version="1.0"?>\n<scenario name="x">\n%s'
                        '</scenario>\n' % xml)
        super().__init__(t, name, path, remote=e.port("udp"), calls=1,
                         timeout=25)

    def good(self, seconds=15):
        return self.wait(seconds) == 0 and self.counts() == (1, 0)

    def errors(self):
        return bb.read(self.dir + "/errors.log")[:1500]


def endpoint(t, **settings):
    s = {"audio.device": "null", "sip.allow": "127.0.0.0/8",
         "sip.listen.udp": "127.0.0.1:0", "answer.mode": "ring"}
    s.update(settings)
    return t.endpoint(conf=s, identity=t.pki.device,
                      trusted=[t.pki.root]).start()


def ended(e, call, seconds=8):
    return e.verb("wait", "call.ended", "--where", "call=" + call, "--since",
                  "0", "--timeout", "%ds" % seconds).json


def speaker(e):
    """Ids of the calls that are heard."""
    return [c["id"] for c in e.calls() if c.get("speaker")]


@bb.test(60)
def an_alert_sounds_until_it_is_cancelled(t):
    """baresip calls the alert extension through Kamailio; a page comes in
    between and takes the speaker."""
    k = peers.Kamailio(t, algorithm="MD5", domain=DOMAIN,
                       host=peers.ADDRESS, port=peers.SRV_PORT)
    out = os.path.join(t.dir, "speaker.wav")
    e = t.endpoint(conf={
        "sip.proxy": DOMAIN, "sip.u1.user": OURS, "sip.alert1.use": "1",
        "sip.alert1.user": ALERT, "sip.alert1.tone": "tone-1kHz-max.wav",
        "audio.device": "wav:," + out, "call.busy": "single",
        "audio.ring.vol": "0dB", "sip.listen.udp": "127.0.0.1:0",
        "sip.allow": "127.0.0.0/8"},
        secrets={"sip.u1.pwd": peers.password(OURS),
                 "sip.alert1.pwd": peers.password(ALERT)},
        identity=t.pki.device, trusted=[t.pki.root]).start()
    for i in (0, 1):
        bb.wait_until(lambda: e.status()["accounts"][i:] and
                      e.status()["accounts"][i]["state"] == "registered", 6,
                      "account %d is registered" % i)
    b = peers.Baresip(t, THEIRS, DOMAIN, "%s:%d" % (peers.ADDRESS, k.tls),
                      t.pki.peer, 440)
    b.dial("sip:%s@%s" % (ALERT, DOMAIN))
    c = e.wait_call(6, account="alert1", state="ringing")
    r = e.verb("wait", "call.incoming", "--since", "0", "--timeout", "3s")
    t.ok(r.json.get("action") == "alert" and r.json["account"] == "alert1",
         "it came for alert1, which sounds", r)
    b.proc.wait_log(r"180|[Rr]inging", 5)
    t.ok(e.verb("answer").code == 1, "answer has nothing to answer")
    t.ok(speaker(e) == [c["id"]], "the alert has the speaker", e.calls())
    page = Caller(t, "page", e, ["200", "hold", "bye"], hold_ms=1500)
    p = e.wait_call(6, direction="in", state="established", account="")
    t.ok(speaker(e) == [p["id"]], "a page takes it", e.calls())
    t.ok(page.good(), "the page was answered and ended", page.errors())
    bb.wait_until(lambda: speaker(e) == [c["id"]], 3,
                  "then the alert sounds again")
    now = e.calls()[0]
    t.ok(now["state"] == "ringing" and now["account"] == "alert1",
         "it rang all the time", now)
    time.sleep(1.0)  # so long it is to be heard
    b.hangup()
    x = ended(e, c["id"])
    t.ok(x.get("by_peer") and x.get("code") == 487,
         "it ends when the caller gives up", x)
    e.no_calls(3)
    tone = bb.tone_find(out.replace(".wav", "-ring-%s.wav" % c["id"]), 1000,
                        skip_s=0.1, tail_s=0.1)
    t.ok(tone.snr > 25 and tone.seconds > 0.5,
         "the speaker had the tone: %s" % tone)


@bb.test(40)
def rings_with_the_callers_tone_and_is_answered(t):
    out = os.path.join(t.dir, "speaker.wav")
    e = endpoint(t, **{"audio.device": "wav:," + out, "audio.ring.vol": "-6dB",
                       "alert.cid1.use": "1", "alert.cid1.regex": "^77",
                       "alert.cid1.tone": "buzzer.wav",
                       "alert.cid3.use": "1", "alert.cid3.regex": "^55\\d+$",
                       "alert.cid3.tone": "mine.wav"})
    os.makedirs(os.path.join(e.state, "tones"))
    bb.wav_write(os.path.join(e.state, "tones", "mine.wav"), 500, 0.4)
    u = Caller(t, "caller", e, ["180", "200", "bye"])
    c = e.wait_call(5, state="ringing")
    ring = out.replace(".wav", "-ring-%s.wav" % c["id"])
    bb.wait_until(lambda: os.path.exists(ring), 3, "it sounds")
    time.sleep(1.2)  # so long it is to be heard
    r = e.verb("answer")
    t.ok(r.code == 0, "answered", r)
    t.ok(u.good(), "SIPp: 180, 200, BYE", u.errors())
    tone = bb.tone_find(ring, 500, skip_s=0.02, tail_s=0.05)
    t.ok(tone.median > 15 and tone.seconds > 0.8,
         "the tone was that of the rule, over and over: %s" % tone)
    e.no_calls(5)
    u = Caller(t, "stranger", e, ["180", "480"], user="alice")
    c = e.wait_call(5, state="ringing")
    ring = out.replace(".wav", "-ring-%s.wav" % c["id"])
    bb.wait_until(lambda: os.path.exists(ring), 3, "it sounds for others too")
    r = e.verb("hangup")
    t.ok(r.code == 0 and ended(e, c["id"]).get("code") in (480, 603),
         "refused by hand", r)


@bb.test(60)
def headers_ask_for_an_answer(t):
    """Nobody may ask unless answer.request says so."""
    e = endpoint(t, **{"phone.timeout.ring": "1"})
    auto = ["Alert-Info: <http://localhost/>;info=alert-autoanswer;delay=0"]
    u = Caller(t, "off", e, ["180", "480"], auto)
    t.ok(u.good(), "off: it rings, and 480 after phone.timeout.ring",
         u.errors())
    x = ended(e, "c1")
    t.ok(x.get("class") == "call.timeout" and
         "phone.timeout.ring" in x.get("reason", ""), "the end says why: %s"
         % x.get("reason"), x)
    u = Caller(t, "insists", e, ["403"], [
        "Require: answermode", "Answer-Mode: Auto;require"])
    t.ok(u.good() and ended(e, "c2").get("class") == "answer.request",
         "off: who insists gets 403", u.errors())
    e.verb("config", "set", "answer.request", "account")
    u = Caller(t, "direct", e, ["180", "480"], auto)
    t.ok(u.good(), "account: a direct call still rings", u.errors())
    e.verb("config", "set", "answer.request", "any")
    for i, h in enumerate((auto, ["Answer-Mode: Auto"],
                           ["Call-Info: <sip:x>;answer-after=0"])):
        u = Caller(t, "any%d" % i, e, ["200", "bye"], h)
        t.ok(u.good(), "any: answered at once for %s" % h[0], u.errors())
    e.verb("config", "set", "phone.timeout.ring", "0")
    begun = time.monotonic()
    u = Caller(t, "after", e, ["180", "200", "bye"],
               ["Call-Info: <sip:x>;answer-after=1"])
    t.ok(u.good() and time.monotonic() - begun >= 0.95,
         "answer-after=1: a second later", u.errors())
    e.verb("config", "set", "answer.mode", "auto")
    u = Caller(t, "manual", e, ["180", "200", "bye"], ["Answer-Mode: Manual"])
    e.wait_call(5, state="ringing")
    t.ok(e.verb("answer").code == 0 and u.good(),
         "Answer-Mode: Manual lets a page ring", u.errors())


@bb.test(40)
def calls_end_in_time(t):
    e = endpoint(t, **{"answer.mode": "auto", "phone.timeout.inbound": "1",
                       "phone.timeout.outbound": "1",
                       "phone.timeout.ringback": "1"})
    u = Caller(t, "page", e, ["200", "byed"])
    x = ended(e, "c1")
    t.ok(u.good(), "we hang up", u.errors())
    t.ok(x.get("class") == "call.timeout" and not x.get("by_peer") and
         "phone.timeout.inbound" in x["reason"] and
         0.9 < x["duration_s"] < 4, "after a second, and say why: %s"
         % x.get("reason"), x)
    s = peers.Sipp(t, "uas", "uas", calls=1)
    r = e.verb("call", "sip:x@127.0.0.1:%d" % s.port, "--wait", "ended",
               "--timeout", "15s")
    t.ok(r.find("class") == "call.timeout" and
         "phone.timeout.outbound" in r.out + r.err, "our own call: %s"
         % r.find("reason"), r)
    path = bb.write(os.path.join(t.dir, "rings.xml"), RINGS)
    s = peers.Sipp(t, "rings", path, calls=1)
    r = e.verb("call", "sip:x@127.0.0.1:%d" % s.port, "--timeout", "15s")
    t.ok(r.code == 4 and "phone.timeout.ringback" in r.out + r.err,
         "nobody answers: exit 4, and why", r)
    t.ok(s.wait(10) == 0, "SIPp got the CANCEL")


RINGS = """<?xml version="1.0"?>
<scenario name="rings">
<recv request="INVITE" crlf="true"/>
<send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[pid]-[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

]]></send>
<recv request="CANCEL" timeout="9000"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]-[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<send retrans="500"><![CDATA[
SIP/2.0 487 Request Terminated
[last_Via:]
[last_From:]
[last_To:];tag=[pid]-[call_number]
[last_Call-ID:]
CSeq: 1 INVITE
Content-Length: 0

]]></send>
<recv request="ACK"/>
</scenario>
"""


@bb.test(40)
def one_page_at_a_time(t):
    """call.busy = single: a second page is busy, and so is a call that would
    ring; many: both are answered."""
    e = endpoint(t, **{"answer.mode": "auto", "call.busy": "single",
                       "call.max": "2"})
    first = Caller(t, "first", e, ["200", "hold", "bye"], hold_ms=4000)
    e.wait_call(5, state="established")
    u = Caller(t, "second", e, ["486"])
    t.ok(u.good() and ended(e, "c2").get("class") == "call.busy",
         "the second gets 486", u.errors())
    e.verb("config", "set", "call.busy", "many")
    second = Caller(t, "both", e, ["200", "hold", "bye"], hold_ms=1000)
    e.wait_call(5, state="established", id="c3")
    t.ok(len(e.calls()) == 2, "many: both are answered", e.calls())
    u = Caller(t, "third", e, ["486"])
    x = ended(e, "c4")
    t.ok(u.good() and "call.max" in x.get("reason", ""),
         "call.max = 2: the third gets 486", (u.errors(), x))
    e.verb("config", "set", "call.max", "3")
    u = Caller(t, "fourth", e, ["200", "bye"])
    t.ok(u.good(), "call.max counts at once", u.errors())
    t.ok(second.good() and first.good(), "all ended well",
         (first.errors(), second.errors()))


@bb.test(40)
def a_page_interrupts_a_call(t):
    """single: a call answered by hand lends the speaker to a page."""
    e = endpoint(t, **{"call.busy": "single", "answer.request": "any"})
    first = Caller(t, "first", e, ["180", "200", "hold", "bye"], hold_ms=3500)
    e.wait_call(5, state="ringing")
    e.verb("answer")
    e.wait_call(5, state="established", id="c1")
    t.ok(speaker(e) == ["c1"], "the call has the speaker", e.calls())
    u = Caller(t, "waiting", e, ["486"])
    t.ok(u.good(), "a call that would ring is busy", u.errors())
    page = Caller(t, "page", e, ["200", "hold", "bye"],
                  ["Answer-Mode: Auto"], hold_ms=1000)
    e.wait_call(5, state="established", id="c3")
    t.ok(speaker(e) == ["c3"], "the page has it now", e.calls())
    t.ok(page.good(), "the page ends", page.errors())
    bb.wait_until(lambda: speaker(e) == ["c1"], 3, "the call has it again")
    t.ok(first.good(), "and goes on to its end", first.errors())
