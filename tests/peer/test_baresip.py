# SPDX-License-Identifier: ISC
"""Row 3: baresip and bellbird call each other through Kamailio: TLS, SDES
SRTP, Opus; tones both ways; nothing but SRTP on the wire."""
import os
import re

import bb
import peers

DOMAIN = "bb.test"
OURS, THEIRS = "1001", "1002"
WE_SEND, THEY_SEND = 1000, 440
TALK_S = 4.0


def grown(t, files, seconds, what):
    """Waits until the newest file of `files()` holds that much sound."""
    def enough():
        for path in files()[-1:]:
            # A recorder need not write sizes before it closes: count bytes.
            size = os.path.getsize(path)
            if size > 44:
                with open(path, "rb") as f:
                    head = f.read(36)
                return size / int.from_bytes(head[28:32], "little") > seconds
        return False
    bb.wait_until(enough, seconds + 10, what, every=0.05)


def crypto_keys(sdps):
    return [bb.SrtpKeys(k) for sdp in sdps for k in re.findall(
        r"a=crypto:\d+ AES_CM_128_HMAC_SHA1_80 inline:(\S+)", sdp)]


def judge_wire(t, kamailio, capture, ours):
    """Is there a clear RTP packet?  `ours`: the ports that bellbird sends from.

    The criterion is exact.  The keys of both directions are read from the SDP
    that went through Kamailio (the only place where it can be read: on the
    wire it is inside TLS).  Each UDP packet of the namespace, except the name
    server's, must be RTP or RTCP and carry the 80-bit tag made with one of
    those keys; a clear packet, or one protected by anything else, has no
    such tag.  As authentication alone does not hide, the first byte of each
    payload is compared: Opus writes one or a few values there (its TOC),
    which appear only after decryption, while on the wire the byte is spread
    over its whole range.

    RTCP is judged for the packets we send.  baresip 1.0 sends two of its own
    in clear ("PING" when the call starts, BYE when it ends), which carry no
    audio and which we must drop.
    Returns how many those were.
    """
    offers, answers = kamailio.sdp("offer"), kamailio.sdp("answer")
    for kind, bodies in (("offer", offers), ("answer", answers)):
        t.ok(bodies and all(re.search(r"^m=audio \d+ RTP/S?AVPF? ", b, re.M)
                            and "a=crypto:" in b for b in bodies),
             "every SDP %s carries a=crypto" % kind, "\n".join(bodies))
    keys = crypto_keys(offers + answers)
    packets = [p for s, d, p in capture.udp if 53 not in (s, d)]
    rtp = [p for p in packets if bb.is_rtp(p)]
    rtcp = [p for p in packets if bb.is_rtcp(p)]
    other = [p for p in packets if not bb.is_rtp(p) and not bb.is_rtcp(p)]
    t.ok(len(rtp) > 100, "captured %d RTP and %d RTCP packets"
         % (len(rtp), len(rtcp)))
    t.ok(not other, "no other UDP packet", [p[:24].hex() for p in other[:5]])
    by_key, clear = {}, []
    for p in rtp:
        for i, k in enumerate(keys):
            if k.rtp_ok(p):
                by_key.setdefault(i, []).append(p)
                break
        else:
            clear.append(p)
    t.ok(not clear, "every RTP packet has the tag of a negotiated key "
         "(%d of %d)" % (len(rtp) - len(clear), len(rtp)),
         [p[:16].hex() for p in clear[:5]])
    clear_rtcp = [(s, p) for s, _, p in capture.udp if bb.is_rtcp(p)
                  and not any(k.rtcp_ok(p) for k in keys)]
    bad = [p for s, p in clear_rtcp if s in ours]
    t.ok(not bad, "every RTCP packet of ours has one too",
         [p[:16].hex() for p in bad[:5]])
    if clear_rtcp:
        t.note("%d RTCP packets of baresip in clear" % len(clear_rtcp))
    t.ok(len(by_key) >= 2, "two directions, two keys", list(by_key))
    for i, ps in by_key.items():
        wire = {p[12 + 4 * (p[0] & 15)] for p in ps if not p[0] & 0x10}
        plain = set(keys[i].first_bytes(ps))
        t.ok(len(plain) <= 12 and (len(wire) > 3 * len(plain)
                                   or len(ps) < 60),
             "payloads are encrypted: first byte has %d values on the wire, "
             "%d after decryption (%d packets)"
             % (len(wire), len(plain), len(ps)))
    return len(clear_rtcp) - len(bad)


def world(t, **settings):
    """Kamailio, a registered baresip and a registered bellbird."""
    k = peers.Kamailio(t, algorithm="MD5", domain=DOMAIN, host=peers.ADDRESS)
    b = peers.Baresip(t, THEIRS, DOMAIN, "sip.%s:%d" % (DOMAIN, k.tls),
                      t.pki.peer, THEY_SEND)
    tone = bb.wav_write(os.path.join(t.dir, "tone.wav"), WE_SEND, TALK_S + 4)
    out = os.path.join(t.dir, "heard.wav")
    # The certificate names the domain (RFC 5922 7.1), not the host.
    s = {"sip.proxy": DOMAIN, "sip.tls.name": DOMAIN,
         "sip.obproxy": "sip.%s:%d" % (DOMAIN, k.tls),
         "sip.u1.user": OURS, "sip.u1.auth": OURS, "sip.transp": "tls",
         "sip.srtp": "standard", "sip.auth.md5": "1",
         "audio.device": "wav:%s,%s" % (tone, out)}
    s.update(settings)
    e = t.endpoint(settings=s, identity=t.pki.device, trusted=[t.pki.root],
                   secrets={"sip.u1.pwd": peers.password(OURS)}).start()
    e.wait_account("registered", 5)
    e.tone = tone
    return k, b, e


