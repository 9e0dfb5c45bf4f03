# SPDX-License-Identifier: ISC
"""Enrolment (EST, RFC 7030): a CA of Python and the openssl command that
demands a client certificate issues, renews, hesitates, refuses and lies."""
import base64
import email.utils
import hashlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import bb
import peers
import registrar

CN = "owner-1001"
CONF = """[ca]
default_ca=d
[d]
database=%(dir)s/index
new_certs_dir=%(dir)s
default_md=sha256
policy=p
unique_subject=no
rand_serial=yes
copy_extensions=copy
[p]
commonName=supplied
serialNumber=optional
organizationName=optional
[ext]
basicConstraints=critical,CA:FALSE
"""


def stamp(t):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(t))


def openssl(*args, data=None):
    p = subprocess.run(("openssl",) + args, capture_output=True, input=data)
    if p.returncode != 0:
        raise bb.Failure("openssl %s: %s" % (args[0], p.stderr[-300:]))
    return p.stdout


class Ca:
    """The EST server.  `mode`: issue, pending, refuse, foreign, expired, html,
    garbage, huge, auth."""

    def __init__(self, t, life=864000, server=None, port=0, label=""):
        self.t, self.life, self.mode = t, life, "issue"
        self.prefix = "/.well-known/est/" + (label + "/" if label else "")
        self.dir = os.path.join(t.dir, "est-ca%d" % len(t.closers))
        os.makedirs(self.dir)
        bb.write(os.path.join(self.dir, "index"), "")
        self.conf = bb.write(os.path.join(self.dir, "cnf"),
                             CONF % {"dir": self.dir})
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server = server or t.pki.server
        self.ctx.load_cert_chain(server.chain, server.key)
        self.ctx.load_verify_locations(t.pki.device_ca.crt)
        self.ctx.verify_mode = ssl.CERT_REQUIRED
        self.seen = []  # (operation, client's CN, SHA-256 of the request)
        self.auth, self.faults = [], []
        self.date = False  # says what time it is
        self.issued = 0
        self.listener = None
        self.port = port
        self.up()
        t.closers.append(self.down)

    def up(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, args=(self.listener,),
                         daemon=True).start()
        return self

    def down(self):
        if self.listener:
            # close() alone does not wake the thread in accept().
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None

    def _run(self, listener):
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            try:
                raw.settimeout(10)
                with self.ctx.wrap_socket(raw, server_side=True) as s:
                    self._serve(s)
            except (OSError, bb.Failure) as e:
                self.faults.append(str(e))

    def _serve(self, s):
        data = b""
        while b"\r\n\r\n" not in data:
            data += s.recv(65536) or exit()
        head, body = data.split(b"\r\n\r\n", 1)
        head = head.decode()
        n = int((re.search(r"(?i)content-length: (\d+)", head) or [0, 0])[1])
        while len(body) < n:
            body += s.recv(65536)
        path = head.split()[1]
        subject = dict(x[0] for x in s.getpeercert()["subject"])
        op = path[len(self.prefix):] if path.startswith(self.prefix) else ""
        self.seen.append((op, subject.get("commonName"),
                          hashlib.sha256(body).hexdigest()))
        auth = re.search(r"(?m)^Authorization: (.*?)\r?$", head)
        self.auth.append(auth[1] if auth else None)
        status, more, answer = self._answer(op, body, auth)
        if self.date:
            more += "Date: %s\r\n" % email.utils.formatdate(usegmt=True)
        s.sendall(("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (
            status, more, len(answer))).encode() + answer)
        try:
            s.unwrap()
        except OSError:
            pass

    def _answer(self, op, body, auth):
        p7 = "Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n" \
             "Content-Transfer-Encoding: base64\r\n"
        if op == "cacerts":
            return "200 OK", p7, self._p7([self.t.pki.device_ca.crt])
        if op not in ("simpleenroll", "simplereenroll"):
            return "404 Not Found", "", b""
        if self.mode == "pending":
            return "202 Accepted", "Retry-After: 3\r\n", b""
        if self.mode == "refuse":
            return "403 Forbidden", "Content-Type: text/plain\r\n", \
                b"no \x1b[31mred\x1b[0m devices\r\nat all"
        if self.mode == "html":
            return "200 OK", "Content-Type: text/html\r\n", b"<p>Log in"
        if self.mode == "garbage":
            return "200 OK", p7, base64.b64encode(b"0\x03\x02\x01\x00")
        if self.mode == "huge":
            return "200 OK", p7, b"QUFB\r\n" * 100000
        if self.mode == "auth" and not (auth and auth[1] == "Basic "
                                        + base64.b64encode(b"u:pw ord")
                                        .decode()):
            return "401 Unauthorized", \
                "WWW-Authenticate: Basic realm=\"x\"\r\n", b""
        return "200 OK", p7, self._issue(base64.b64decode(body))

    def _issue(self, der):
        self.issued += 1
        base = os.path.join(self.dir, "c%d" % self.issued)
        if self.mode == "foreign":
            der = openssl("req", "-new", "-newkey", "ec", "-pkeyopt",
                          "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                          base + ".key", "-subj", "/CN=" + CN, "-outform",
                          "DER")
        bb.write(base + ".csr", openssl("req", "-inform", "DER", data=der))
        self.text = openssl("req", "-in", base + ".csr", "-noout", "-text",
                            "-verify").decode()
        start, end = time.time(), time.time() + self.life
        if self.mode == "backdated":  # two thirds of its life are over
            start = start - 3 * self.life
        if self.mode == "expired":
            start, end = start - 7200, start - 3600
        openssl("ca", "-batch", "-notext", "-preserveDN", "-config", self.conf,
                "-extensions", "ext", "-in", base + ".csr", "-out",
                base + ".crt", "-cert", self.t.pki.device_ca.crt, "-keyfile",
                self.t.pki.device_ca.key, "-startdate", stamp(start),
                "-enddate", stamp(end))
        return self._p7([base + ".crt"])

    def _p7(self, files):
        args = [x for f in files for x in ("-certfile", f)]
        return base64.encodebytes(openssl("crl2pkcs7", "-nocrl", "-outform",
                                          "DER", *args))


