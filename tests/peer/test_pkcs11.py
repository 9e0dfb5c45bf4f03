# SPDX-License-Identifier: ISC
"""Row 8: the device's key in a token (SoftHSM behind `p11-kit server`)."""
import glob
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from concurrent import futures

import bb
import peers
import test_kamailio

PIN = "271828"


class Token:
    """A SoftHSM token with the device's key, and the server in front of it."""

    def __init__(self, t, cert, mechanisms=None, name="token"):
        bb.need("softhsm2-util", "p11-kit", "openssl")
        self.t, self.name = t, name
        self.dir = os.path.join(t.dir, name)
        os.makedirs(os.path.join(self.dir, "tokens"))
        self.conf = bb.write(
            os.path.join(self.dir, "softhsm2.conf"),
            "directories.tokendir = %s/tokens\nobjectstore.backend = file\n"
            "log.level = ERROR\n" % self.dir
            + ("slots.mechanisms = %s\n" % mechanisms if mechanisms else ""))
        self.socket = os.path.join(self.dir, "s")
        found = glob.glob("/usr/lib/softhsm/libsofthsm2.so") + \
            glob.glob("/usr/lib/*/softhsm/libsofthsm2.so")
        if not found:
            raise bb.Failure("apt-get install softhsm2")
        self.module = os.path.realpath(found[0])
        self._util("--init-token", "--free", "--label", "bb test",
                   "--pin", PIN, "--so-pin", "314159")
        self.put(cert)
        self.proc = None
        self.start()

    def _util(self, *args):
        p = subprocess.run(("softhsm2-util",) + args, capture_output=True,
                           text=True, env=dict(os.environ,
                                               SOFTHSM2_CONF=self.conf))
        if p.returncode != 0:
            raise bb.Failure("softhsm2-util: " + p.stderr)

    def serial(self):
        p = subprocess.run(["softhsm2-util", "--show-slots"], text=True,
                           capture_output=True,
                           env=dict(os.environ, SOFTHSM2_CONF=self.conf))
        return re.search(r"Serial number:\s*(\w+)", p.stdout).group(1)

    def put(self, cert, label="device", number="01"):
        pem = os.path.join(self.dir, "import.p8")
        subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in",
                        cert.key, "-out", pem], check=True)
        self._util("--import", pem, "--token", "bb test", "--label", label,
                   "--id", number, "--pin", PIN)
        os.unlink(pem)

    def start(self):
        self.proc = bb.Proc(self.t, self.name, [
            "p11-kit", "server", "-f", "-n", self.socket, "--provider",
            self.module, "pkcs11:"], env={"SOFTHSM2_CONF": self.conf, "P11_KIT_DEBUG": "all"})
        bb.wait_until(lambda: os.path.exists(self.socket), 10,
                      "the p11-kit server listens", alive=self.proc)

    def stop(self):
        self.proc.stop()
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def signal(self, sig):
        os.killpg(self.proc.popen.pid, sig)


def rsa_device(t):
    return t.pki.leaf("rsa-device", bb.MAC, t.pki.device_ca, usage="client",
                      key="RSA-2048")


def identity(e, cert, token, uri=None, pin=PIN):
    """The certificate in a file, and in place of its key the token's URI."""
    where = bb.write(os.path.join(e.dir, "pin"), pin + "\n", 0o600)
    bb.write(os.path.join(e.identity, "device.crt"), bb.read(cert.chain))
    bb.write(os.path.join(e.identity, "device.key"),
             (uri or "pkcs11:token=bb%%20test;object=device;id=%%01"
              "?pin-source=file:%s" % where) + "\n", 0o600)
    e.settings["tls.pkcs11.server"] = "unix:path=" + token.socket
    e.seen = set()


def slot(e):
    return next((c for c in e.status().get("certs") or []
                 if c.get("slot") == "factory"), {})


def no_pin_shown(t, e):
    t.ok(PIN not in e.proc.text(), "the PIN is in no log")


def not_held_up(t, e):
    """A busy machine takes its milliseconds; a token took seconds."""
    loop = e.status()["loop"]
    t.ok(loop["slowest_ms"] < 500, "the loop was not held up (%.0f ms)"
         % loop["slowest_ms"], loop)


