# SPDX-License-Identifier: ISC
"""Every failure class of docs/TROUBLESHOOTING.md that a connection can have,
made by a server that has the fault, TLS 1.2 and 1.3 where that matters:
through `bellbird doctor`, and a part of them through a running endpoint."""
import base64
import concurrent.futures
import os
import subprocess

import bb
import peers
import servers
from servers import DAY_S, alert, record, s_server, says

V12, V13 = "-tls1_2", "-tls1_3"
BOTH = (V12, V13)
AT_ONCE = 6


class Row:
    """One fault: `make(world, version)` starts the server and returns its
    target; the rest is what must be said."""

    def __init__(self, name, cls, word, make, code=7, use="sip", versions=(None,),
                 identity=None, conf=None, trusted=True, fake=None,
                 finding=None, note=None, live=False):
        self.name, self.cls, self.word, self.make = name, cls, word, make
        self.code, self.use, self.versions = code, use, versions
        self.identity, self.conf = identity, conf or {}
        self.trusted, self.fake = trusted, fake
        self.finding, self.note, self.live = finding, note, live


class World:
    """Certificates and shared things of the rows."""

    def __init__(self, t):
        self.t, self.pki = t, t.pki
        p = t.pki
        names = ["DNS:localhost", "URI:sip:localhost"]
        self.cn_only = p.leaf("cn-only", "localhost", p.inter)
        self.no_ip = p.leaf("no-ip", "localhost", p.inter, names)
        self.wildcard = p.leaf("wildcard", "bb.test", p.inter, ["DNS:*.bb.test"])
        self.client_eku = p.leaf("client-eku", "localhost", p.inter, names,
                                 usage="client")
        self.weak_key = p.leaf("weak-key", "localhost", p.inter, names,
                               key="RSA-1024")
        self.weak_sig = p.leaf("weak-sig", "localhost", p.inter, names,
                               md="sha1")
        self.narrow = p.leaf("narrow", "localhost", p.ca(
            "narrow-ca", "Narrow CA", p.root,
            "nameConstraints=critical,permitted;DNS:elsewhere.test"), names)
        self.tomorrow = p.leaf("tomorrow", "localhost", p.inter, names,
                               dates=("20400101000000Z", "20500101000000Z"))
        self.rsa = p.leaf("rsa", "localhost", p.inter, names, key="RSA-2048")
        self.srv = p.leaf("srv", "sip.bb.test", p.inter, ["DNS:sip.bb.test"])
        self.no_client = p.leaf("no-client", bb.MAC, p.device_ca)
        self.short = p.leaf("short", "localhost", p.inter, names, more=
                            "authorityInfoAccess=caIssuers;"
                            "URI:http://ca.bb.test/inter.crt")
        self.tampered = self.tamper(self.no_ip)

    def tamper(self, cert):
        """The same certificate with one bit of its signature changed."""
        der = bytearray(pem_der(cert.crt))
        der[-1] ^= 1
        c = bb.Cert(self.pki.dir, "tampered")
        bb.write(c.crt, "-----BEGIN CERTIFICATE-----\n%s-----END "
                 "CERTIFICATE-----\n" % base64.encodebytes(bytes(der)).decode())
        bb.write(c.key, bb.read(cert.key), 0o600)
        bb.write(c.chain, bb.read(c.crt) + bb.read(self.pki.inter.crt))
        return c

    def serve(self, cert, *words, **kw):
        return "localhost:%d" % s_server(self.t, cert, *words, **kw)

    def raw(self, talk):
        return "localhost:%d" % servers.Raw(self.t, talk).port

    def asks(self, version, *words, **kw):
        """Demands a certificate of the device CA."""
        return self.serve(self.pki.server, version, "-Verify", "3",
                           "-verify_return_error", "-CAfile",
                           self.pki.device_ca.crt, *words, **kw)

    def crl(self):
        """A list of the device CA that names our certificate."""
        p = self.pki
        conf = os.path.join(p.dir, "device.cnf")
        out = os.path.join(p.dir, "device.crl")
        bb.Pki._run("ca", "-config", conf, "-revoke", p.device.crt, "-keyfile",
                    p.device_ca.key, "-cert", p.device_ca.crt)
        bb.Pki._run("ca", "-config", conf, "-gencrl", "-crldays", "30",
                    "-keyfile", p.device_ca.key, "-cert", p.device_ca.crt,
                    "-out", out)
        return bb.write(out + ".pem", bb.read(out) + bb.read(p.device_ca.crt))


