# SPDX-License-Identifier: ISC
"""Row 2: provisioning from nginx, `ssl_verify_client on`, the MAC check."""
import os
import re

import bb
import peers

NAME = "Lobby speaker"


def world(t, name="bellbird", server="good", mac=None, **more):
    n = peers.Nginx(t, {
        "good": t.pki.server, "wrong-name": t.pki.wrong_name,
        "expired": t.pki.expired, "self-signed": t.pki.self_signed,
        "unknown-ca": t.pki.unknown_ca})
    n.put("cfg/algopbellbird.conf", "# all speakers\ncall.max = 6\n"
          "sip.u1.dname = A speaker\n")
    n.put("cfg/algom%s.conf" % bb.MAC, "# this one\n\nsip.u1.dname = %s\n"
          % NAME)
    n.put("cfg/algom%s.conf" % bb.OTHER_MAC, "sip.u1.dname = Not ours\n")
    conf = {"prov.server.method": "static", "prov.download.method": "https",
            "prov.server.static": "localhost:%d" % n.ports[server],
            "prov.download.cfgpath": "/cfg", "prov.use": "1"}
    conf.update(more)
    if mac:
        conf["device.mac"] = mac
    e = t.endpoint(name, conf=conf, identity=t.pki.device,
                   trusted=[t.pki.root]).start()
    return n, e


def snapshot(e):
    """Every setting that differs from its default, as one text."""
    r = e.verb("config", "export")
    return r.out


@bb.test(30)
def our_own_file_is_applied(t):
    """200, applied, and each value can be traced to its file and line."""
    n, e = world(t)
    r = e.verb("prov", "run")
    t.ok(r.code == 0, "prov run: exit 0", r)
    t.ok(e.status()["clock"]["trusted"] is True,
         "nginx's Date confirms the clock", e.status().get("clock"))
    t.ok(e.get("sip.u1.dname") == NAME,
         "the device file won: sip.u1.dname = %s" % e.get("sip.u1.dname"))
    t.ok(e.get("call.max") == "6", "the model file counts: call.max = 6",
         e.get("call.max"))
    x = e.verb("config", "explain", "sip.u1.dname")
    won = [l for l in x.json.get("layers") or [] if l.get("wins")]
    t.ok(x.code == 0 and won and won[0].get("line") == 3
         and "algom" + bb.MAC in str(won[0].get("file")),
         "explain: algom%s.conf line 3" % bb.MAC, x)
    lower = [l for l in x.json.get("layers") or []
             if "algopbellbird" in str(l.get("file"))]
    t.ok(lower and lower[0].get("line") == 3 and not lower[0].get("wins"),
         "explain shows the model file's value as beaten", x)
    files = {f.get("name"): f for f in r.find("files") or []}
    own = files.get("algom%s.conf" % bb.MAC) or {}
    t.ok(own.get("state") in ("fetched", "unchanged")
         and own.get("status") in (200, 304),
         "the report tells of the file", r)
    v = (e.status().get("prov") or {}).get("report", {}).get("verdict") or {}
    t.ok(v.get("ok") and (v.get("client_cert") or {}).get("slot")
         == "factory", "the device certificate was shown", v)
    t.ok(' 200 ' in n.access() and "algom%s.conf" % bb.MAC in n.access(),
         "nginx served it", n.access())
    # What was applied outlives the process and the server.
    e.stop()
    n.proc.stop()
    e.start()
    t.ok(e.get("sip.u1.dname") == NAME, "still there after a restart",
         e.get("sip.u1.dname"))
    r = e.verb("prov", "run")
    t.ok(r.code == 10 and e.get("sip.u1.dname") == NAME,
         "server gone: exit 10, last good stays", r)


@bb.test(30)
def a_second_run_changes_nothing(t):
    n, e = world(t)
    first = e.verb("prov", "run")
    r = e.verb("prov", "run")
    t.ok(first.code == 0 and r.code == 0, "both exit 0", r)
    t.ok(not r.find("changed"), "nothing changed the second time", r)
    n.put("cfg/algom%s.conf" % bb.MAC, "sip.u1.dname = New name\n")
    r = e.verb("prov", "run")
    t.ok(r.code == 0 and e.get("sip.u1.dname") == "New name",
         "a new file is seen and applied", r)
    n.put("cfg/algom%s.conf" % bb.MAC, "call.max = 5\n")
    r = e.verb("prov", "run")
    t.ok(r.code == 0 and e.get("sip.u1.dname") == "A speaker"
         and e.get("call.max") == "5",
         "a full file stands alone: what it no longer names falls back",
         (r, e.get("sip.u1.dname"), e.get("call.max")))


