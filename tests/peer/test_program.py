# SPDX-License-Identifier: ISC
"""The program as an init system and a technician meet it: signals, the state
folder, manual answering, events, certificates; judged by the openssl command
and by a registrar of a few lines that sees every message."""
import json
import os
import re
import signal
import subprocess
import time

import bb
import peers
from registrar import DOMAIN, Registrar, header, world


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


@bb.test(30)
def the_init_script_starts_again_what_was_reset(t):
    """contrib/init/bellbird.sysv: exit 75 means once more; stop means stop."""
    bb.need("start-stop-daemon")
    e = t.endpoint()
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                          "..", "contrib", "init", "bellbird.sysv")
    where = os.path.join(t.dir, "run")
    e.socket = os.path.join(where, "ctl.sock")
    env = dict(os.environ, DAEMON=bb.binary(), RUNUSER="root", RUNDIR=where,
               STATEDIR=os.path.join(t.dir, "lib"),
               CONFDIR=os.path.join(t.dir, "etc"))

    def init(word):
        return subprocess.run(["sh", script, word], env=env, timeout=15,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode

    def pid_other_than(old):
        return bb.wait_until(
            lambda: e.status().get("pid") not in (None, old)
            and e.status().get("pid"), 10, "another endpoint than %s" % old)
    os.makedirs(env["CONFDIR"])
    bb.write(os.path.join(env["CONFDIR"], "bellbird.conf"), "# none\n")
    t.ok(init("start") == 0, "start")
    try:
        first = pid_other_than(None)
        t.ok(init("reload") == 0 and init("status") == 0, "reload, status")
        x = e.verb("reset")
        second = pid_other_than(first)
        t.ok(x.code == 0, "reset: it is there again, pid %d then %d"
             % (first, second), x)
        t.ok(init("reload") == 0 and pid_other_than(None) == second,
             "the signal of reload does not end it")
    finally:
        t.ok(init("stop") == 0, "stop")
    t.ok(e.status() == {} and not os.path.exists("/proc/%d" % second)
         and init("status") == 3, "it stays away")