def world(t, ca, start=True, trust=True, secrets=None, **more):
    conf = {"est.server": "localhost:%d" % ca.port, "est.cn": CN,
            "est.san": "URI:sip:1001@localhost", "prov.use": "0",
            "clock.trusted": "1"}
    conf.update(more)
    e = t.endpoint(conf=conf, identity=t.pki.device, secrets=secrets,
                   trusted=[t.pki.root] if trust else [])
    return e.start() if start else e


def slot(e):
    for c in e.status().get("certs") or []:
        if c["slot"] == "sip-owner":
            return c
    return {}


def enrolled(e, seconds=10, other_than=None):
    def there():
        c = slot(e)
        return c if c.get("sha256") not in (None, other_than) else None
    return bb.wait_until(there, seconds, "an owner's certificate",
                         alive=e.proc)


def state(e):
    return e.status().get("enroll") or {}


def wait_state(e, name, seconds=10):
    return bb.wait_until(lambda: state(e).get("state") == name and state(e),
                         seconds, "enroll is " + name, alive=e.proc)


def failed(t, r, code, cls, what):
    t.ok(r.code == code and r.find("class") == cls,
         "%s: exit %d, class %s" % (what, code, cls), r)


def installed(e):
    path = os.path.join(e.state, "certs", "sipclient.pem")
    return open(path).read() if os.path.exists(path) else ""


