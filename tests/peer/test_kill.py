# SPDX-License-Identifier: ISC
"""Row 7: kill -9 at every write, fsync, rename and unlink of an apply."""
import os
import shutil
import signal
import subprocess

import bb
import peers

HERE = os.path.dirname(os.path.abspath(__file__))
KEYS = ["sip.u1.dname", "sip.u1.user", "sip.u1.auth", "admin.devname",
        "sip.proxy", "sip.obproxy"]
POINTS_MIN = 20  # issue 2, row 7
POINTS_MAX = 500  # an apply that touches files more often is broken


def config(mark):
    """A pair of files in which every value carries the same mark."""
    model = "".join("%s = %s\n" % (k, mark + ".invalid") for k in KEYS[3:])
    device = "".join("%s = %s\n" % (k, mark) for k in KEYS[:3])
    if mark == "new":
        # nginx makes its ETag of second and size: both sets are put within one.
        model, device = model + "\n", device + "\n"
    return model, device


def put(n, mark):
    model, device = config(mark)
    n.put("cfg/algopbellbird.conf", model)
    n.put("cfg/algom%s.conf" % bb.MAC, device)


def marks(t, e):
    """Which marks the settings on disk carry."""
    r = subprocess.run(
        [bb.binary(), "config", "export", "--state", e.state, "--conf", e.conf,
         "--identity", e.identity], capture_output=True, text=True, timeout=20)
    if r.returncode != 0:
        return {"unreadable: " + r.stderr[-300:]}
    found = {}
    for line in r.stdout.splitlines():
        key, _, value = line.partition("=")
        if key.strip() in KEYS:
            found[key.strip()] = value.strip().split(".")[0]
    if sorted(found) != sorted(KEYS):
        return {"only %s" % sorted(found)}
    return set(found.values())


def run(t, e, shim, at):
    """One start of the endpoint, killed at point `at`; True if it was."""
    env = {"LD_PRELOAD": shim, "BB_KILL_DIR": e.state,
           "BB_KILL_LOG": os.path.join(e.dir, "points")}
    if at:
        env["BB_KILL_AT"] = str(at)
    if os.path.exists(e.socket):
        os.unlink(e.socket)
    if os.path.exists(env["BB_KILL_LOG"]):
        os.unlink(env["BB_KILL_LOG"])
    p = bb.Proc(t, "killed", e.argv(), env=env)
    t.procs.remove(p)

    def done():
        if p.poll() is not None:
            return True
        state = ((e.ask("status") or {}).get("prov") or {}).get("state")
        return state not in (None, "running", "never")
    bb.wait_until(done, 10, "the apply ends, or the kill comes")
    killed = p.poll() is not None
    if killed and p.returncode != -signal.SIGKILL:
        t.ok(False, "the endpoint ended by itself", p.text()[-2000:])
    p.stop()
    return killed


@bb.test(240)
def killed_at_every_point_of_an_apply(t):
    """Old or new settings, never a mixture."""
    bb.need("gcc")
    shim = os.path.join(t.dir, "kill_shim.so")
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o",
                    shim, os.path.join(HERE, "kill_shim.c"), "-ldl"],
                   check=True)
    n = peers.Nginx(t, {"good": t.pki.server})
    e = t.endpoint(identity=t.pki.device, trusted=[t.pki.root], conf={
        "prov.server.method": "static",
        "prov.server.static": "localhost:%d" % n.ports["good"],
        "prov.download.method": "https", "prov.download.cfgpath": "cfg"})
    put(n, "old")
    run(t, e, shim, 0)
    if not t.ok(marks(t, e) == {"old"}, "the old set is in place",
                marks(t, e)):
        return
    before = os.path.join(t.dir, "before")
    shutil.copytree(e.state, before)
    put(n, "new")
    at, seen, mixed = 0, {"old": 0, "new": 0}, []
    while at < POINTS_MAX:
        at += 1
        shutil.rmtree(e.state)
        shutil.copytree(before, e.state)
        killed = run(t, e, shim, at)
        m = marks(t, e)
        if len(m) == 1 and list(m)[0] in seen:
            seen[list(m)[0]] += 1
        else:
            mixed.append((at, sorted(m)))
        if not killed:
            break
    points = bb.read(os.path.join(e.dir, "points")).split("\n")
    t.ok(marks(t, e) == {"new"}, "not killed: the new set is in force",
         marks(t, e))
    t.ok(at - 1 >= POINTS_MIN, "killed at %d points (at least %d)"
         % (at - 1, POINTS_MIN), points)
    t.ok(not mixed, "each time wholly old (%d) or wholly new (%d)"
         % (seen["old"], seen["new"]), mixed)
    t.ok(seen["old"] > 1 and seen["new"] > 1, "both outcomes were seen", seen)
