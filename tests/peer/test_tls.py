# SPDX-License-Identifier: ISC
"""TLS in the running endpoint: files that change, the clock, what a listener
asks, the key log, and how what is given up shows."""
import os
import pty
import re
import shutil
import signal
import ssl
import subprocess
import time

import bb
import peers
import servers
from registrar import DOMAIN, Registrar, world


@bb.test(30)
def an_anchor_counts_as_soon_as_it_is_there(t):
    """No reload: a CA copied to certs/trusted lets the registration pass, one
    bad file beside it is named and harms nothing."""
    r = Registrar(t, peers.ADDRESS)
    e = t.endpoint(identity=t.pki.device, settings={
        "sip.proxy": DOMAIN, "sip.tls.name": DOMAIN, "sip.u1.user": "1001",
        "sip.obproxy": "sip.%s:%d" % (DOMAIN, r.port),
        "audio.device": "null"})
    trusted = os.path.join(e.state, "certs", "trusted")
    e.start(ready=False)
    try:
        r.registered()
        t.ok(False, "without the CA it must not register")
    except ssl.SSLError:
        pass
    v = e.wait_class(3)
    t.ok(v.get("class") == "cert.unknown_root", "refused without the CA", v)
    bb.write(os.path.join(trusted, "broken.pem"), "no certificate\n")
    shutil.copy(t.pki.root.crt, os.path.join(trusted, "site.pem"))
    for _ in range(5):
        try:
            r.registered()
            break
        except ssl.SSLError:
            pass
    e.wait_account("registered", 5)
    t.ok(True, "registered without a restart or reload")
    t.ok("broken.pem" in e.proc.text(), "the bad file is named")
    r.close()


@bb.test(30)
def folders_that_come_later(t):
    """Neither certs/trusted nor the identity folder is there at the start."""
    r = Registrar(t, peers.ADDRESS)
    e = t.endpoint(settings={
        "sip.proxy": DOMAIN, "sip.tls.name": DOMAIN, "sip.u1.user": "1001",
        "sip.obproxy": "sip.%s:%d" % (DOMAIN, r.port),
        "audio.device": "null", "device.mac": bb.MAC})
    trusted = os.path.join(e.state, "certs", "trusted")
    shutil.rmtree(trusted, ignore_errors=True)
    shutil.rmtree(e.identity, ignore_errors=True)
    e.start(ready=False)
    try:
        r.registered()
    except OSError:
        pass
    e.wait_class(5)
    os.makedirs(trusted, exist_ok=True)
    shutil.copy(t.pki.root.crt, os.path.join(trusted, "ca.pem"))
    whole = e.identity + ".new"
    os.makedirs(whole)
    shutil.copy(t.pki.device.pem, os.path.join(whole, "device.pem"))
    os.rename(whole, e.identity)
    for _ in range(8):
        try:
            r.registered()
            break
        except OSError:
            pass
    e.wait_account("registered", 5)
    c = [x["slot"] for x in e.status().get("certs") or []
         if x.get("subject")]
    t.ok("factory" in c, "the CA and the device certificate count: %s" % c)
    r.close()


@bb.test(30)
def what_of_the_trust_sets_does_not_count(t):
    """An upload under the rule of the old firmware is named, in the log, the
    status, an event and by doctor; so is a snapshot of CAs that is old."""
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    old = bb.write(os.path.join(t.dir, "old.pem"),
                   "# bellbird CA snapshot 2020-02-29\n"
                   + bb.read(t.pki.other_ca.crt))
    subprocess.run(["mount", "--bind", old, bundle], check=True)
    try:
        e = t.endpoint()
        shutil.copy(t.pki.root.crt,
                    os.path.join(e.state, "certs", "siptrusted.pem"))
        e.start()
        warns = e.status()["warnings"]
        t.ok(any("move it to certs/trusted" in w for w in warns)
             and any("snapshot that is" in w for w in warns),
             "both in the status", warns)
        w = e.verb("wait", "log", "--since", "0", "--timeout", "3s",
                   "--where", "category=tls").json
        t.ok("siptrusted.pem" in str(w.get("line")), "an event tells", w)
        d = e.verb("doctor", "127.0.0.1:1", "--as", "sip", "--state",
                   e.state)
        t.ok("move it to certs/trusted" in str(d.json.get("notes")),
             "doctor notes it", d)
        x = e.verb("config", "set", "sip.tls.trust", "siptrusted")
        warns = e.status()["warnings"]
        t.ok(x.code == 0 and not any("move it" in w for w in warns),
             "in use: no warning", warns)
        e.stop()
    finally:
        subprocess.run(["umount", "-l", bundle], check=True)