def register(t, k, e, what, version):
    a = e.wait_account("registered", 12)
    v = a.get("tls") or {}
    shown = v.get("client_cert") or {}
    t.ok(v.get("version") == version and v.get("confirmed"),
         "%s: registered over %s" % (what, version), v)
    t.ok(shown.get("slot") == "factory" and re.search(
        r"BB REGISTER user=1001 proto=tls .*verified=1 cn=" + bb.MAC,
        k.text()), "%s: Kamailio verified the device certificate" % what,
        k.text()[-600:])
    return v


@bb.test(90)
def registers_with_keys_in_tokens(t):
    """EC and RSA, TLS 1.2 and 1.3, against Kamailio."""
    k = peers.Kamailio(t)
    for name, cert in (("ec", t.pki.device), ("rsa", rsa_device(t))):
        token = Token(t, cert, name="token-" + name)
        for version in ("1.2", "1.3"):
            e = test_kamailio.endpoint(
                t, k, None, [t.pki.root], name="%s-%s" % (name, version),
                **{"sip.tls.min": version, "sip.tls.max": version})
            identity(e, cert, token)
            e.start(ready=False)
            register(t, k, e, name, "TLS " + version)
            s = slot(e)
            t.ok(s.get("token", "").startswith("pkcs11:token=bb%20test")
                 and not s.get("error"), "status says where the key is", s)
            not_held_up(t, e)
            no_pin_shown(t, e)
            maps = bb.read("/proc/%d/maps" % e.proc.popen.pid)
            t.ok("p11-kit-client.so" in maps
                 and not re.search(r"lib(crypto|ssl)\.so\.[1-9]", maps),
                 "the RPC client is mapped, and no OpenSSL")
            t.ok(e.stop() == 0, "a clean end")


def provisioned(t, cert, token, name="bellbird", version=None, **more):
    """An endpoint that reads its file from nginx, which demands the device
    certificate (the face for evhttp)."""
    n = peers.Nginx(t, {"good": t.pki.server})
    n.put("cfg/algom%s.conf" % bb.MAC, "sip.u1.dname = From nginx\n")
    settings = {"prov.tls.min": version, "prov.tls.max": version} \
        if version else {}
    e = t.endpoint(name, trusted=[t.pki.root], settings=settings, conf={
        "prov.server.method": "static", "prov.use": "1",
        "prov.download.method": "https", "prov.download.cfgpath": "/cfg",
        "prov.server.static": "localhost:%d" % n.ports["good"]})
    identity(e, cert, token, **more)
    return n, e


def fetch(e, full=True):
    """A run of provisioning; its verdict.  `full`: no session is resumed."""
    if full:
        e.verb("reload")
    e.verb("prov", "run", timeout=40)
    s = e.status()
    v = (s.get("prov") or {}).get("report", {}).get("verdict") or {}
    new = [x for x in s.get("tls") or [] if x.get("id") not in e.seen]
    e.seen |= {x.get("id") for x in new}
    # The first of its connections; those for more files resume its session,
    # and one that failed may have been tried again.
    v["full"] = v.get("ok") and not any(x.get("class") for x in new) and any(
        not x.get("resumed")
        and (x.get("client_cert") or {}).get("slot") == "factory"
        for x in new)
    return v


@bb.test(60)
def provisions_with_a_key_in_a_token(t):
    """nginx, both versions; what is fetched counts."""
    cert = rsa_device(t)
    token = Token(t, cert)
    for version in ("1.2", "1.3"):
        n, e = provisioned(t, cert, token, "bb-" + version, version)
        e.start()
        v = fetch(e)
        t.ok(e.get("sip.u1.dname") == "From nginx",
             "TLS %s: fetched and applied" % version, v)
        t.ok(v.get("full") and v.get("version") == "TLS " + version,
             "TLS %s: the device certificate was shown" % version, v)
        e.stop()
        n.proc.stop()
        os.rename(n.dir, n.dir + version)


