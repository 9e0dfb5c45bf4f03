# SPDX-License-Identifier: ISC
"""bellbird doctor against `openssl s_server`, nginx and plain sockets: it names
what is wrong, and its probes say what works."""
import bb
import peers
import servers
from servers import doctor, probes, s_server


def endpoint(t, **kw):
    return t.endpoint(trusted=[t.pki.root], **kw)


def classed(t, r, cls, code=7):
    t.ok(r.code == code and r.json.get("class") == cls,
         "class %s, exit %d" % (cls, code), r)
    t.ok("[%s]" % cls in r.json.get("text", ""), "the sentence: %s"
         % r.json.get("text"))


@bb.test(60)
def a_fault_of_the_certificate_is_asked_about_again(t):
    e = endpoint(t)
    r = doctor(e, "localhost:%d" % s_server(t, t.pki.server))
    t.ok(r.code == 0 and r.json.get("ok") is True and len(probes(r)) == 1,
         "a good server: exit 0, one connection", r)
    r = doctor(e, "localhost:%d" % s_server(t, t.pki.wrong_name))
    classed(t, r, "cert.name_mismatch")
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
def a_refusal_of_ours_is_asked_about_again(t):
    """Without our certificate, and each version alone."""
    port = s_server(t, t.pki.server, "-Verify", "3", "-verify_return_error",
                    "-CAfile", t.pki.device_ca.crt)
    r = doctor(endpoint(t, identity=t.pki.foreign_device),
               "localhost:%d" % port)
    classed(t, r, "mtls.rejected_ca")
    t.ok(set(probes(r)) == {"policy", "tls1.3", "tls1.2", "no-identity"},
         "the probes that tell something", r)


@bb.test(60)
def no_tls_at_all(t):
    """A web server in clear answers at once; a SIP server in clear waits for
    text, and the probe without TLS gets it to speak."""
    e = endpoint(t)
    port = servers.Raw(t, servers.says(
        b"HTTP/1.1 400 Bad Request\r\n\r\n")).port
    r = doctor(e, "localhost:%d" % port, "--as", "prov")
    classed(t, r, "hs.plaintext")
    t.ok(set(probes(r)) == {"policy", "clear"} and "HTTP/1.1 400"
         in probes(r)["clear"]["finding"],
         "the answer in clear is quoted", r)

    def sip(c):
        if c.recv(4096).startswith(b"OPTIONS "):
            c.sendall(b"SIP/2.0 483 Too Many Hops\r\n\r\n")
    r = doctor(e, "localhost:%d" % servers.Raw(t, sip).port)
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
def usage(t):
    r = doctor(endpoint(t), "bb.test", "--as", "telephone")
    t.ok(r.code == 2, "--as telephone: exit 2", r)