def pem_der(path):
    body = bb.read(path).split("-----BEGIN CERTIFICATE-----")[1] \
        .split("-----END")[0]
    return base64.b64decode(body)


def shows(name, **kw):
    """A server with the certificate `name` of the world or the PKI."""
    def make(w, version):
        cert = getattr(w, name, None) or getattr(w.pki, name)
        return w.serve(cert, version, **{
            k: v(w) if callable(v) else v for k, v in kw.items()})
    return make


def with_root(w):
    """A chain up to and with the root that is not trusted."""
    path = os.path.join(w.pki.dir, "with-root.pem")
    return bb.write(path, bb.read(w.pki.unknown_ca.crt)
                    + bb.read(w.pki.other_ca.crt))


def named(target, name):
    return target.replace("localhost", name)


def server_later(w, version):
    """Its clock is 20 days ahead: our certificate has ended, for it."""
    return w.asks(version, prefix=["faketime", "-f", "+20d"])


RAW_12 = servers.hello_12()
OLD = ("-cipher", "ALL:@SECLEVEL=0")

CERTIFICATES = [
    Row("a good server", "", "verified as", lambda w, v: w.serve(
        w.pki.server, v, "-www"), 0, "prov", BOTH),
    Row("self-signed", "cert.self_signed", "SHA-256", shows("self_signed"),
        versions=BOTH, live=True),
    Row("a root that was sent", "cert.untrusted_root", "Some Other CA",
        shows("unknown_ca", chain=with_root), versions=BOTH),
    Row("the intermediate is not sent", "cert.missing_intermediate",
        "Bellbird Test Intermediate", shows("short", chain=""), versions=BOTH,
        live=True),
    Row("a private CA", "cert.unknown_root", "Some Other CA",
        shows("unknown_ca"), versions=BOTH),
    Row("no anchor at all", "trust.empty", "certs/trusted", shows("server"),
        versions=BOTH, trusted=False, conf={"sip.tls.trust": "trusted"}),
    Row("expired", "cert.expired", "2021", shows("expired"), versions=BOTH,
        live=True),
    Row("expired by a clock that is ahead", "cert.expired", "set the clock",
        shows("server"), versions=BOTH, fake=30, conf={"clock.trusted": "1"}),
    Row("a clock that is ahead and that nobody confirmed", "", "verified as",
        lambda w, v: w.serve(w.pki.server, v, "-www"), 0, "prov", BOTH,
        fake=30),
    Row("not yet valid", "cert.not_yet_valid", "2040", shows("tomorrow"),
        versions=BOTH),
    Row("a foreign name", "cert.name_mismatch", "other.test",
        shows("wrong_name"), versions=BOTH, live=True),
    Row("an address that is not in it", "cert.ip_mismatch", "127.0.0.1",
        lambda w, v: named(w.serve(w.no_ip, v), "127.0.0.1"),
        versions=BOTH),
    Row("common name only", "cert.cn_only", "sip.tls.cn", shows("cn_only"),
        versions=BOTH, live=True),
    Row("a wildcard for SIP", "cert.wildcard_sip", "*.bb.test",
        lambda w, v: named(w.serve(w.wildcard, v), "prov.bb.test"),
        versions=BOTH),
    Row("a wildcard for HTTPS", "", "verified as", lambda w, v: named(
        w.serve(w.wildcard, v, "-www"), "prov.bb.test"), 0, "prov", BOTH),
    Row("RSA 1024", "cert.weak_key", "1024", lambda w, v: w.serve(
        w.weak_key, v, "-cipher", "DEFAULT:@SECLEVEL=0"), versions=BOTH),
    Row("SHA-1 signature", "cert.weak_sig", "SHA1", lambda w, v: w.serve(
        w.weak_sig, v, "-cipher", "DEFAULT:@SECLEVEL=0"), versions=BOTH),
    Row("a client's certificate", "cert.eku", "serverAuth",
        shows("client_eku"), versions=BOTH, live=True),
    Row("a changed signature", "cert.bad_signature", "signature",
        shows("tampered"), versions=BOTH),
    Row("outside the names its CA may give", "cert.invalid", "subtree",
        shows("narrow"), versions=BOTH),
    Row("what is no certificate", "cert.malformed", "read", lambda w, v:
        w.raw(says(record(22, RAW_12 + servers.certificate_12(b"zzzz")),
                   False))),
    Row("a chain of no certificate", "hs.protocol", "DECODE_ERROR",
        lambda w, v: w.raw(says(record(22, RAW_12 + servers.certificate_12()),
                                False))),
]