@bb.test(60)
def enrols_with_the_factory_certificate_and_sip_uses_it(t):
    k = peers.Kamailio(t)
    ca = Ca(t)
    e = world(t, ca, secrets={"sip.u1.pwd": peers.password("1001")}, **{
        "sip.transp": "tls", "sip.proxy": "localhost",
        "sip.obproxy": "127.0.0.1:%d" % k.tls, "sip.u1.user": "1001"})
    c = enrolled(e)
    t.ok(c["subject"] == "CN=" + CN, "the certificate is that of the owner", c)
    t.ok(ca.seen[0][:2] == ("simpleenroll", bb.MAC),
         "asked for with the device's certificate", ca.seen)
    t.ok("URI:sip:1001@localhost" in ca.text
         and "TLS Web Client Authentication" in ca.text,
         "names and purpose are in the request", ca.text)
    path = os.path.join(e.state, "certs", "sipclient.pem")
    t.ok(os.stat(path).st_mode & 0o777 == 0o600, "the file is 0600")
    bb.wait_until(lambda: "cn=" + CN in k.text(), 10,
                  "SIP shows the new certificate", alive=e.proc)
    a = e.wait_account("registered", 10)
    t.ok(((a.get("tls") or {}).get("client_cert") or {}).get("slot")
         == "sip-owner", "registered with the owner's slot", a.get("tls"))
    r = e.verb("cert", "enroll")
    t.ok(r.code == 0 and r.json.get("state") == "current"
         and len(ca.seen) == 1, "nothing is due: exit 0, nobody is asked", r)
    before = slot(e)["sha256"]
    r = e.verb("cert", "enroll", "--now")
    t.ok(r.code == 0 and slot(e).get("sha256") != before
         and ca.seen[-1][:2] == ("simplereenroll", CN),
         "--now: renewed, with the certificate itself", (r, ca.seen))
    t.ok(ca.seen[0][2] != ca.seen[1][2], "with a fresh key")
    log = e.ask("status")
    e.stop()
    now, asked = installed(e), len(ca.seen)
    e.start()
    t.ok(slot(e).get("sha256") == (log and [
        c for c in log["certs"] if c["slot"] == "sip-owner"][0]["sha256"]),
        "the same after a restart", slot(e))
    e.wait_account("registered", 10)
    t.ok(len(ca.seen) == asked and installed(e) == now,
         "and nobody is asked again", ca.seen)
    t.ok(not any("PRIVATE" in bb.read(x) for x in t.logs),
         "no key in any log")


@bb.test(90)
def renews_at_two_thirds_with_a_call_up(t):
    ca = Ca(t, life=30)
    e = world(t, ca)
    first = enrolled(e)
    begun = time.time()
    e.stop()
    reg = registrar.Registrar(t, "127.0.0.1")
    t.closers.append(reg.close)
    bb.write(e.conf, bb.read(e.conf) + "sip.transp = tls\n"
             "sip.proxy = localhost\nsip.obproxy = 127.0.0.1:%d\n"
             "sip.u1.user = 1001\naudio.device = tone:440\n" % reg.port, 0o600)
    e.start()
    reg.registered()
    to = reg.invite()
    t.ok(len(ca.seen) == 1, "after a restart nothing is due", ca.seen)
    second = enrolled(e, 40, other_than=first["sha256"])
    took = time.time() - begun
    t.ok(17 <= took <= 29, "renewed after %.0f of 30 s" % took)
    t.ok(ca.seen[1][:2] == ("simplereenroll", CN),
         "by simplereenroll, with the certificate itself", ca.seen)
    t.ok(second["subject"] == first["subject"]
         and "URI:sip:1001@localhost" in ca.text, "the same names", ca.text)
    t.ok(len(e.wait_call(2, state="established")) > 0, "the call is up")
    reg.request("BYE", 2, to, branch="b")
    code, _ = reg.final("BYE")
    t.ok(code == 200, "and ended by its own connection: BYE %d" % code)
    e.no_calls(5)


@bb.test(60)
def an_unconfirmed_clock_waits(t):
    """It may be wrong by years; a verified Date, or the operator, confirms."""
    ca = Ca(t, life=12)
    e = world(t, ca, **{"clock.trusted": "0"})
    if e.status()["clock"]["trusted"]:
        t.note("this machine's clock is kept by NTP: nothing to see here")
        return
    first = enrolled(e)
    bb.wait_until(lambda: any("clock that nothing" in w for w in
                              e.status()["warnings"]), 15,
                  "it is due by the clock, and said", alive=e.proc)
    t.ok(len(ca.seen) == 1, "and not asked for", ca.seen)
    e.verb("config", "set", "clock.trusted", "1")
    second = enrolled(e, 5, other_than=first["sha256"])
    t.ok(second["subject"] == first["subject"], "the clock is good: renewed")


