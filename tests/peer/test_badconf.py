# SPDX-License-Identifier: ISC
"""Row 8: bad configuration files, delivered by nginx (and by a server that
lies about lengths): refused with the place or the count, old settings stay."""
import os
import re

import bb
import peers

FILE = "algom%s.conf" % bb.MAC
GOOD = "sip.u1.dname = Before\ncall.max = 6\n"


def world(t):
    """nginx with a good file, applied."""
    n = peers.Nginx(t, {"good": t.pki.server})
    n.put("cfg/" + FILE, GOOD)
    e = t.endpoint(conf={
        "prov.server.method": "static", "prov.download.method": "https",
        "prov.server.static": "localhost:%d" % n.ports["good"],
        "prov.download.cfgpath": "/cfg", "prov.use": "1"},
        identity=t.pki.device, trusted=[t.pki.root]).start()
    r = e.verb("prov", "run")
    t.ok(r.code == 0 and e.get("sip.u1.dname") == "Before",
         "a good file first", r)
    return n, e


def disk(e):
    """What is kept of provisioning, byte for byte."""
    kept = {}
    for top, _, files in os.walk(os.path.join(e.state, "prov")):
        for f in files:
            path = os.path.join(top, f)
            with open(path, "rb") as x:
                kept[os.path.relpath(path, e.state)] = x.read()
    return kept


def refused(t, e, what, pattern):
    """The next run must fail with `pattern` in what it says, and change
    nothing, neither now nor after a restart."""
    before = disk(e)
    r = e.verb("prov", "run")
    t.ok(r.code == 10, "%s: exit 10" % what, r)
    t.ok(re.search(pattern, r.out + r.err, re.S),
         "%s: it says /%s/" % (what, pattern), r)
    t.note("%s: [%s] %s" % (what, r.find("class"), r.find("text")
                            or r.json.get("error")))
    t.ok(r.find("class"), "%s: the class is %s" % (what, r.find("class")), r)
    t.ok(e.get("sip.u1.dname") == "Before" and e.get("call.max") == "6",
         "%s: old settings stay" % what,
         (e.get("sip.u1.dname"), e.get("call.max")))
    after = disk(e)
    # A note of the failed run is no setting.
    changed = [f for f in set(before) | set(after)
               if before.get(f) != after.get(f) and f.endswith(".conf")]
    t.ok(not changed, "%s: the kept files are the same" % what, changed)
    return r


def place(r, line, column=None):
    for p in r.find("problems") or []:
        if p.get("line") == line and p.get("fatal") \
                and (column is None or p.get("column") == column) \
                and FILE in str(p.get("file")):
            return p
    return None


@bb.test(30)
def an_unknown_key_is_warned_of(t):
    n, e = world(t)
    n.put("cfg/" + FILE, "sip.u1.dname = After\nsip.u1.dnam = x\n"
          "zzz.qqq.vvv = 1\ncall.max = 9\n")
    r = e.verb("prov", "run")
    t.ok(r.code == 0, "exit 0", r)
    t.ok(e.get("sip.u1.dname") == "After" and e.get("call.max") == "9",
         "the rest is applied", (e.get("sip.u1.dname"), e.get("call.max")))
    ps = r.find("problems") or []
    p = [x for x in ps if x.get("line") == 2]
    t.ok(p and not p[0].get("fatal") and "sip.u1.dname" in p[0]["text"],
         "warned, with the nearest name: %s" % (p and p[0].get("text")), r)
    p = [x for x in ps if x.get("line") == 3]
    t.ok(p and not p[0].get("fatal"), "one with nothing near it, too", r)


@bb.test(30)
def a_bad_value_refuses_the_file(t):
    n, e = world(t)
    n.put("cfg/" + FILE, "# a comment\nsip.u1.dname = After\n"
          "call.max = many\n")
    r = refused(t, e, "bad value", r"call\.max")
    p = place(r, 3)
    t.ok(p and p.get("column", 0) >= 1, "file, line 3 and a column: %s"
         % p, r)
    t.ok(re.search(re.escape(FILE) + r":3:\d+", r.out + r.err
                   + bb.read(e.proc.log)), "written as file:line:column", r)
    e.stop()
    e.start()
    t.ok(e.get("sip.u1.dname") == "Before",
         "old settings stay after a restart", e.get("sip.u1.dname"))


@bb.test(30)
def a_value_outside_its_range(t):
    n, e = world(t)
    n.put("cfg/" + FILE, "sip.u1.dname = After\nsip.tls.min = 0.9\n")
    r = refused(t, e, "out of range", r"sip\.tls\.min")
    t.ok(place(r, 2), "file and line 2", r)


