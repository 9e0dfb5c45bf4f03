# SPDX-License-Identifier: ISC
"""The peers among themselves, without bellbird: where one of these fails, the
bench is at fault.  Not part of a plain run; name it to run it."""
import os
import socket
import ssl
import subprocess

import bb
import peers


@bb.test(20)
def tone_detector(t):
    """The detector tells a tone from noise, another tone and silence."""
    import random
    r = random.Random(1)
    wav = bb.wav_write(os.path.join(t.dir, "a.wav"), 1000, 2.5)
    x = bb.tone_find(wav, 1000)
    t.ok(x.snr > 50, "a clean 1 kHz tone: %s" % x)
    x = bb.tone_find(wav, 440)
    t.ok(x.snr < 0, "looking for 440 Hz in it: %s" % x)
    rate, v = bb.wav_read(wav)
    for level, want in ((0.02, True), (0.2, False)):
        import array
        w = array.array("h", (int(max(-32768, min(32767, s + r.gauss(
            0, 32767 * level)))) for s in v))
        with open(wav, "rb") as f:
            head = f.read(44)
        x = bb.tone_find(bb.write(os.path.join(t.dir, "n.wav"),
                                  head + w.tobytes()), 1000)
        t.ok((x.snr >= 20) == want, "noise of %g: %s" % (level, x))
    x = bb.tone_find(bb.wav_write(os.path.join(t.dir, "s.wav"), 1000, 2,
                                  level=0.0001), 1000)
    t.ok(x.snr < 20, "silence: %s" % x)


@bb.test(20)
def srtp_vectors(t):
    """Session keys as in RFC 3711 B.3, and AES-CM as in B.2."""
    import base64
    k = bb.SrtpKeys(base64.b64encode(
        bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139"
                      "0EC675AD498AFEEBB6960B3AABE6")).decode())
    t.ok(k.enc.hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087", "key")
    t.ok(k.session_salt.hex().upper() == "30CBBC08863D8C85D49DB34A9AE1",
         "salt")
    t.ok(k.auth.hex().upper().startswith("CEBE321F6FF7716B6FD4AB49AF256A15"),
         "authentication key")


@bb.test(30)
def kamailio_wants_a_certificate(t):
    k = peers.Kamailio(t)
    for cert, want in ((t.pki.device, True), (t.pki.foreign_device, False),
                       (None, False)):
        argv = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % k.tls,
                "-CAfile", t.pki.root.crt, "-verify_return_error", "-ign_eof",
                "-verify_hostname", "localhost", "-quiet"]
        if cert:
            argv += ["-cert", cert.chain, "-key", cert.key]
        msg = ("OPTIONS sip:localhost SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;"
               "branch=z9hG4bK1\r\nMax-Forwards: 5\r\nFrom: <sip:a@localhost>"
               ";tag=1\r\nTo: <sip:localhost>\r\nCall-ID: 1\r\nCSeq: 1 "
               "OPTIONS\r\nContent-Length: 0\r\n\r\n")
        p = subprocess.Popen(argv, stdin=subprocess.PIPE, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            out, _ = p.communicate(msg, timeout=2)
        except subprocess.TimeoutExpired:
            p.kill()
            out, _ = p.communicate()
        t.ok(("200 Keepalive" in out) == want,
             "certificate %s: %s" % (cert and os.path.basename(cert.crt),
                                     "served" if want else "refused"), out)


@bb.test(30)
def nginx_checks_the_mac(t):
    bb.need("curl")
    certs = {"good": t.pki.server, "wrong-name": t.pki.wrong_name,
             "expired": t.pki.expired, "self-signed": t.pki.self_signed,
             "unknown-ca": t.pki.unknown_ca}
    n = peers.Nginx(t, certs)
    n.put("cfg/algom%s.conf" % bb.MAC, "call.max = 7\n")
    n.put("cfg/algom%s.conf" % bb.OTHER_MAC, "call.max = 8\n")
    n.put("cfg/algopbellbird.conf", "call.max = 6\n")

    def get(path, server="good", cert=t.pki.device):
        argv = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}",
                "--cacert", t.pki.root.crt,
                "https://localhost:%d%s" % (n.ports[server], path)]
        if cert:
            argv += ["--cert", cert.chain, "--key", cert.key]
        p = subprocess.run(argv, capture_output=True, text=True)
        return p.stdout if p.returncode == 0 else p.stderr
    for path, cert, want in (
            ("/cfg/algom%s.conf" % bb.MAC, t.pki.device, "200"),
            ("/cfg/algom%s.conf" % bb.OTHER_MAC, t.pki.device, "403"),
            ("/cfg/algopbellbird.conf", t.pki.device, "200"),
            ("/cfg/algom%s.conf" % bb.MAC, t.pki.foreign_device, "400"),
            ("/cfg/algom%s.conf" % bb.MAC, None, "400")):
        got = get(path, cert=cert)
        t.ok(got == want, "%s is answered %s" % (path, want), got)
    for server, want in (("wrong-name", "subject name"),
                         ("expired", "expired"),
                         ("self-signed", "self-signed"),
                         ("unknown-ca", "local issuer")):
        got = get("/cfg/algopbellbird.conf", server)
        t.ok(want in got, "%s: curl says '%s'" % (server, want), got)