@bb.test(30)
def another_devices_file_is_403(t):
    """The MAC of the settings is not that of the certificate."""
    _, e = world(t, mac=bb.OTHER_MAC)
    r = e.verb("prov", "run")
    t.ok(r.code == 10, "prov run: exit 10", r)
    t.ok("403" in str(r.find("class")) or "403" in r.out
         or r.find("class") == "http.client_cert",
         "it tells of the 403: %s" % r.find("class"), r)
    t.ok(e.get("sip.u1.dname") != "Not ours", "nothing of it is in force",
         e.get("sip.u1.dname"))
    warnings = " ".join(e.status().get("warnings") or [])
    t.ok(bb.MAC in (warnings + bb.read(e.proc.log)).lower().replace(":", ""),
         "a MAC that is not the certificate's warns", warnings)


@bb.test(60)
def four_bad_servers(t):
    """Wrong name, expired, self-signed, unknown CA: four classes, four texts,
    settings untouched, exit 10."""
    n, e = world(t)
    r = e.verb("prov", "run")
    t.ok(r.code == 0 and e.get("sip.u1.dname") == NAME,
         "a good run first", r)
    # What a bad server would deliver.
    n.put("cfg/algom%s.conf" % bb.MAC, "sip.u1.dname = Stolen\n")
    classes, texts = {}, {}
    kept = os.path.join(e.state, "prov")
    before = {f: open(os.path.join(kept, f), "rb").read()
              for f in sorted(os.listdir(kept))
              if os.path.isfile(os.path.join(kept, f))} \
        if os.path.isdir(kept) else {}
    for name, want in (("wrong-name", ("cert.name_mismatch",)),
                       ("expired", ("cert.expired",)),
                       ("self-signed", ("cert.self_signed",)),
                       ("unknown-ca", ("cert.unknown_root",
                                       "cert.untrusted_root"))):
        s = e.verb("config", "set", "prov.server.static",
                   "localhost:%d" % n.ports[name])
        t.ok(s.code == 0, "config set prov.server.static", s)
        r = e.verb("prov", "run")
        t.ok(r.code == 10, "%s: exit 10" % name, r)
        t.ok(r.find("class") in want, "%s: class %s" % (
            name, r.find("class")), r)
        text = str(r.find("text") or r.json.get("error") or "")
        t.note("%s: %s" % (name, text))
        classes[name], texts[name] = r.find("class"), text
        t.ok(len(text) > 20, "%s: a sentence" % name, r)
        t.ok(e.get("sip.u1.dname") == NAME, "%s: settings untouched" % name,
             e.get("sip.u1.dname"))
    t.ok(len(set(classes.values())) == 4, "four different classes", classes)
    t.ok(len(set(texts.values())) == 4, "four different texts", texts)
    t.ok("Stolen" not in snapshot(e), "nothing of the bad servers is in force")
    after = {f: open(os.path.join(kept, f), "rb").read()
             for f in sorted(os.listdir(kept))
             if os.path.isfile(os.path.join(kept, f))} \
        if os.path.isdir(kept) else {}
    t.ok(before and not any(b"Stolen" in x for x in after.values()),
         "nor on disk", sorted(after))
    t.ok("Stolen" not in n.access() and n.access().count(" 200 ") == 2,
         "no bad server was asked for a file", n.access())
    e.verb("config", "unset", "prov.server.static")
    r = e.verb("prov", "run")
    t.ok(r.code == 0 and e.get("sip.u1.dname") == "Stolen",
         "and the good server still counts", r)


@bb.test(30)
def a_foreign_device_certificate(t):
    """nginx takes it in the handshake and answers 400: said in words."""
    n, e = world(t)
    e.stop()
    bb.write(os.path.join(e.identity, "device.pem"),
             bb.read(t.pki.foreign_device.pem), 0o600)
    e.start()
    r = e.verb("prov", "run")
    t.ok(r.code == 10, "exit 10", r)
    t.ok(r.find("class") == "http.client_cert",
         "the class is http.client_cert: %s" % r.find("class"), r)