@bb.test(40)
def a_new_bundle_is_indexed_beside_the_loop(t):
    """apt renames another ca-certificates.crt into place: its 140 roots are
    not parsed where calls would wait for it."""
    bb.need("strace")
    top = "/etc/ssl/certs"
    mine = os.path.join(t.dir, "certs")
    os.makedirs(mine)
    roots = bb.read(top + "/ca-certificates.crt")
    bb.write(os.path.join(mine, "ca-certificates.crt"), roots)
    subprocess.run(["mount", "--bind", mine, top], check=True)
    try:
        e = t.endpoint().start()
        pid = e.proc.popen.pid
        trace = os.path.join(t.dir, "trace")
        p = bb.Proc(t, "strace", ["strace", "-f", "-p", str(pid), "-o",
                                  trace, "-e", "trace=rename,renameat,"
                                  "renameat2"])
        bb.wait_until(lambda: "attached" in p.text(), 5, "strace attached",
                      alive=p)
        bb.write(os.path.join(mine, "new"),
                 roots + bb.read(t.pki.other_ca.crt))
        os.rename(os.path.join(mine, "new"),
                  os.path.join(mine, "ca-certificates.crt"))
        n = roots.count("BEGIN CERTIFICATE")
        bb.wait_until(lambda: "read again builtin=%d " % (n + 1)
                      in e.proc.text(), 5, "the new root counts",
                      alive=e.proc)
        lines = [x for x in bb.read(trace).splitlines() if ".idx" in x]
        t.ok(len(lines) == 1 and int(lines[0].split()[0]) != pid,
             "its index was written by another thread than the loop's",
             lines)
        p.stop()
        e.stop()
    finally:
        subprocess.run(["umount", "-l", top], check=True)


@bb.test(40)
def a_clock_that_is_set(t):
    """Somebody sets the clock: connections are judged again by it, and who
    ends soon is told; more than once."""
    r = Registrar(t, peers.ADDRESS)
    e = t.endpoint(identity=t.pki.device, trusted=[t.pki.root], settings={
        "sip.proxy": DOMAIN, "sip.tls.name": DOMAIN, "sip.u1.user": "1001",
        "audio.device": "null", "clock.trusted": "1",
        "sip.obproxy": "sip.%s:%d" % (DOMAIN, r.port)})
    e.env = dict(servers.clock_shim(t), BB_JUMP_S=str(4 * 86400))
    e.start(ready=False)
    r.registered()
    e.wait_account("registered", 5)

    def jump():
        n = e.proc.text().count("the clock was set")
        os.kill(e.proc.popen.pid, signal.SIGUSR2)
        bb.wait_until(lambda: e.proc.text().count("the clock was set") > n,
                      5, "the jump is seen", alive=e.proc)
        return [c["days"] for c in e.verb("cert", "expiry")
                .json["certificates"] if c["kind"] == "own"][0]
    days = [jump()]
    t.ok(e.account()["state"] == "registered" and r.silent(),
         "four days: the certificates still hold, the connection stays")
    days.append(jump())
    t.ok(days[0] - days[1] == 4, "cert expiry goes by the new time", days)
    while jump() >= 0:
        pass
    t.ok(r.ended(5), "the server's certificate has ended: it is left")
    t.ok("our certificate factory" in e.proc.text()
         and "has expired" in e.proc.text(), "what has expired is told")
    bb.wait_until(lambda: any(v.get("class") == "cert.expired"
                              for v in e.status()["tls"]), 5,
                  "the verdict says why", alive=e.proc)
    r.close()


@bb.test(30)
def a_clock_that_becomes_good(t):
    """A server whose certificate ended since the floor is let in while the
    clock is not confirmed, and is judged again once it is."""
    now = time.time()
    cert = t.pki.leaf("ended", "localhost", t.pki.inter,
                      ["URI:sip:" + DOMAIN],
                      dates=[time.strftime("%Y%m%d%H%M%SZ", time.gmtime(x))
                             for x in (now - 86400, now - 1)])
    r = Registrar(t, peers.ADDRESS, server=cert)
    e = t.endpoint(identity=t.pki.device, trusted=[t.pki.root], settings={
        "sip.proxy": DOMAIN, "sip.tls.name": DOMAIN, "sip.u1.user": "1001",
        "audio.device": "null",
        "sip.obproxy": "sip.%s:%d" % (DOMAIN, r.port)})
    e.start(ready=False)
    r.registered()
    e.wait_account("registered", 5)
    t.ok(e.status()["clock"]["trusted"] is False, "nothing confirms the clock")
    x = e.verb("config", "set", "clock.trusted", "1")
    t.ok(x.code == 0, "clock.trusted = 1", x)
    v = e.wait_class(5)
    t.ok(v.get("class") == "cert.expired"
         and e.account().get("state") != "registered",
         "the connection ends: %s" % v.get("text"), v)
    r.close()


