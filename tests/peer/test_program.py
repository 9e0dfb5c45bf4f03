# SPDX-License-Identifier: ISC
"""The program as an init system and a technician meet it: signals, the state
folder, manual answering, events, certificates; judged by the openssl command
and by a registrar of a few lines that sees every message."""
import json
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
from registrar import Registrar, header

DOMAIN = "bb.test"


def world(t, conf=None, **settings):
    """A registered endpoint and the registrar it is registered with."""
    r = Registrar(t, peers.ADDRESS)
    s = {"sip.proxy": DOMAIN, "sip.tls.name": DOMAIN,
         "sip.obproxy": "sip.%s:%d" % (DOMAIN, r.port),
         "sip.u1.user": "1001", "sip.srtp": "standard",
         "audio.device": "null"}
    s.update(settings)
    e = t.endpoint(settings=s, identity=t.pki.device, trusted=[t.pki.root],
                   conf=conf)
    e.start(ready=False)
    r.registered()
    e.wait_account("registered", 5)
    return r, e


def openssl(*args):
    p = subprocess.run(("openssl",) + args, capture_output=True, text=True)
    return p.stdout + p.stderr


def send(e, sig):
    """Sends a signal; the moment it was sent."""
    os.kill(e.proc.popen.pid, sig)
    return time.monotonic()


def exit_of(e, since, seconds):
    code = e.proc.popen.wait(seconds)
    return code, time.monotonic() - since


@bb.test(30)
def term_hangs_up_and_unregisters(t):
    """TERM and INT with a call up: BYE, REGISTER with Expires 0, exit 0."""
    for sig in (signal.SIGTERM, signal.SIGINT):
        r, e = world(t)
        r.invite()
        e.wait_call(5, state="established")
        since = send(e, sig)
        seen = {}
        while len(seen) < 2:
            msg = r.read()
            seen[msg.split(" ", 1)[0]] = msg
            r.reply(msg)
        code, took = exit_of(e, since, 3)
        t.ok("BYE" in seen, "%s: BYE came" % sig.name, list(seen))
        gone = seen.get("REGISTER", "")
        t.ok(header(gone, "Expires") == "0"
             or re.search(r"expires=0\b", header(gone, "Contact")),
             "%s: REGISTER with Expires 0 came" % sig.name, gone)
        t.ok(code == 0 and took < 3,
             "%s: exit %d after %.2f s" % (sig.name, code, took))
        r.close()


@bb.test(20)
def a_silent_peer_does_not_hold_it_up(t):
    """The registrar says nothing to BYE and REGISTER: exit 0 within 3 s."""
    r, e = world(t)
    r.invite()
    e.wait_call(5, state="established")
    code, took = exit_of(e, send(e, signal.SIGTERM), 3.5)
    t.ok(code == 0 and took < 3, "exit %d after %.2f s" % (code, took))
    r.close()


@bb.test(20)
def hup_reads_the_settings_again(t):
    """A changed file counts after HUP, a broken one does not; the call that
    is up goes on."""
    r, e = world(t, conf={"sip.u1.dname": "Before"})
    r.invite()
    e.wait_call(5, state="established")
    bb.write(e.conf, "sip.u1.dname = After\n", 0o600)
    send(e, signal.SIGHUP)
    bb.wait_until(lambda: e.get("sip.u1.dname") == "After", 5,
                  "the new setting counts", alive=e.proc)
    x = e.verb("config", "explain", "sip.u1.dname")
    where = [(w["file"], w["line"]) for w in x.json.get("layers") or []
             if w.get("wins")]
    t.ok(where == [(e.conf, 1)], "explain names file and line", x)
    bb.write(e.conf, "sip.u1.dname = Later\ncall.max = many\n", 0o600)
    send(e, signal.SIGHUP)
    bb.wait_until(lambda: "%s:2:" % e.conf in bb.read(e.proc.log), 5,
                  "the log names the line of the bad value", alive=e.proc)
    t.ok(e.get("sip.u1.dname") == "After", "a broken file changes nothing",
         e.get("sip.u1.dname"))
    t.ok([c["state"] for c in e.calls()] == ["established"],
         "the call is still up", e.calls())
    r.close()


@bb.test(20)
def one_endpoint_for_a_state_folder(t):
    r, e = world(t)
    second = e.argv()
    second[second.index("--socket") + 1] += "2"
    p = bb.Proc(t, "second", second)
    code = p.popen.wait(5)
    t.ok(code == 1 and "another bellbird uses the state folder"
         in bb.read(p.log), "the second one refuses: exit %d" % code,
         bb.read(p.log))
    t.ok(e.account().get("state") == "registered", "the first goes on")
    r.close()