@bb.test(30)
def the_owners_certificate_is_for_sip_only(t):
    """A foreign certs/sipclient.pem: nginx still sees the device certificate,
    Kamailio the owner's."""
    k = peers.Kamailio(t)
    n, e = world(t, **{
        "sip.proxy": "localhost:%d" % k.tls, "sip.u1.user": "1001",
        "sip.u1.auth": "1001", "sip.u1.pwd": peers.password("1001"),
        "audio.device": "null"})
    # The first is of the CA that both servers list: it is the rule of the
    # slots that keeps it from nginx.  The second is of nobody's.
    for name, owner in (("same CA", t.pki.peer),
                        ("other CA", t.pki.foreign_device)):
        e.stop()
        bb.write(os.path.join(e.state, "certs", "sipclient.pem"),
                 bb.read(owner.pem), 0o600)
        e.start()
        r = e.verb("prov", "run")
        v = (e.status().get("prov") or {}).get("report", {}).get("verdict")
        shown = (v or {}).get("client_cert") or {}
        t.ok(r.code == 0 and shown.get("slot") == "factory"
             and bb.MAC in str(shown.get("subject"))
             and e.get("sip.u1.dname") == NAME,
             "owner of the %s: nginx takes the device certificate" % name,
             (r, shown))
        if owner is t.pki.peer:
            v = e.wait_account("registered", 5).get("tls") or {}
            t.ok((v.get("client_cert") or {}).get("slot") == "sip-owner"
                 and "verified=1 cn=peer.bb.test" in k.text()
                 and "cn=" + bb.MAC not in k.text(),
                 "Kamailio sees the owner's", (v, k.text()[-400:]))
    codes = set(re.findall(r'HTTP/1.1" (\d+)', n.access()))
    t.ok(codes and codes <= {"200", "304"}, "nginx answered %s"
         % sorted(codes), n.access())


class Asking(peers.LyingServer):
    """Demands Basic credentials, or sends elsewhere; keeps the requests."""

    def __init__(self, t, location=None):
        self.location, self.seen = location, []
        super().__init__(t, t.pki.server, 0, b"")

    def _serve(self, s):
        data = b""
        while b"\r\n\r\n" not in data:
            more = s.recv(4096)
            if not more:
                return
            data += more
        self.seen.append(data.decode())
        body = b"sip.u1.dname = Told\n"
        if self.location:
            head = "302 Found\r\nLocation: " + self.location
            body = b""
        elif b"\r\nAuthorization: " in data:
            head = "200 OK\r\nContent-Type: text/plain"
        else:
            head = '401 No\r\nWWW-Authenticate: Basic realm="files"'
            body = b""
        s.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n"
                  % (head.encode(), len(body)) + body)
        s.unwrap()

    def told(self):
        return [x for x in self.seen if "Authorization" in x]


@bb.test(30)
def a_password_stays_with_its_server(t):
    """Basic only to a verified server, and never to another port."""
    first = Asking(t)
    e = t.endpoint(conf={
        "prov.server.static": "localhost:%d" % first.port,
        "prov.auth.user": "bob", "prov.auth.pwd": "hunter2"},
        identity=t.pki.device, trusted=[t.pki.root]).start()
    r = e.verb("prov", "run")
    t.ok(r.code == 0 and first.told() and e.get("sip.u1.dname") == "Told",
         "a verified server is told the password", (r, first.seen))
    stranger = Asking(t)
    e.verb("config", "set", "prov.tls.verify", "0")
    e.verb("config", "set", "prov.server.static",
           "localhost:%d" % stranger.port)
    r = e.verb("prov", "run")
    t.ok(r.find("class") == "http.401" and stranger.seen
         and not stranger.told(), "one that is not verified is not",
         (r, stranger.seen))
    e.verb("config", "unset", "prov.tls.verify")
    there = Asking(t)
    here = Asking(t, "https://localhost:%d/x" % there.port)
    e.verb("config", "set", "prov.server.static", "localhost:%d" % here.port)
    r = e.verb("prov", "run")
    t.ok(r.find("class") == "http.redirect" and here.seen
         and not there.seen, "nor is another port of the same host",
         (r, there.seen))