@bb.test(60)
def ten_megabytes(t):
    n, e = world(t)
    line = "sip.u1.dname = After\n"
    n.put("cfg/" + FILE, line * (10 * 1024 * 1024 // len(line)))
    refused(t, e, "10 MB", r"\d[\d ,']{4,}")
    s = bb.read("/proc/%d/status" % e.proc.popen.pid)
    peak = int((re.search(r"VmHWM:\s+(\d+)", s) or [0, 0])[1])
    if "libasan" in bb.read("/proc/%d/maps" % e.proc.popen.pid):
        return  # its own shadow is counted there
    t.ok(0 < peak < 24000, "it was not read into memory: peak %d KB" % peak)


@bb.test(60)
def a_body_that_never_ends_early(t):
    """The server announces 400 bytes, sends fewer, and closes TLS cleanly:
    the counts are named."""
    n, e = world(t)
    half = b"sip.u1.dname = After\n"
    s = peers.LyingServer(t, t.pki.server, 400, half)
    r = e.verb("config", "set", "prov.server.static", "localhost:%d" % s.port)
    t.ok(r.code == 0, "config set", r)
    refused(t, e, "truncated", r"\b%d\b.*\b400\b|\b400\b.*\b%d\b"
            % (len(half), len(half)))
    t.ok(s.requests, "it was asked: %s" % s.requests[:1])


@bb.test(30)
def binary_garbage(t):
    n, e = world(t)
    # Fixed bytes: a failure can be repeated.
    x, junk = 1, bytearray()
    for _ in range(5000):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        junk.append(x >> 16 & 0xFF)
    n.put("cfg/" + FILE, bytes(junk))
    refused(t, e, "garbage", r"%s.*\d|5,?000|\bbyte" % re.escape(FILE))


@bb.test(30)
def other_things_that_are_no_configuration(t):
    n, e = world(t)
    for what, text in (("html", "<!DOCTYPE html>\n<html><body>Login</body>"
                        "</html>\n"),
                       ("json", '{"call.max": 9}\n'),
                       ("nul", b"sip.u1.dname = Af\0ter\n"),
                       ("long line", "sip.u1.dname = " + "x" * 20000 + "\n"),
                       ("no equals sign", "call.max 9\n")):
        n.put("cfg/" + FILE, text)
        refused(t, e, what, r"\w")
    n.put("cfg/" + FILE, "\ufeffsip.u1.dname = After\r\n".encode())
    r = e.verb("prov", "run")
    t.ok(r.code == 0 and e.get("sip.u1.dname") == "After",
         "a BOM and CRLF are no fault", r)


@bb.test(30)
def a_slip_does_not_show_the_password(t):
    """A colon for the equals sign: refused with the place, and the password
    is neither in the answer nor in the log."""
    n, e = world(t)
    n.put("cfg/" + FILE, "sip.u1.dname = After\nsip.u1.pwd: hunter2\n")
    r = refused(t, e, "a colon", r":2:1\b.*sip\.u1\.pwd")
    log = bb.read(e.proc.log)
    t.ok(log.count('found no = after') == 1, "the log tells it once", log)
    said = r.out + r.err + log + str(e.status())
    t.ok("hunter2" not in said, "the password is shown nowhere",
         [l for l in said.split("\n") if "hunter2" in l])


@bb.test(30)
def what_a_file_may_weaken(t):
    """The judgement of peers is out of a file's reach; a site's media and
    callers are not, but show as warnings."""
    n, e = world(t)
    n.put("cfg/" + FILE, GOOD + "sip.tls.allow = sha1,rsa1024\n"
          "sip.tls.profile = legacy\nsip.u1.tls.cn = 1\n"
          "sip.srtp = disabled\nsip.allow = 0.0.0.0/0\n")
    r = e.verb("prov", "run")
    t.ok(r.code == 0, "the file is applied", r)
    t.ok(e.get("sip.tls.allow") == "" and e.get("sip.u1.tls.cn") == ""
         and e.get("sip.tls.profile") == "intermediate",
         "the judgement of peers stays strict", r)
    t.ok(r.out.count("would weaken security") == 3, "each is reported", r)
    warnings = "\n".join(e.status().get("warnings") or [])
    t.ok(e.get("sip.srtp") == "disabled" and "sip.srtp = disabled" in warnings
         and "sip.allow = 0.0.0.0/0" in warnings,
         "what a site may choose is warned of", warnings)
    t.ok("sip.tls" not in warnings, "what is not in force is not", warnings)