@bb.test(20)
def lying_server_truncates(t):
    s = peers.LyingServer(t, t.pki.server, 1000, b"x = 1\n")
    bb.need("curl")
    p = subprocess.run(["curl", "-sS", "--cacert", t.pki.root.crt, "--cert",
                        t.pki.device.chain, "--key", t.pki.device.key,
                        "https://localhost:%d/a" % s.port],
                       capture_output=True, text=True)
    t.ok(p.returncode == 18 and s.requests, "curl sees a partial body",
         p.stderr)


@bb.test(20)
def dnsmasq_answers(t):
    peers.Dnsmasq(t, extra=["srv-host=_sips._tcp.x.test,sip.bb.test,5061"],
                  port=5353)
    got = socket.gethostbyname("sip.bb.test")
    t.ok(got == peers.ADDRESS, "the namespace's name server is asked", got)


@bb.test(60)
def baresip_calls_baresip(t):
    """Through Kamailio, TLS and SRTP and Opus; the wire judged as in row 3."""
    import test_baresip as row3
    k = peers.Kamailio(t, algorithm="MD5", domain="bb.test",
                       host=peers.ADDRESS)
    a = peers.Baresip(t, "1001", "bb.test", "sip.bb.test:%d" % k.tls,
                      t.pki.peer, 1000)
    b = peers.Baresip(t, "1002", "bb.test", "sip.bb.test:%d" % k.tls,
                      t.pki.peer, 440)
    cap = t.capture()
    a.dial("sip:1002@bb.test")
    row3.grown(t, b.recordings, 3.5, "baresip 1002 records")
    a.hangup()
    cap.stop()
    for who, hz in ((a, 440), (b, 1000)):
        x = bb.tone_find(who.recordings()[-1], hz)
        t.ok(x.snr >= 20, "%s hears %d Hz: %s" % (who.name, hz, x))
    row3.judge_wire(t, k, cap, ours=())


@bb.test(60)
def sipp_through_stunnel(t):
    uas = peers.Sipp(t, "uas", "uas", transport="t1", calls=20)
    back = peers.Stunnel(t, "stunnel-server", t.pki.server, t.pki.device_ca,
                         False, uas.port)
    front = peers.Stunnel(t, "stunnel-client", t.pki.peer, t.pki.root, True,
                          back.port, check_host="localhost")
    cap = t.capture()
    uac = peers.Sipp(t, "uac", "uac", transport="t1", calls=20,
                     remote=front.port)
    t.ok(uac.wait(30) == 0, "uac: every call succeeded")
    # As the client closes at once, SIPp counts the call whose last 4 s wait
    # that ends as failed: a trait of SIPp, not of the tunnel.
    uas.wait(30)
    t.ok(sum(uas.counts()) == 20 and uas.counts()[1] <= 1,
         "uas: 20 calls", uas.counts())
    t.ok(uac.counts() == (20, 0), "20 calls, 0 failed", uac.counts())
    cap.stop()
    seen = {s for s, d in cap.syn if d == uas.port}
    t.ok(seen and seen == back.source_ports(),
         "the capture and stunnel agree on who connected",
         (seen, back.source_ports()))


@bb.test(30)
def plain_tls_sees_no_certificate(t):
    """The lab of certificates: Python's own TLS judges them the same."""
    for cert, word in ((t.pki.wrong_name, "mismatch"),
                       (t.pki.expired, "expired"),
                       (t.pki.self_signed, "self-signed"),
                       (t.pki.unknown_ca, "local issuer")):
        s = peers.LyingServer(t, cert, 1, b"x")
        c = ssl.create_default_context(cafile=t.pki.root.crt)
        c.load_cert_chain(t.pki.device.chain, t.pki.device.key)
        said = ""
        try:
            with socket.create_connection(("127.0.0.1", s.port), 5) as raw, \
                    c.wrap_socket(raw, server_hostname="localhost"):
                pass
        except ssl.SSLError as e:
            said = str(e)
        t.ok(word in said, "%s: %s" % (os.path.basename(cert.crt), word), said)


@bb.test(30)
def a_peer_that_crashes_is_tried_once_more(t):
    """A run in which Kamailio died of its own fault counts for nothing, the
    second one counts whatever happens; our own crashes always count."""
    def broken(times, ours=False):
        runs = []

        def fn(b):
            runs.append(b)
            k = peers.Kamailio(b, name="k%d" % len(runs))
            children = bb.wait_until(lambda: bb.read(
                "/proc/%d/task/%d/children" % ((k.proc.popen.pid,) * 2)
            ).split(), 5, "kamailio has children", alive=k.proc)
            if ours:
                p = bb.Proc(b, "bellbird", ["sh", "-c", "kill -SEGV $$"])
                p.wait_exit(5)
            elif len(runs) <= times:
                subprocess.run(["kill", "-SEGV", children[-1]], check=True)
                k.proc.wait_exit(5)
            b.ok(k.proc.poll() is None and not ours, "all live")
        fn.deadline = 20
        quiet = []
        return bb.run_one(fn, t.pki, tell=quiet.append), len(runs), quiet
    got, runs, said = broken(1)
    t.ok(got == (1, 0) and runs == 2, "one crash: once more", (got, runs))
    t.ok(any("does not count" in s and "signal 11" in s for s in said),
         "and it says so", said)
    got, runs, said = broken(2)
    t.ok(got == (0, 1) and runs == 2, "two crashes fail", (got, runs))
    got, runs, said = broken(0, ours=True)
    t.ok(got == (0, 1) and runs == 1, "our own crash fails", (got, runs))