@bb.test(20)
def certificates_that_end_soon(t):
    """Own certificate, anchor and peer: told in time, once each."""
    e = t.endpoint()
    soon = os.path.join(e.identity, "device.pem")
    x = e.verb("cert", "mint", "--kind", "device", "--cn", bb.MAC, "--days",
               "10", "--out", soon)
    t.ok(x.code == 0, "minted for 10 days", x)
    e.verb("cert", "mint", "--kind", "server", "--cn", "old.test", "--san",
           "DNS:old.test", "--days", "25", "--out",
           os.path.join(e.state, "certs", "trusted", "old.pem"))
    # No anchor by its name, and so nobody's business.
    shutil.copy(soon, os.path.join(e.state, "certs", "trusted", "my.pem.bak"))
    e.start()
    w = e.verb("wait", "cert.expiry", "--since", "0", "--timeout", "3s",
               "--where", "kind=own").json
    t.ok(w.get("days") in (9, 10) and w.get("slot") == "factory",
         "an event for our own: %s days" % w.get("days"), w)
    w = e.verb("wait", "cert.expiry", "--since", "0", "--timeout", "3s",
               "--where", "kind=anchor").json
    t.ok(w.get("days") in (24, 25) and w.get("slot") == "old.pem",
         "one for the anchor", w)
    warns = [w for w in e.status()["warnings"] if "expires in" in w]
    t.ok(len(warns) == 2, "both in the status: %s" % warns, warns)
    c = e.verb("cert", "expiry").json.get("certificates")
    t.ok([(x["kind"], x["days"] in (9, 10, 24, 25)) for x in c]
         == [("own", True), ("anchor", True)], "cert expiry lists them", c)


@bb.test(30)
def what_a_listener_asks_of_its_callers(t):
    """sip.listen.tls.client and .serverauth, with openssl as the caller."""
    def call(cert=None, **settings):
        s = {"sip.listen.tls": "127.0.0.1:0"}
        s.update(settings)
        e = t.endpoint(settings=s, trusted=[t.pki.root, t.pki.device_ca])
        e.start()
        argv = ["openssl", "s_client", "-connect",
                "127.0.0.1:%d" % e.port("tls"), "-tls1_2"]
        if cert:
            argv += ["-cert", cert.crt, "-key", cert.key]
            for x in cert.issuers:
                argv += ["-cert_chain", x.crt]
        p = subprocess.run(argv, input="", capture_output=True, text=True)
        v = (e.verb("tls", "last").json.get("connections") or [{}])[0]
        e.stop()
        return p.stdout + p.stderr, v

    key = "sip.listen.tls.client"
    out, v = call()
    t.ok("Acceptable client certificate CA" in out or
         "No client certificate CA names sent" in out and v.get("ok"),
         "by default they are asked", (out, v))
    out, v = call(t.pki.peer)
    t.ok(v.get("peer_verified") is True, "who shows one has a name", v)
    out, v = call(t.pki.peer, **{key: "none"})
    t.ok(v.get("ok") and not v.get("peer_verified"), "none: not asked", v)
    out, v = call(**{key: "require"})
    t.ok(v.get("class") == "mtls.required_none", "require: refused without",
         (out, v))
    out, v = call(t.pki.peer, **{key: "require"})
    t.ok(v.get("ok") and v.get("peer_verified"), "require: let in with one",
         (out, v))
    out, v = call(t.pki.server, **{key: "require"})
    t.ok(v.get("class") == "cert.eku", "one for servers is refused", v)
    out, v = call(t.pki.server, **{key: "require",
                                   "sip.listen.tls.serverauth": "1"})
    t.ok(v.get("ok") and v.get("peer_verified")
         and "cert.eku" in v.get("findings"),
         "sip.listen.tls.serverauth lets it in, and it is noted", v)