HANDSHAKES = [
    Row("nothing listens", "tcp.refused", "nothing listens", lambda w, v:
        "localhost:%d" % bb.free_port(), 1, live=True),
    Row("no answer to the SYN", "tcp.timeout", "did not answer", lambda w, v:
        "127.0.0.1:%d" % servers.unanswered(w.t), 4),
    Row("no route", "tcp.unreachable", "reached", lambda w, v:
        "203.0.113.9:5061", 1),
    Row("a route that is forbidden", "tcp.failed", "denied", lambda w, v:
        "203.0.113.10:5061", 1),
    Row("a reset after the hello", "tcp.reset_in_hs", "cut the connection",
        lambda w, v: w.raw(servers.resets), 1, live=True),
    Row("closed after the hello", "tcp.closed_in_hs", "without a word",
        lambda w, v: w.raw(says(b"")), 1, live=True),
    Row("closed amid its flight", "tcp.closed_in_hs", "during the handshake",
        lambda w, v: w.raw(says(record(22, RAW_12))), 1),
    Row("never a word", "hs.silent", "sent nothing", lambda w, v: w.raw(
        says(b"", False))),
    Row("a hello and then nothing", "hs.silent", "did not finish", lambda w, v:
        w.raw(says(record(22, RAW_12), False))),
    Row("a web server in clear", "hs.plaintext", "HTTP/1.1 400", lambda w, v:
        w.raw(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")), live=True),
    Row("a SIP server in clear", "hs.plaintext", "SIP/2.0 400", lambda w, v:
        w.raw(says(b"SIP/2.0 400 Bad Request\r\n\r\n"))),
    Row("a mail server that speaks first", "hs.plaintext", "220 mail",
        lambda w, v: w.raw(lambda c: c.sendall(b"220 mail ESMTP\r\n"))),
    Row("TLS 1.1 alone", "hs.version", "TLS 1.2", lambda w, v: w.serve(
        w.pki.server, "-tls1_1", *OLD), live=True),
    Row("TLS 1.0 alone", "hs.version", "TLS 1.2", lambda w, v: w.serve(
        w.pki.server, "-tls1", *OLD)),
    Row("TLS 1.3 alone, 1.2 here", "hs.version", "TLS 1.2", shows("server"),
        versions=(V13,), conf={"sip.tls.max": "1.2"}),
    Row("TLS 1.2 alone, 1.3 here", "hs.version", "TLS 1.3", shows("server"),
        versions=(V12,), conf={"sip.tls.min": "1.3"}),
    Row("finite-field DHE alone", "hs.no_common", "cipher", lambda w, v:
        w.serve(w.rsa, v, "-cipher", "DHE-RSA-AES128-GCM-SHA256"),
        versions=(V12,), live=True),
    Row("RSA key exchange alone", "hs.no_common", "legacy", lambda w, v:
        w.serve(w.rsa, v, "-cipher", "AES128-GCM-SHA256"), versions=(V12,)),
    Row("P-521 alone", "hs.no_common", "group", lambda w, v: w.serve(
        w.pki.server, v, "-groups", "P-521"), versions=BOTH),
    Row("alert insufficient_security", "hs.no_common", "71", lambda w, v:
        w.raw(says(alert(71)))),
    Row("a name it does not know", "hs.sni", "localhost", lambda w, v:
        w.serve(w.pki.server, v, "-servername", "elsewhere.test", "-cert2",
                 w.pki.server.crt, "-key2", w.pki.server.key,
                 "-servername_fatal"), versions=BOTH),
    Row("no protocol in common", "hs.alpn", "ALPN", lambda w, v: w.raw(says(
        alert(120)))),
    Row("an alert of its own", "hs.refused", "internal_error", lambda w, v:
        w.raw(says(alert(80)))),
    Row("bytes that are no TLS", "hs.protocol", "broke the TLS protocol",
        lambda w, v: w.raw(says(record(22, servers.message(99, b"xx"))))),
    Row("a cipher that was not offered", "hs.no_common", "cipher",
        lambda w, v: w.raw(says(record(22, servers.hello_12(0xC013)), False))),
]

MUTUAL = [
    Row("demands a certificate, none here", "mtls.required_none",
        "Bellbird Test Device CA", lambda w, v: w.asks(v), versions=BOTH,
        live=True),
    Row("does not know our CA", "mtls.rejected_ca", "slot factory",
        lambda w, v: w.asks(v), versions=BOTH, identity="foreign_device",
        live=True),
    Row("our purpose is another", "mtls.rejected_eku", "43",
        lambda w, v: w.asks(v), versions=BOTH, identity="no_client"),
    Row("ours has ended, by its clock", "mtls.rejected_expired", "45",
        server_later, versions=BOTH, identity="device", live=True),
    Row("ours is on its list", "mtls.rejected_revoked", "44",
        lambda w, v: w.asks(v, "-CRL", w.revoked, "-crl_check"),
        versions=BOTH, identity="device"),
    Row("its own reason", "mtls.rejected_unknown", "46", lambda w, v: w.asks(
        v, "-policy_check", "-explicit_policy"), versions=BOTH,
        identity="device"),
    Row("takes ours", "", "our certificate: factory", lambda w, v: w.asks(
        v, "-www"), 0, "prov", BOTH, identity="device"),
    Row("does not ask for ours", "", "verified as", lambda w, v: w.serve(
        w.pki.server, v, "-www"), 0, "prov", BOTH, identity="device",
        finding="mtls.not_asked"),
    Row("asks for another CA's", "", "verified as", lambda w, v: w.serve(
        w.pki.server, v, "-www", "-verify", "3", "-CAfile",
        w.pki.other_ca.crt), 0, "prov", BOTH, identity="device",
        finding="mtls.issuer_not_listed"),
    Row("Kamailio, no certificate", "mtls.required_none", "demands",
        lambda w, v: "localhost:%d" % w.kamailio.tls,
        versions=("1.2", "1.3")),
    Row("Kamailio, a foreign one", "mtls.rejected_ca", "slot factory",
        lambda w, v: "localhost:%d" % w.kamailio.tls,
        versions=("1.2", "1.3"), identity="foreign_device"),
    Row("nginx, no certificate", "http.client_cert", "none was shown",
        lambda w, v: "localhost:%d" % w.nginx.ports["good"], 7, "prov",
        ("1.2", "1.3")),
    Row("nginx, a foreign one", "http.client_cert", "does not take",
        lambda w, v: "localhost:%d" % w.nginx.ports["good"], 7, "prov",
        ("1.2", "1.3"), identity="foreign_device"),
]

NAMES = [
    Row("a name that is not", "dns.nxdomain", "nosuch.bb.test", lambda w, v:
        "nosuch.bb.test", 1),
    Row("a name without an address", "dns.nodata", "no address", lambda w, v:
        "bb.test", 1, "prov"),
    Row("a name server that does not help", "dns.fail", "name servers",
        lambda w, v: "server.example.net", 1, "prov"),
    Row("SRV leads to a host, and only that is named", "cert.name_mismatch",
        "sip.bb.test", lambda w, v: s_server(
            w.t, w.srv, host=peers.ADDRESS, port=peers.SRV_PORT) and "bb.test",
        note="dns.srv_target"),
]


def version_of(v):
    return None if v is None else v[-3:].replace("_", ".")


def settings_of(row, version):
    """What the endpoint of a row has set; where the server has both versions
    it is the client that has one."""
    conf = dict(row.conf)
    if version in ("1.2", "1.3"):
        conf["%s.tls.min" % row.use] = conf["%s.tls.max" % row.use] = version
    return conf


def judge(w, number, row, version):
    """Runs doctor; returns the checks: (good, text, detail)."""
    label = "%s%s" % (row.name, ", TLS " + version_of(version)
                      if version else "")
    try:
        target = row.make(w, version)
        e = w.t.endpoint(
            "row%d%s" % (number, version or ""),
            conf=settings_of(row, version),
            trusted=[w.pki.root] if row.trusted else [],
            identity=row.identity and (getattr(w, row.identity, None)
                                       or getattr(w.pki, row.identity)))
        r = servers.doctor(e, target, "--as", row.use,
                           env=dict(w.shim, BB_CLOCK_S=str(row.fake * DAY_S))
                           if row.fake else None)
    except bb.Failure as x:
        return [(False, label, x)]
    text = r.json.get("text", "")
    v = r.json.get("verdict") or {}
    good = r.code == row.code and r.json.get("class") == row.cls \
        and row.word in text and (not row.cls or "[%s]" % row.cls in text)
    out = [(good, "%s: %s, exit %d, \"%s\"" % (label, row.cls or "ok",
                                             row.code, row.word), r)]
    if row.finding:
        out.append((row.finding in (v.get("findings") or []),
                    "%s: %s is noted" % (label, row.finding), v))
    if row.note:
        out.append((any(row.note in n for n in r.json.get("notes") or []),
                    "%s: %s is noted" % (label, row.note), r))
    return out


def all_rows(t, rows):
    bb.need("openssl", "faketime", "ip")
    w = World(t)
    if rows is CERTIFICATES:
        w.shim = servers.clock_shim(t)
    if rows is MUTUAL:
        w.revoked = w.crl()
        w.kamailio = peers.Kamailio(t)
        w.nginx = peers.Nginx(t, {"good": t.pki.server})
    if rows is HANDSHAKES:
        for kind, where in (("unreachable", "203.0.113.9"),
                            ("prohibit", "203.0.113.10")):
            subprocess.run(["ip", "route", "add", kind, where], check=True)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(judge, w, i, row, v)
                for i, row in enumerate(rows) for v in row.versions]
        for run in runs:
            for check in run.result():
                t.ok(*check)


@bb.test(90)
def faults_of_the_certificate(t):
    all_rows(t, CERTIFICATES)


@bb.test(90)
def faults_of_the_handshake(t):
    all_rows(t, HANDSHAKES)


@bb.test(90)
def faults_of_our_certificate(t):
    all_rows(t, MUTUAL)


@bb.test(60)
def faults_of_the_name(t):
    all_rows(t, NAMES)


def account(w, row, number, target):
    """A running endpoint whose account goes to `target`."""
    conf = dict(row.conf)
    conf.update({"sip.proxy": target, "sip.u1.user": "1001",
                 "sip.u1.auth": "1001", "sip.transp": "tls"})
    return w.t.endpoint(
        "live%d" % number, conf=conf, trusted=[w.pki.root],
        identity=row.identity and (getattr(w, row.identity, None)
                                   or getattr(w.pki, row.identity)),
        secrets={"sip.u1.pwd": "secret"}).start()


def judge_live(w, number, row, version):
    """The account's verdict, the event and `tls last` say the same."""
    label = "endpoint: %s%s" % (row.name, ", TLS " + version_of(version)
                                if version else "")
    try:
        target = row.make(w, version)
        if row in HANDSHAKES:  # a name with one address: one attempt
            target = named(target, "prov.bb.test")
        host = target.split(":")[0]
        e = account(w, row, number, target)
        v = e.wait_class(15)
        event = e.verb("wait", "tls.verdict", "--since", "0", "--where",
                       "class=" + row.cls, "--timeout", "10", timeout=20)
        last = e.verb("tls", "last", host)
        e.stop()
    except bb.Failure as x:
        return [(False, label, x)]
    kept = [c.get("class") for c in last.json.get("connections") or []]
    return [(v.get("class") == row.cls and row.word in v.get("text", ""),
             "%s: %s" % (label, row.cls), v),
            (event.code == 0 and row.word in event.out,
             "%s: the event says so" % label, event),
            (last.code == 0 and row.cls in kept,
             "%s: tls last says so" % label, last)]


@bb.test(90)
def a_running_endpoint_says_the_same(t):
    w = World(t)
    rows = [r for r in CERTIFICATES + HANDSHAKES + MUTUAL if r.live]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(judge_live, w, i, row, v)
                for i, (row, v) in enumerate(
                    (row, v) for row in rows for v in row.versions)]
        for run in runs:
            for check in run.result():
                t.ok(*check)


@bb.test(60)
def faults_of_our_files(t):
    """A slot whose file does not hold stays empty, and the class says why."""
    p = t.pki
    locked = os.path.join(p.dir, "locked.key")
    bb.Pki._run("pkey", "-in", p.device.key, "-aes256", "-passout",
                "pass:secret", "-out", locked)
    for cls, text in (
            ("key.mismatch", bb.read(p.foreign_device.key)
             + bb.read(p.device.crt)),
            ("key.encrypted", bb.read(locked) + bb.read(p.device.crt)),
            ("key.unreadable", bb.read(p.device.crt)),
            ("key.unreadable", "no PEM at all\n")):
        e = t.endpoint("key%d" % len(t.procs))
        bb.write(os.path.join(e.identity, "device.pem"), text, 0o600)
        e.start()
        slot = [c for c in e.status().get("certs") or []
                if c.get("slot") == "factory"]
        t.ok(slot and "[%s]" % cls in (slot[0].get("error") or ""),
             "%s: the status says so" % cls, slot)
        t.ok("[%s]" % cls in e.proc.text(), "%s: and the log" % cls,
             e.proc.text()[-600:])
        e.stop()
