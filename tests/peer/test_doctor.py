# SPDX-License-Identifier: ISC
"""bellbird doctor against `openssl s_server`, nginx and plain sockets: it names
what is wrong, and its probes say what works."""
import socket
import threading

import bb
import peers


def endpoint(t, **kw):
    return t.endpoint(trusted=[t.pki.root], **kw)


def doctor(e, target, *words):
    return e.verb("doctor", target, "--state", e.state, "--conf", e.conf,
                  "--identity", e.identity, *words)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def s_server(t, cert, *words):
    """A TLS server of the openssl command; its port."""
    port = bb.free_port()
    p = bb.Proc(t, "s_server-%d" % port, [
        "openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-quiet",
        "-naccept", "30", "-cert", cert.crt, "-key", cert.key, "-cert_chain",
        cert.chain] + list(words))
    bb.wait_until(lambda: listens(port), 5, "s_server listens", alive=p)
    return port


def probes(r):
    return {p["probe"]: p for p in r.json.get("probes") or []}


def classed(t, r, cls, code=7):
    t.ok(r.code == code and r.json.get("class") == cls,
         "class %s, exit %d" % (cls, code), r)
    t.ok("[%s]" % cls in r.json.get("text", ""), "the sentence: %s"
         % r.json.get("text"))


@bb.test(60)
def every_fault_has_its_class(t):
    e = endpoint(t)
    r = doctor(e, "localhost:%d" % s_server(t, t.pki.server))
    t.ok(r.code == 0 and r.json.get("ok") is True and len(probes(r)) == 1,
         "a good server: exit 0, one connection", r)
    for cert, cls in ((t.pki.wrong_name, "cert.name_mismatch"),
                      (t.pki.expired, "cert.expired"),
                      (t.pki.self_signed, "cert.self_signed"),
                      (t.pki.unknown_ca, "cert.unknown_root")):
        r = doctor(e, "localhost:%d" % s_server(t, cert))
        classed(t, r, cls)
        t.ok(set(probes(r)) == {"policy", "no-sni"}
             and "it showed" in probes(r)["no-sni"]["finding"],
             "asked again without a server name", r)


@bb.test(60)
def versions(t):
    """A server of TLS 1.1 alone: the ladder finds the rung."""
    e = endpoint(t)
    r = doctor(e, "localhost:%d" % s_server(
        t, t.pki.server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"))
    classed(t, r, "hs.version")
    got = {k for k, p in probes(r).items() if p["ok"]}
    t.ok("tls1.1" in got and not got & {"tls1.3", "tls1.2", "tls1.0"},
         "only TLS 1.1 works", r)


@bb.test(60)
def our_certificate(t):
    """A server that demands a certificate: none, a foreign one, the right
    one; TLS 1.3 refuses after the handshake, 1.2 within."""
    for version in ("-tls1_2", "-tls1_3"):
        port = s_server(t, t.pki.server, version, "-Verify", "3",
                        "-verify_return_error", "-CAfile",
                        t.pki.device_ca.crt)
        name = version[1:].replace("_", ".")
        r = doctor(endpoint(t, name="none" + name), "localhost:%d" % port)
        classed(t, r, "mtls.required_none")
        r = doctor(endpoint(t, name="foreign" + name,
                            identity=t.pki.foreign_device),
                   "localhost:%d" % port)
        classed(t, r, "mtls.rejected_ca")
        r = doctor(endpoint(t, name="good" + name, identity=t.pki.device),
                   "localhost:%d" % port)
        t.ok(r.code == 0, "%s: the right one: exit 0" % name, r)


def clear_server(t, talks):
    """A server without TLS: `talks` makes an answer of what came first, None
    to wait on; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    t.closers.append(listener.close)
    kept = []

    def serve():
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            answer = talks(c.recv(4096))
            if answer is None:
                kept.append(c)  # it waits for more
                continue
            c.sendall(answer)
            c.close()
    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


@bb.test(60)
def no_tls_at_all(t):
    """A web server in clear answers at once; a SIP server in clear waits for
    text, and the probe without TLS gets it to speak."""
    e = endpoint(t)
    port = clear_server(t, lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n")
    r = doctor(e, "localhost:%d" % port, "--as", "prov")
    classed(t, r, "hs.plaintext")
    t.ok(set(probes(r)) == {"policy", "clear"} and "HTTP/1.1 400"
         in probes(r)["clear"]["finding"],
         "the answer in clear is quoted", r)
    port = clear_server(t, lambda data: b"SIP/2.0 483 Too Many Hops\r\n\r\n"
                        if data.startswith(b"OPTIONS ") else None)
    r = doctor(e, "localhost:%d" % port)
    classed(t, r, "hs.silent")
    t.ok("SIP/2.0 483" in probes(r)["clear"]["finding"],
         "SIP in clear is found on the port", r)


@bb.test(30)
def nginx_as_prov(t):
    n = peers.Nginx(t, {"good": t.pki.server})
    target = "localhost:%d" % n.ports["good"]
    r = doctor(endpoint(t, identity=t.pki.device), target, "--as", "prov")
    t.ok(r.code == 0 and "HTTP/1.1" in probes(r)["policy"]["finding"],
         "with our certificate: exit 0 and an answer", r)


@bb.test(30)
def nobody_there(t):
    e = endpoint(t)
    r = doctor(e, "localhost:%d" % bb.free_port())
    classed(t, r, "tcp.refused", 1)
    r = doctor(e, "nosuch.bb.test", "--as", "prov")
    classed(t, r, "dns.nxdomain", 1)
    r = doctor(e, "bb.test", "--as", "telephone")
    t.ok(r.code == 2, "--as telephone: exit 2", r)