@bb.test(30)
def key_log_of_one_peer(t):
    """tls keylog: what the endpoint writes is what the server knows; nothing
    of other peers, and nothing when it has ended."""
    r, e = world(t)
    theirs = os.path.join(t.dir, "theirs")
    ours = os.path.join(t.dir, "ours")
    r.ctx.keylog_filename = theirs

    def again():
        r.drop()
        r.registered()
        e.wait_account("registered", 5)

    def secrets(path):
        return sorted(x for x in (bb.read(path) if os.path.exists(path)
                                  else "").splitlines()
                      if x and not x.startswith("#"))

    host = "sip." + DOMAIN
    bad = [e.verb("tls", "keylog", host),
           e.verb("tls", "keylog", "--out", ours),
           e.verb("tls", "keylog", host, "--out", ours, "--for", "16m"),
           e.verb("tls", "keylog", host, "--out", "/dev/full")]
    t.ok([x.code for x in bad] == [2, 2, 2, 1],
         "no file, no peer, too long, no regular file", bad)
    x = e.verb("tls", "keylog", "other.test", "--out", ours)
    again()
    t.ok(x.code == 0 and secrets(ours) == [], "another peer: nothing", x)
    x = e.verb("tls", "keylog", host, "--out", ours)
    t.ok(x.json.get("seconds") == 900, "15 minutes at most", x)
    warns = [w for w in e.status()["warnings"] if "keylog" in w]
    t.ok(len(warns) == 1 and host in warns[0], "the status says so: %s"
         % warns, e.status()["warnings"])
    before = secrets(theirs)
    again()
    new = [x for x in secrets(theirs) if x not in before]
    t.ok(new and secrets(ours) == new, "%d secrets, those of the server"
         % len(new), (new, secrets(ours)))
    t.ok(os.stat(ours).st_mode & 0o777 == 0o600, "mode 0600")
    x = e.verb("tls", "keylog", "--stop")
    again()
    t.ok(x.code == 0 and secrets(ours) == new, "stopped: nothing more", x)
    x = e.verb("tls", "keylog", peers.ADDRESS, "--out", ours, "--for", "20s")
    again()
    t.ok(len(secrets(ours)) > len(new), "by address, too", x)
    e.verb("tls", "keylog", peers.ADDRESS, "--out", ours, "--for", "1s")
    bb.wait_until(lambda: not any("keylog" in w
                                  for w in e.status()["warnings"]),
                  4, "the time of the key log ends")
    r.close()


def on_terminal(e, *verb):
    """What a person sees of a verb on a terminal with colours."""
    master, slave = pty.openpty()
    p = subprocess.Popen([bb.binary()] + list(verb) +
                         ["--socket", e.socket], stdout=slave,
                         env=dict(os.environ, TERM="xterm", NO_COLOR=""))
    os.close(slave)
    out = b""
    try:
        while True:
            got = os.read(master, 65536)
            if not got:
                break
            out += got
    except OSError:  # EIO: the other end is closed
        pass
    p.wait(5)
    os.close(master)
    return out.decode()


@bb.test(30)
def what_is_given_up_is_red(t):
    """A server that is not verified, and TLS 1.1: in red wherever shown."""
    for what, shown, settings in (
            ("sip.tls.verify = 0", "NOT verified", {"sip.tls.verify": "0"}),
            ("TLS 1.1", "TLS 1.1 (old, weak)",
             {"sip.tls.force": "0", "sip.tls.min": "1.0",
              "sip.tls.max": "1.1", "sip.tls.profile": "legacy"})):
        r = Registrar(t, peers.ADDRESS)
        r.ctx.minimum_version = ssl.TLSVersion.TLSv1
        r.ctx.set_ciphers("ALL:@SECLEVEL=0")
        s = {"sip.proxy": DOMAIN, "sip.tls.name": DOMAIN,
             "sip.obproxy": "sip.%s:%d" % (DOMAIN, r.port),
             "sip.u1.user": "1001", "audio.device": "null"}
        s.update(settings)
        e = t.endpoint(settings=s, identity=t.pki.device,
                       trusted=[t.pki.root])
        e.start(ready=False)
        r.registered()
        e.wait_account("registered", 5)
        t.ok(e.account()["tls"].get("insecure") is True,
             "%s: the record says so" % what, e.account())
        for verb in (("status",), ("tls", "last")):
            out = on_terminal(e, *verb)
            t.ok(re.search(r"\x1b\[31m[^\x1b]*" + re.escape(shown), out),
                 "%s: red in %s" % (what, " ".join(verb)), out)
        e.stop()
        r.close()