def ended_while_off(t, trusted):
    """An endpoint that starts with an owner's certificate that has ended."""
    ca = Ca(t, life=4)
    e = world(t, ca, **{"clock.trusted": "0"})
    first = enrolled(e)
    e.stop()
    end = time.time() + 5
    bb.wait_until(lambda: time.time() > end, 10, "it has ended")
    ca.life = 86400
    e.settings["clock.trusted"] = trusted
    return ca, e.start(), first


@bb.test(60)
def the_device_helps_where_the_old_one_has_ended(t):
    """The clock is good: it is seen here."""
    ca, e, first = ended_while_off(t, "1")
    enrolled(e, other_than=first["sha256"])
    t.ok([x[:2] for x in ca.seen] == [("simpleenroll", bb.MAC)] * 2,
         "asked for with the device's certificate at once", ca.seen)


@bb.test(60)
def the_device_helps_where_the_old_one_is_refused(t):
    """Nothing confirms the clock: the server says that it has ended."""
    ca, e, first = ended_while_off(t, "0")
    s = e.status()
    t.ok(s["clock"]["trusted"] is False, "the clock of this machine is not "
         "kept by NTP (else this test sees nothing)", s["clock"])
    t.ok(s["enroll"]["state"] == "current" and len(ca.seen) == 1,
         "not certain here that it has ended", (s["enroll"], ca.seen))
    failed(t, e.verb("cert", "enroll", "--now"), 7,
           "mtls.rejected_expired", "the old one")
    r = e.verb("cert", "enroll", "--now")
    t.ok(r.code == 0, "again: with the device's", r)
    enrolled(e, other_than=first["sha256"])
    t.ok(ca.seen[-1][:2] == ("simpleenroll", bb.MAC),
         "asked for with the device's certificate", ca.seen)


def asked_no_more(ca, seconds, what):
    n = len(ca.seen)
    try:
        bb.wait_until(lambda: len(ca.seen) > n, seconds, what)
    except bb.Timeout:
        return True
    return False