def heard(t):
    """Our recordings: the wav device writes OUT-<call id>.wav for each call."""
    return sorted((os.path.join(t.dir, f) for f in os.listdir(t.dir)
                   if f.startswith("heard") and f.endswith(".wav")),
                  key=os.path.getmtime)


def judge_call(t, e, direction):
    e.wait_call(5, state="established", direction=direction)
    c = bb.wait_until(lambda: next((
        c for c in e.calls() if (c.get("media") or {}).get("rx_packets")),
        None), 5, "media comes in", alive=e.proc)
    m = c.get("media") or {}
    t.ok(c.get("security") == "srtp" and c.get("signalling") == "tls",
         "the status says TLS and SRTP", c)
    t.ok(m.get("suite") == "AES_CM_128_HMAC_SHA1_80",
         "suite is AES_CM_128_HMAC_SHA1_80", m)
    t.ok(str(m.get("codec", "")).lower().startswith("opus"),
         "codec is Opus", m)
    port = int(str(m.get("local", ":0")).rsplit(":", 1)[1])
    return (port, port + 1)


def judge_stats(t, stats, clear_rtcp):
    """Nothing of what baresip sent may have failed its check, except what it
    sent in clear."""
    t.ok(stats.get("auth_failures", -1) + stats.get("clear_refused", -1)
         in range(clear_rtcp + 1),
         "no packet failed its check but baresip's clear RTCP (%d)"
         % clear_rtcp, stats)
    t.ok(stats.get("lost", 99) <= 2, "lost at most 2 packets", stats)


def judge_sound(t, ours, b):
    x = bb.tone_find(ours, THEY_SEND)
    t.ok(x.snr >= 20, "we hear their %d Hz: %s" % (THEY_SEND, x))
    recs = b.recordings()
    if t.ok(recs, "baresip made a recording"):
        x = bb.tone_find(recs[-1], WE_SEND)
        t.ok(x.snr >= 20, "they hear our %d Hz: %s" % (WE_SEND, x))


@bb.test(60)
def baresip_calls_us(t):
    """Row 3: baresip -> Kamailio -> bellbird, which answers by itself."""
    k, b, e = world(t)
    cap = t.capture()
    b.dial("sip:%s@%s" % (OURS, DOMAIN))
    ours = judge_call(t, e, "in")
    grown(t, lambda: heard(t), TALK_S, "our recording grows")
    stats = (e.calls() or [{}])[0].get("media") or {}
    b.hangup()
    e.no_calls(5)
    cap.stop()
    judge_sound(t, heard(t)[-1], b)
    judge_stats(t, stats, judge_wire(t, k, cap, ours))


@bb.test(60)
def we_call_baresip(t):
    """Row 3: bellbird call --play --record -> Kamailio -> baresip."""
    k, b, e = world(t, **{"audio.device": "null"})
    cap = t.capture()
    rec = os.path.join(t.dir, "record.wav")
    r = e.verb("call", "sip:%s@%s" % (THEIRS, DOMAIN), "--wait", "answered",
               "--play", e.tone, "--record", rec)
    t.ok(r.code == 0, "call --wait answered: exit 0", r)
    ours = judge_call(t, e, "out")
    bb.wait_until(lambda: os.path.exists(rec) and os.path.getsize(rec) > 44,
                  5, "the recording begins")
    grown(t, lambda: [rec], TALK_S, "our recording grows")
    stats = (e.calls() or [{}])[0].get("media") or {}
    r = e.verb("hangup")
    t.ok(r.code == 0, "hangup: exit 0", r)
    e.no_calls(5)
    cap.stop()
    judge_sound(t, rec, b)
    judge_stats(t, stats, judge_wire(t, k, cap, ours))


@bb.test(40)
def srv_records_lead_to_the_registrar(t):
    """sip.proxy without a port: NAPTR, SRV, A; the certificate is judged by
    the domain that was configured, not by what DNS made of it."""
    k = peers.Kamailio(t, domain=DOMAIN, host=peers.ADDRESS,
                       port=peers.SRV_PORT)
    e = t.endpoint(settings={
        "sip.proxy": DOMAIN, "sip.u1.user": OURS, "sip.u1.auth": OURS,
        "sip.transp": "tls"}, identity=t.pki.device, trusted=[t.pki.root],
        secrets={"sip.u1.pwd": peers.password(OURS)}).start()
    a = e.wait_account("registered", 5)
    v = a.get("tls") or {}
    t.ok(a.get("remote") == "%s:%d" % (peers.ADDRESS, k.tls),
         "registered at the SRV target", a.get("remote"))
    t.ok(v.get("expected_name") == DOMAIN and DOMAIN in
         str(v.get("matched")), "the name checked is the domain's", v)