@bb.test(20)
def the_last_good_time_is_the_floor(t):
    """What was once seen of the time counts after a restart, when the clock
    may have been lost."""
    e = t.endpoint()
    floor = int(time.time()) + 1000000
    bb.write(os.path.join(e.state, "clock"), "%d\n" % floor, 0o600)
    e.start()
    c = e.status().get("clock") or {}
    want = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(floor))
    t.ok(str(c.get("floor")).startswith(want), "floor is %s" % want, c)


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
        t.ok(x.code == 0 and not any("siptrusted.pem" in w for w in warns),
             "in use: no warning", warns)
        e.stop()
    finally:
        subprocess.run(["umount", "-l", bundle], check=True)


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


@bb.test(30)
def answering_by_hand(t):
    """answer.mode = ring: events tell, `answer` answers, `hangup` ends."""
    r, e = world(t, **{"answer.mode": "ring"})
    w = e.spawn("wait", "wait", "call.incoming", "--timeout", "5s",
                "--or-status")
    r.invite(wait=False)
    t.ok(w.popen.wait(6) == 0, "wait call.incoming: exit 0", bb.read(w.log))
    e.wait_call(5, state="ringing", direction="in")
    a = e.verb("answer")
    t.ok(a.code == 0, "answer: exit 0", a)
    code, msg = r.final("INVITE")
    r.request("ACK", 1, header(msg, "To"), branch="a")
    t.ok(code == 200 and "a=crypto:" in msg, "200 with keys came", msg)
    e.wait_call(5, state="established")
    h = e.verb("hangup")
    t.ok(h.code == 0, "hangup: exit 0", h)
    bye = r.read()
    r.reply(bye)
    t.ok(bye.startswith("BYE "), "BYE came", bye)
    e.no_calls(3)
    x = e.verb("wait", "call.ended", "--since", "0", "--timeout", "2s")
    ev = x.json
    t.ok(x.code == 0 and ev.get("event") == "call.ended"
         and ev.get("by_peer") is False, "wait call.ended tells of it", x)
    x = e.verb("answer")
    t.ok(x.code not in (0, 3) and x.json.get("error"),
         "answer without a call: %s" % x.json.get("error"), x)
    r.close()


@bb.test(20)
def cancel_while_it_rings(t):
    """CANCEL: 200 to it, 487 to the INVITE, the call is over."""
    r, e = world(t, **{"answer.mode": "ring"})
    r.invite(wait=False)
    e.wait_call(5, state="ringing")
    r.request("CANCEL", 1, "<sip:1001@bb.test>", branch="i")
    got = {}
    while len(got) < 2:
        m = re.match(r"SIP/2\.0 (\d+)", msg := r.read())
        if m and int(m[1]) >= 200:
            got[header(msg, "CSeq").split()[1]] = int(m[1])
    t.ok(got == {"CANCEL": 200, "INVITE": 487}, "200 and 487", got)
    e.no_calls(3)
    r.request("OPTIONS", 5, "<sip:1001@bb.test>", branch="o")
    code, msg = r.final("OPTIONS")
    t.ok(code == 200 and "INVITE" in header(msg, "Allow"),
         "OPTIONS: 200 with Allow", msg)
    r.close()


@bb.test(30)
def words_that_make_no_sense_are_usage_errors(t):
    """Nothing of them reaches the wire: the flow stays as it was."""
    r, e = world(t)
    for words in (["tel:1002"], ["http://x"],
                  ["1002", "--header", "Call-ID: evil"],
                  ["1002", "--header", "l: 5"],
                  ["1002", "--header", "no colon"],
                  ["1002", "--header", "X-A: b\rX: c"],
                  ["1002", "--srtp", "perhaps"]):
        x = e.verb("call", *words)
        t.ok(x.code == 2, "call %s: exit 2: %s"
             % (" ".join(words).replace("\r", "\\r"), x.json.get("error")), x)
    for bad in ("X: a\r\nVia: SIP/2.0/TLS x\r\n", "X: no end", ["X: a"]):
        x = e.ask("call", uri="1002", headers=bad)
        t.ok(x is None, "headers %r: refused" % (bad,), x)
    x = e.verb("config", "unset", "sip.porxy")
    t.ok(x.code == 9 and "sip.proxy" in x.json.get("error", ""),
         "config unset of no key: exit 9 and the nearest", x)
    x = e.verb("config", "set", "sip.listen.udp", "127.0.0.1:0")
    t.ok(x.json.get("counts") == "after a restart"
         and any("sip.listen.udp" in w for w in e.status()["warnings"]),
         "a setting that waits for a restart is told of", x)
    t.ok(e.calls() == [] and e.account().get("state") == "registered",
         "no call, still registered")
    r.invite()
    x = e.verb("dtmf", "1")
    t.ok(x.code == 0 and x.json.get("call", "").startswith("c"),
         "dtmf names the call it took", x)
    r.close()


