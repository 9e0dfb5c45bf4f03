# SPDX-License-Identifier: ISC
"""Which certificates count: every rule of trust against every place where an
anchor can be, for SIP (Kamailio) and for provisioning (nginx)."""
import os
import subprocess

import bb
import peers

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
NAMES = ["DNS:localhost", "URI:sip:localhost"]

# Who the server is -> what is said of it where its anchor does not count.
SERVERS = {
    "builtin": "cert.unknown_root",      # under a root of the system's bundle
    "trusted CA": "cert.unknown_root",   # under a CA in certs/trusted
    "trusted self": "cert.self_signed",  # itself in certs/trusted
    "legacy CA": "cert.unknown_root",    # under a CA in siptrusted.pem
    "legacy self": "cert.self_signed",   # itself in siptrusted.pem
    "neither": "cert.unknown_root",
}
# The rule in force -> the servers that it accepts.  Both uses obey it.
ACCEPTS = {
    "builtin": {"builtin"},
    "trusted": {"trusted CA", "trusted self"},
    "siptrusted": {"legacy CA", "legacy self"},
    "builtin+trusted": {"builtin", "trusted CA", "trusted self"},
}


class World:
    """One Kamailio and one nginx, with a port for each server; the endpoints
    differ in their rule only."""

    def __init__(self, t):
        self.t, pki = t, t.pki
        self.cas, self.certs = {}, {}
        for i, name in enumerate(SERVERS):
            file = "trust-%d" % i
            ca = None if "self" in name else pki.ca(file, "CA " + name)
            # A leaf without an intermediate: the anchor is its issuer.
            self.certs[name] = pki.leaf(file + "-leaf", "localhost", ca, NAMES)
            self.cas[name] = ca or self.certs[name]
        self.kamailio = peers.Kamailio(t, certs=self.certs)
        self.nginx = peers.Nginx(t, self.certs)
        for name in ("algopbellbird", "algom" + bb.MAC):
            self.nginx.put("cfg/%s.conf" % name, "call.max = 7\n")
        mine = bb.write(os.path.join(t.dir, "bundle.pem"),
                        bb.read(self.cas["builtin"].crt))
        subprocess.run(["mount", "--bind", mine, BUNDLE], check=True)
        t.closers.append(lambda: subprocess.run(["umount", "-l", BUNDLE],
                                                check=True))

    def endpoint(self, name, rule, server, legacy=True):
        s = {"sip.proxy": "localhost:%d" % self.kamailio.ports[server],
             "sip.u1.user": "1001", "sip.u1.auth": "1001",
             "sip.tls.trust": rule, "prov.tls.trust": rule,
             "prov.server.method": "static", "prov.download.method": "https",
             "prov.server.static": "localhost:%d" % self.nginx.ports[server],
             "prov.download.cfgpath": "/cfg", "audio.device": "null"}
        e = self.t.endpoint(
            name, conf=s, identity=self.t.pki.device,
            trusted=[self.cas["trusted CA"], self.cas["trusted self"]],
            secrets={"sip.u1.pwd": peers.password("1001")})
        if legacy:
            bb.write(os.path.join(e.state, "certs", "siptrusted.pem"),
                     bb.read(self.cas["legacy CA"].crt)
                     + bb.read(self.cas["legacy self"].crt))
        return e.start(ready=False)


def judged(e):
    """(SIP, provisioning) as their two verdicts: "" or a failure class."""
    def sip():
        a = e.account()
        v = a.get("tls") or {}
        if a.get("state") == "registered":
            return [""]
        return [v["class"]] if v.get("class") else None
    got = bb.wait_until(sip, 10, "the account of %s is decided" % e.name,
                        alive=e.proc)[0]
    r = e.verb("prov", "run")
    if r.code == 0 and e.get("call.max") == "7":
        return got, "", r
    return got, r.find("class") or str(r), r


@bb.test(60)
def every_rule_for_every_anchor(t):
    """The table above: a connection of each use for each cell."""
    w = World(t)
    runs = [(rule, server, w.endpoint("%s-%d" % (rule, i), rule, server))
            for rule in ACCEPTS for i, server in enumerate(SERVERS)]
    cells = accepted = 0
    for rule, server, e in runs:
        want = "" if server in ACCEPTS[rule] else SERVERS[server]
        sip, prov, r = judged(e)
        for use, got in (("sip", sip), ("prov", prov)):
            cells += 1
            accepted += got == ""
            t.ok(got == want, "%s, %s, server %s: %s" % (
                rule, use, server, got or "accepted"),
                "expected %r; %s" % (want, r if use == "prov"
                                     else e.account()))
        e.stop()
    t.ok(cells == 48 and accepted == 16, "%d cells, %d accepted"
         % (cells, accepted))


@bb.test(30)
def an_empty_set_refuses(t):
    """siptrusted without its file: every server is refused, for want of
    anchors, and never for want of a check accepted."""
    w = World(t)
    runs = [("siptrusted", s, w.endpoint("none-%d" % i, "siptrusted", s,
                                         legacy=False))
            for i, s in enumerate(SERVERS)]
    for rule, server, e in runs:
        sip, prov, r = judged(e)
        t.ok(sip == prov == "trust.empty",
             "%s without the file, server %s: %s, %s" % (
                 rule, server, sip or "accepted", prov or "accepted"), r)
        e.stop()
    t.ok("BB REGISTER" not in w.kamailio.text()
         and " 200 " not in w.nginx.access(),
         "no request reached a server", w.nginx.access())
