# SPDX-License-Identifier: ISC
"""Row 4: SIPp's own uac and uas scenarios, 100 calls, none failed: through
stunnel with client certificates, over UDP and over TCP."""
import threading
import time

import bb
import peers

CALLS = 100


def endpoint(t, **settings):
    s = {"audio.device": "null", "call.max": "32",
         "sip.allow": "127.0.0.0/8"}
    s.update(settings)
    return t.endpoint(settings=s, identity=t.pki.device,
                      trusted=[t.pki.root, t.pki.device_ca],
                      server_cert=t.pki.server).start()


def callee(t, e, transport, port, sipp_transport):
    """SIPp uac -> bellbird."""
    # -l: so many at once; they last a little, so that calls overlap.
    u = peers.Sipp(t, "uac", "uac", remote=port, transport=sipp_transport,
                   calls=CALLS, args=["-r", "50", "-l", "20", "-d", "100"])
    code = u.wait(50)
    good, bad = u.counts()
    t.ok(code == 0 and (good, bad) == (CALLS, 0),
         "uac over %s: %d calls, %d failed (exit %s)"
         % (transport, good, bad, code), bb.read(u.dir + "/errors.log")[:2000])
    e.no_calls(5)
    t.ok(True, "no call is left over")


def call_many(t, e, uri):
    """100 calls by the command line, four at a time."""
    bad, lock, left = [], threading.Lock(), list(range(CALLS))

    def worker():
        while True:
            with lock:
                if not left:
                    return
                i = left.pop()
            try:
                r = e.verb("call", uri, "--wait", "answered", timeout=20)
                h = None
                if r.code == 0:
                    h = e.verb("hangup", r.find("call"), timeout=20)
                if r.code != 0 or h.code != 0:
                    with lock:
                        bad.append((i, str(r), str(h)))
            except bb.Failure as x:
                with lock:
                    bad.append((i, str(x)))
    threads = [threading.Thread(target=worker) for _ in range(4)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    t.ok(not bad, "%d calls answered and hung up, %d failed"
         % (CALLS - len(bad), len(bad)), "\n".join(map(str, bad[:3])))


def caller(t, e, transport, sipp_transport, front=None):
    """bellbird -> SIPp uas, directly or through `front`."""
    u = peers.Sipp(t, "uas", "uas", transport=sipp_transport, calls=CALLS,
                   timeout=90)
    port, behind = u.port, None
    if front:
        behind = front(u.port)
        port = behind.port
    host = "localhost" if transport == "tls" else "127.0.0.1"
    cap = t.capture()
    begun = time.monotonic()
    call_many(t, e, "sip:x@%s:%d;transport=%s" % (host, port, transport))
    t.note("%d calls in %.1f s" % (CALLS, time.monotonic() - begun))
    e.no_calls(10)
    code = u.wait(60)
    cap.stop()
    good, bad = u.counts()
    t.ok(code == 0 and (good, bad) == (CALLS, 0),
         "uas over %s: %d calls, %d failed (exit %s)"
         % (transport, good, bad, code), bb.read(u.dir + "/errors.log")[:2000])
    return u, behind, cap


@bb.test(60)
def udp_called(t):
    e = endpoint(t, **{"sip.listen.udp": "127.0.0.1:0"})
    callee(t, e, "udp", e.port("udp"), "u1")


@bb.test(60)
def tcp_called(t):
    e = endpoint(t, **{"sip.listen.tcp": "127.0.0.1:0"})
    callee(t, e, "tcp", e.port("tcp"), "t1")


@bb.test(60)
def tls_called(t):
    """SIPp -> stunnel with a client certificate -> our TLS listener, which
    lets in that name alone."""
    e = endpoint(t, **{"sip.listen.tls": "127.0.0.1:0",
                       "sip.allow": "tls:peer.bb.test"})
    s = peers.Stunnel(t, "stunnel", t.pki.peer, t.pki.root, True,
                      e.port("tls"), check_host="localhost")
    cap = t.capture()
    callee(t, e, "tls", s.port, "t1")
    cap.stop()
    listener = e.port("tls")
    seen = {a for a, d in cap.syn if d == listener}
    t.ok(seen and seen == s.source_ports(),
         "only stunnel connected to our listener", (seen, s.source_ports()))
    sipp_ports = {a for a, d in cap.syn if d == s.port}
    t.ok(not [x for x in cap.syn if x[1] in sipp_ports],
         "nothing connected to SIPp's own port", cap.syn[:10])


@bb.test(30)
def tls_called_by_a_stranger(t):
    """A certificate that is good but not on the list: SIPp's call is refused
    with 403."""
    e = endpoint(t, **{"sip.listen.tls": "127.0.0.1:0",
                       "sip.allow": "tls:somebody-else.bb.test"})
    s = peers.Stunnel(t, "stunnel", t.pki.peer, t.pki.root, True,
                      e.port("tls"), check_host="localhost")
    u = peers.Sipp(t, "uac", "uac", remote=s.port, transport="t1", calls=1,
                   timeout=10)
    code = u.wait(20)
    t.ok(code != 0 and u.counts() == (0, 1), "the call failed",
         (code, u.counts()))
    t.ok(" 403 " in bb.read(u.dir + "/errors.log"), "SIPp got 403",
         bb.read(u.dir + "/errors.log")[:1500])
    t.ok(not e.calls(), "no call came up", e.calls())
    # SIPp repeats its INVITE or ends it by CANCEL as it likes.
    t.ok(e.status()["sip"]["refused"] >= 1, "it is counted",
         e.status().get("sip"))


@bb.test(90)
def udp_calls(t):
    caller(t, endpoint(t), "udp", "u1")


@bb.test(90)
def tcp_calls(t):
    caller(t, endpoint(t), "tcp", "t1")


@bb.test(90)
def tls_calls(t):
    """bellbird -> stunnel, which demands our device certificate -> SIPp uas.
    SIPp writes `transport=TCP` and its clear port into its Contact: ACK and
    BYE must stay on the TLS connection all the same."""
    e = endpoint(t)
    u, s, cap = caller(t, e, "tls", "t1", front=lambda port: peers.Stunnel(
        t, "stunnel", t.pki.server, t.pki.device_ca, False, port))
    seen = {a for a, d in cap.syn if d == u.port}
    t.ok(seen and seen == s.source_ports(),
         "no connection but stunnel's reached SIPp's port (%d)" % len(seen),
         (seen, s.source_ports()))
    t.ok("CN=%s" % bb.MAC in s.proc.text(),
         "stunnel verified the device certificate")