@bb.test(20)
def a_registrar_that_goes_away(t):
    """No SIP code of old lingers, and who waits hears why."""
    r, e = world(t)
    r.close()
    e.wait_account("waiting", 5)
    a = e.account()
    t.ok(a["code"] == 0 and a["reason"], "waiting: code 0, a reason", a)
    x = e.verb("wait", "reg.state", "--where", "state=registered",
               "--timeout", "1s")
    c = e.verb("tls", "last", "sip.bb.test").json.get("connections") or [{}]
    t.ok(c[0].get("class") == "tcp.refused" and c[-1].get("ok") is True
         and "sip.bb.test" in c[0].get("record", ""),
         "tls last: the refused one first, the good one last",
         [(v.get("class"), v.get("ok")) for v in c])
    t.ok(e.verb("tls", "last", "nobody").json.get("connections") == [],
         "tls last of another peer: none")
    t.ok(x.code == 4 and "the last was reg.state" in x.json["error"],
         "wait: exit 4: %s" % x.json.get("error"), x)


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


@bb.test(20)
def a_settings_file_that_is_missing_or_bad(t):
    e = t.endpoint(conf={"sip.u1.dname": "Good"})
    argv = e.argv()
    argv[argv.index("--conf") + 1] += ".nowhere"
    p = bb.Proc(t, "missing", argv)
    t.ok(p.popen.wait(5) == 9, "--conf that is not there: exit 9",
         bb.read(p.log))
    e.start()
    e.stop()
    bb.write(e.conf, "call.max = many\n", 0o600)
    e.start()
    t.ok(e.get("sip.u1.dname") == "Good", "the last good copy is in force")
    t.ok(any("refused" in w for w in e.status().get("warnings")),
         "the status says so", e.status().get("warnings"))


@bb.test(30)
def certificates_hold_before_openssl(t):
    """cert ca-init, mint, show; `openssl verify` judges what was made."""
    e = t.endpoint()
    ca = os.path.join(t.dir, "ca")
    x = e.verb("cert", "ca-init", "--dir", ca, "--cn", "Site CA")
    t.ok(x.code == 0, "ca-init: exit 0", x)
    again = e.verb("cert", "ca-init", "--dir", ca, "--cn", "Site CA")
    t.ok(again.code != 0, "ca-init never writes over a CA", again)
    for kind, args, purpose in (
            ("device", ["--cn", bb.MAC], "sslclient"),
            ("server", ["--cn", "a.test", "--san",
                        "DNS:a.test,URI:sip:a.test,IP:192.0.2.1"],
             "sslserver")):
        out = os.path.join(t.dir, kind + ".pem")
        x = e.verb("cert", "mint", "--ca", ca, "--kind", kind, "--out", out,
                   *args)
        t.ok(x.code == 0, "mint %s: exit 0" % kind, x)
        again = e.verb("cert", "mint", "--ca", ca, "--kind", kind, "--out",
                       out, *args)
        t.ok(again.code == 1 and out in again.json["error"],
             "mint writes over no key", again)
        t.ok(os.stat(out).st_mode & 0o777 == 0o600, "its key is private",
             oct(os.stat(out).st_mode))
        v = openssl("verify", "-x509_strict", "-purpose",
                       purpose, "-CAfile", os.path.join(ca, "ca.pem"), out)
        t.ok(v.endswith("OK\n"), "openssl verify -purpose %s: OK" % purpose,
             v)
        s = e.verb("cert", "show", out)
        want = openssl("x509", "-in", out, "-noout",
                          "-fingerprint", "-sha256")
        sums = re.findall(r'"sha256": *"([0-9A-Fa-f:]+)"', json.dumps(s.json))
        t.ok(s.code == 0 and want.split("=")[1].strip().replace(":", "")
             .lower() in [x.replace(":", "").lower() for x in sums],
             "show prints the sum that openssl prints", (want, s))
        t.ok("PRIVATE KEY" not in s.out, "show prints no key")