@bb.test(120)
def token_goes_and_comes(t):
    """The server restarted behind our back, absent, silent; we restarted."""
    token = Token(t, t.pki.device)
    n, e = provisioned(t, t.pki.device, token)
    e.start()
    v = fetch(e)
    t.ok(v.get("full"), "a full handshake with the token", v)
    token.stop()
    token.start()
    v = fetch(e)
    t.ok(v.get("full"), "the server was restarted: signs again", v)
    token.stop()
    v = fetch(e)
    t.ok(v.get("class") == "key.token" and token.socket in v.get("text", ""),
         "no server: %s" % v.get("text"), v)
    t.ok("[key.token]" in slot(e).get("error", ""), "the slot says it too",
         slot(e))
    t.ok(e.proc.poll() is None, "bellbird lives")
    token.start()
    v = fetch(e, full=False)
    t.ok(v.get("full"), "the server is back: signs, without a reload", v)
    t.ok(slot(e).get("error") == "", "and the slot's error is gone", slot(e))
    token.signal(signal.SIGSTOP)
    begun = time.monotonic()
    v = fetch(e)
    took = time.monotonic() - begun
    t.ok(v.get("class") == "key.token" and "did not sign" in v.get("text", ""),
         "a silent token ends with the deadline: %s (%.1f s)"
         % (v.get("text"), took), v)
    t.ok(took < 30, "and no later")
    not_held_up(t, e)
    token.signal(signal.SIGCONT)
    v = fetch(e)
    t.ok(v.get("full"), "it answers again: signs again", v)
    token.signal(signal.SIGSTOP)
    e.verb("reload")
    e.spawn("run", "prov", "run")
    bb.wait_until(lambda: e.status()["prov"]["state"] == "running", 5,
                  "the run that waits for the token")
    begun = time.monotonic()
    t.ok(e.proc.stop(10) == 0 and time.monotonic() - begun < 9,
         "a clean end while the token is silent")
    token.signal(signal.SIGCONT)
    e.start()
    v = fetch(e)
    t.ok(v.get("full"), "after our restart: signs", v)
    no_pin_shown(t, e)


@bb.test(60)
def a_wrong_pin_is_tried_once(t):
    """Tokens lock after a few; so not again before the file changes."""
    token = Token(t, t.pki.device)
    n, e = provisioned(t, t.pki.device, token, pin="0000")
    e.start()
    for i in range(3):
        v = fetch(e)
        t.ok(v.get("class") == "key.token" and "PIN" in v.get("text", ""),
             "refused: %s" % v.get("text"), v)
    tries = token.proc.text().count("Login: enter")
    t.ok(tries == 1, "the token saw one login, not %d" % tries)
    bb.write(os.path.join(e.dir, "pin"), PIN + "\n", 0o600)
    v = fetch(e, full=False)
    t.ok(v.get("full"), "the PIN was corrected: signs, without a restart", v)
    no_pin_shown(t, e)


@bb.test(60)
def what_is_wrong_is_said(t):
    """Each fault of a key in a token, in words, before a server asks."""
    token = Token(t, t.pki.device)
    token.put(t.pki.peer, "other", "02")
    lame = Token(t, t.pki.device, "CKM_RSA_PKCS,CKM_SHA256", "lame")
    pin = "?pin-source=file:%s"
    rows = [
        ("module of the token", {"tls.pkcs11.module": token.module}, None,
         "libsofthsm2.so would map libcrypto.so", "key.token"),
        ("no module", {"tls.pkcs11.module": "/nowhere.so"}, None,
         "p11-kit-modules", "key.token"),
        ("no server", {"tls.pkcs11.server": "unix:path=/nowhere"}, None,
         "no p11-kit server answers at unix:path=/nowhere", "key.token"),
        ("no token", {}, "pkcs11:token=mine;object=device" + pin,
         "no token 'mine'", "key.token"),
        ("no key", {}, "pkcs11:token=bb%%20test;object=nothing" + pin,
         "no private key", "key.token"),
        ("two keys", {}, "pkcs11:token=bb%%20test" + pin, "more than one",
         "key.token"),
        ("no PIN", {}, "pkcs11:token=bb%%20test;object=device",
         "wants a PIN", "key.token"),
        ("no PIN file", {}, "pkcs11:token=bb%%20test;object=device"
         "?pin-source=/nowhere", "/nowhere cannot be read", "key.token"),
        ("PIN in the URI", {}, "pkcs11:token=bb%%20test?pin-value=" + PIN,
         "has the PIN in it", "key.token"),
        ("another key", {}, "pkcs11:token=bb%%20test;object=other" + pin,
         "do not belong together", "key.mismatch"),
        ("no mechanism", {"tls.pkcs11.server": "unix:path=" + lame.socket},
         None, "does not offer CKM_ECDSA", "key.token"),
    ]
    for i, (what, settings, uri, says, name) in enumerate(rows):
        e = t.endpoint("e%d" % i)
        where = os.path.join(e.dir, "pin")
        if uri is not None:
            uri = uri.replace("%%", "%")
            uri = uri.replace("%s", where)
        identity(e, t.pki.device, token, uri)
        e.settings.update(settings)
        e.start()
        s = bb.wait_until(lambda: slot(e).get("error") and slot(e), 10,
                          "%s: an error in the slot" % what, alive=e.proc)
        t.ok(says in s["error"] and "[%s]" % name in s["error"],
             "%s: %s" % (what, s["error"]), s)
        maps = bb.read("/proc/%d/maps" % e.proc.popen.pid)
        t.ok(not re.search(r"lib(crypto|ssl)\.so\.[1-9]", maps)
             and "softhsm" not in maps, "nothing of it is mapped")
        no_pin_shown(t, e)
        t.ok(e.stop() == 0, "a clean end")