@bb.test(30)
def one_that_is_late_when_it_comes_is_not_asked_for_at_once(t):
    """A CA that backdates: every device would ask it for ever."""
    ca = Ca(t, life=86400)
    ca.mode = "backdated"
    e = world(t, ca)
    enrolled(e)
    t.ok(asked_no_more(ca, 2, "another request") and len(ca.seen) == 1,
         "asked for once", ca.seen)
    s = state(e)
    t.ok(s["state"] == "current" and s["next"] > time.strftime(
        "%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 20)),
        "and again only later: %s" % s["next"], s)


@bb.test(30)
def a_date_that_confirms_the_clock_asks_nothing_twice(t):
    """The answer that brings the certificate also makes the clock good, and a
    good clock looks what is due."""
    ca = Ca(t)
    ca.date = True
    e = world(t, ca, **{"clock.trusted": "0"})
    enrolled(e)
    bb.wait_until(lambda: "the clock is confirmed by" in e.proc.text(), 5,
                  "the Date confirms the clock", alive=e.proc)
    t.ok(e.status()["clock"]["trusted"] is True, "the clock is good")
    t.ok(asked_no_more(ca, 1, "another request")
         and [x[0] for x in ca.seen] == ["simpleenroll"],
         "one request, no other", ca.seen)
    ca.mode = "refuse"
    r = e.verb("cert", "enroll", "--now")
    t.ok(r.code == 5 and asked_no_more(ca, 1, "another request"),
         "nor after a refusal", (r, ca.seen))


def anchors(e):
    return sorted(c["where"] for c in e.verb("cert", "expiry")
                  .json["certificates"] if c["kind"] == "anchor")


@bb.test(60)
def reload_and_hup_look_at_all_that_changed(t):
    """A mount over certs/ is not seen by the watch: only a reload tells."""
    ca = Ca(t)
    e = world(t, ca)
    first = enrolled(e)
    certs = os.path.join(e.state, "certs")
    other = os.path.join(t.dir, "certs")
    shutil.copytree(certs, other)
    os.unlink(os.path.join(other, "sipclient.pem"))
    shutil.copy(t.pki.other_ca.crt, os.path.join(other, "trusted", "b.pem"))
    had = anchors(e)
    subprocess.run(["mount", "--bind", other, certs], check=True)
    try:
        e.status()
        t.ok(anchors(e) == had and "b.pem" not in had,
             "status and cert expiry read no file", anchors(e))
        e.verb("reload")
        second = enrolled(e, other_than=first["sha256"])
        t.ok(anchors(e) == sorted(had + ["b.pem"]),
             "reload: the anchors are those of now", anchors(e))
        t.ok(len(ca.seen) == 2, "and the certificate that is gone is asked "
             "for", ca.seen)
        os.unlink(os.path.join(certs, "sipclient.pem"))
        os.kill(e.proc.popen.pid, signal.SIGHUP)
        enrolled(e, other_than=second["sha256"])
        t.ok(len(ca.seen) == 3, "HUP does the same", ca.seen)
    finally:
        subprocess.run(["umount", "-l", certs], check=True)


@bb.test(60)
def a_server_that_is_away_leaves_the_old_one(t):
    ca = Ca(t)
    e = world(t, ca)
    enrolled(e)
    old = installed(e)
    ca.down()
    r = e.verb("cert", "enroll", "--now")
    failed(t, r, 1, "tcp.refused", "nobody there")
    t.ok("the certificate that is there stays" in str(r.find("error")),
         "it says that the old one stays: %s" % r.find("error"), r)
    s = state(e)
    t.ok(s["state"] == "failed" and s["next"] and installed(e) == old,
         "status: failed, with the next attempt; the file is the old one", s)
    t.ok(any("tcp.refused" in w for w in e.status()["warnings"]),
         "among the warnings", e.status()["warnings"])
    ca.up()
    r = e.verb("cert", "enroll", "--now")
    t.ok(r.code == 0 and installed(e) != old and state(e)["class"] == "",
         "back again: renewed", r)


@bb.test(60)
def tries_again_by_itself(t):
    """A certificate of a minute: the attempts are near each other."""
    ca = Ca(t, life=45)
    e = world(t, ca)
    first = enrolled(e)
    ca.down()
    wait_state(e, "failed", 40)
    ca.up()
    enrolled(e, 15, other_than=first["sha256"])
    t.ok(state(e)["state"] == "current", "renewed when the server was back")


@bb.test(60)
def pending_survives_a_restart(t):
    """202: the same request again, with the same key (RFC 7030 4.2.3)."""
    ca = Ca(t)
    ca.mode = "pending"
    e = world(t, ca, start=False).start()
    wait_state(e, "pending")
    r = e.verb("cert", "enroll", "--now")
    failed(t, r, 4, "est.pending", "not decided")
    path = os.path.join(e.state, "est-pending")
    bb.wait_until(lambda: os.path.exists(path), 5, "the request is kept")
    t.ok(os.stat(path).st_mode & 0o777 == 0o600, "the kept key is 0600")
    e.stop()
    asked = len(ca.seen)
    e.start()
    t.ok(state(e)["class"] == "est.pending", "it is known after a restart",
         state(e))
    bb.wait_until(lambda: len(ca.seen) > asked, 10,
                  "asked again by itself", alive=e.proc)
    ca.mode = "issue"
    enrolled(e, 10)
    t.ok(len({x[2] for x in ca.seen}) == 1,
         "%d times the same request" % len(ca.seen), ca.seen)
    bb.wait_until(lambda: not os.path.exists(path), 5, "the key is gone")
    # One for another server is not sent to this one.
    ca.mode = "pending"
    e.verb("cert", "enroll", "--now")
    old = ca.seen[-1][2]
    other = Ca(t)
    e.verb("config", "set", "est.server", "localhost:%d" % other.port)
    r = e.verb("cert", "enroll", "--now")
    t.ok(r.code == 0 and other.seen and other.seen[-1][2] != old,
         "another server gets a request of its own", (r, other.seen))


@bb.test(60)
def bad_answers_are_refused(t):
    ca = Ca(t)
    e = world(t, ca)
    enrolled(e)
    old = installed(e)
    for mode, code, cls, word in (
            ("foreign", 7, "est.answer", "not for the key"),
            ("expired", 7, "est.answer", "ended already"),
            ("html", 7, "est.answer", "text/html"),
            ("garbage", 7, "est.answer", "no PKCS#7"),
            ("huge", 7, "est.answer", "256 KiB"),
            ("refuse", 5, "est.refused", "no \\x1b[31mred")):
        ca.mode = mode
        r = e.verb("cert", "enroll", "--now")
        failed(t, r, code, cls, mode)
        t.ok(word in str(r.find("error")) and "\x1b" not in r.out,
             "%s: %s" % (mode, r.find("error")), r)
        t.ok(installed(e) == old, "%s: the old one stays" % mode)
    t.ok(len({x[2] for x in ca.seen}) == len(ca.seen),
         "each time with a fresh key")
    ca.mode = "issue"
    r = e.verb("cert", "enroll", "--now")
    t.ok(r.code == 0 and installed(e) != old, "and a good one is taken", r)


@bb.test(60)
def a_password_only_where_it_is_asked_for(t):
    ca = Ca(t, label="phones")
    ca.mode = "auth"
    e = world(t, ca, **{"est.label": "phones"})
    wait_state(e, "failed")
    r = e.verb("cert", "enroll", "--now")
    failed(t, r, 6, "est.auth", "no credentials")
    e.verb("config", "set", "est.user", "u")
    e.stop()
    secret = bb.write(os.path.join(e.dir, "pwd"), "pw ord", 0o600)
    e.settings["est.pwd"] = "@" + secret
    ca.seen.clear()
    ca.auth.clear()
    e.start()
    enrolled(e)
    t.ok(ca.auth[0] is None and ca.auth[1].startswith("Basic "),
         "sent after the challenge, not before", ca.auth)
    t.ok(not any("pw ord" in bb.read(x) or "cHcg" in bb.read(x)
                 for x in t.logs), "the password is in no log")


@bb.test(60)
def a_server_that_is_not_who_it_says_is_never_asked(t):
    """Also where provisioning is not verified."""
    ca = Ca(t, server=t.pki.unknown_ca)
    e = world(t, ca, **{"prov.tls.verify": "0"})
    wait_state(e, "failed")
    r = e.verb("cert", "enroll", "--now")
    failed(t, r, 7, "cert.unknown_root", "another CA")
    t.ok(not ca.seen and not installed(e), "no request was sent", ca.seen)
    named = Ca(t, server=t.pki.wrong_name)
    e.verb("config", "set", "est.server", "localhost:%d" % named.port)
    r = e.verb("cert", "enroll", "--now")
    failed(t, r, 7, "cert.name_mismatch", "another name")
    t.ok(not named.seen, "no request was sent", named.seen)


@bb.test(60)
def ca_certificates_are_fetched_and_not_trusted(t):
    ca = Ca(t)
    e = world(t, ca)
    enrolled(e)
    out = os.path.join(t.dir, "ca.pem")
    r = e.verb("cert", "enroll", "--cacerts", "--out", out)
    t.ok(r.code == 0 and len(r.json.get("certificates") or []) == 1
         and "Device CA" in r.out, "cert enroll --cacerts", r)
    t.ok(bb.read(t.pki.device_ca.crt).strip() == bb.read(out).strip(),
         "the file has the CA's certificate", bb.read(out))
    t.ok(os.listdir(os.path.join(e.state, "certs", "trusted")) == ["ca.pem"],
         "it is trusted by nobody because of it")
    t.ok(e.verb("cert", "enroll", "--cacerts", "--out", out).code == 1,
         "it writes over nothing")
    t.ok(e.verb("cert", "enroll", "--cacerts").code == 2,
         "--cacerts without --out: exit 2")
    e.verb("config", "set", "est.server", "")
    e.verb("config", "unset", "est.server")
    plain = t.endpoint(name="plain", conf={"prov.use": "0"}).start()
    failed(t, plain.verb("cert", "enroll"), 9, "est.no_server", "no server")
    t.ok(state(plain)["state"] == "off", "status: off", state(plain))