def shake(t, port, version=None, seconds=15):
    """A full handshake with our listener; why it failed, or ""."""
    c = ssl.create_default_context(cafile=t.pki.root.crt)
    if version:
        c.minimum_version = c.maximum_version = version
    try:
        with socket.create_connection(("127.0.0.1", port), seconds) as s:
            with c.wrap_socket(s, server_hostname="localhost"):
                return ""
    except OSError as e:
        return str(e)


@bb.test(60)
def serves_with_a_key_in_a_token(t):
    """A listener for SIP: we are the server, and the token signs for it."""
    rsa = t.pki.leaf("rsa-server", "localhost", t.pki.inter, ["DNS:localhost"],
                     key="RSA-2048")
    for name, cert in (("ec", t.pki.server), ("rsa", rsa)):
        token = Token(t, cert, name="token-" + name)
        e = t.endpoint(name, settings={
            "sip.listen.tls": "127.0.0.1:%d" % bb.free_port(),
            "tls.pkcs11.server": "unix:path=" + token.socket})
        pin = bb.write(os.path.join(e.dir, "pin"), PIN, 0o600)
        bb.write(os.path.join(e.state, "certs", "server.pem"),
                 bb.read(cert.chain) + "pkcs11:serial=%s;id=%%01"
                 "?pin-source=%s\n" % (token.serial(), pin), 0o600)
        e.start()
        port = e.port("tls")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            why = shake(t, port, version)
            t.ok(why == "", "%s: %s" % (name, version.name), why)
        with futures.ThreadPoolExecutor(8) as pool:
            why = list(pool.map(lambda _: shake(t, port), range(8)))
        t.ok(why == [""] * 8, "eight at once", why)
        # Clients that give up while the token makes up its mind.
        token.signal(signal.SIGSTOP)
        with futures.ThreadPoolExecutor(8) as pool:
            why = list(pool.map(lambda _: shake(t, port, seconds=0.4),
                                range(8)))
        t.ok(all("timed out" in w for w in why), "no answer meanwhile", why)
        not_held_up(t, e)
        token.signal(signal.SIGCONT)
        why = shake(t, port)
        t.ok(why == "", "and then again", why)
        t.ok(e.proc.stop(8) == 0, "a clean end")


@bb.test(40)
def enrolment_leaves_a_key_in_a_token_alone(t):
    """EST would put a key of its own in its place: it says no, also when the
    token is away, and asks nobody."""
    token = Token(t, t.pki.device)
    e = t.endpoint(identity=t.pki.device, trusted=[t.pki.root], settings={
        "tls.pkcs11.server": "unix:path=" + token.socket,
        "est.server": "localhost:%d" % bb.free_port(), "prov.use": "0"})
    pin = bb.write(os.path.join(e.dir, "pin"), PIN, 0o600)
    path = os.path.join(e.state, "certs", "sipclient.pem")
    bb.write(path, bb.read(t.pki.device.chain) + "pkcs11:serial=%s;id=%%01"
             "?pin-source=%s\n" % (token.serial(), pin), 0o600)
    before = bb.read(path)
    e.start()
    for what in ("the token is there", "the token is away"):
        for more in ([], ["--now"]):
            x = e.verb("cert", "enroll", *more)
            t.ok(x.code == 1 and x.find("class") == "key.token"
                 and "in a token" in str(x.find("error")),
                 "%s: refused %s" % (what, " ".join(more)), x)
        if what == "the token is there":
            token.stop()
            e.verb("reload")
    t.ok("enrolment: asking" not in e.proc.text() and bb.read(path) == before,
         "nobody was asked, and the file is as it was")
