#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Runs the peer tests: all of them, or those named.

    BELLBIRD=src/bellbird tests/peer/run.py [test_kamailio ...] [-k WORD]

Each module runs in a network and mount namespace of its own: no port is
taken, nothing leaves the machine, and the raw capture sees our packets only.
The last line is `N passed, N failed, N skipped`; exit 0 if none failed.
BB_KEEP=1 keeps the folder of a failed test.
"""
import argparse
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import bb  # noqa: E402
import peers  # noqa: E402

ADDRESS = "198.18.0.1"


def sh(*argv):
    p = subprocess.run(argv, capture_output=True, text=True)
    if p.returncode != 0:
        raise bb.Failure("%s: %s" % (" ".join(argv), p.stderr.strip()))


def inside(module, words, report):
    """In the namespaces: network up, name server up, then the tests."""
    bb.need("ip", "openssl")
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb")
    sh("ip", "addr", "add", ADDRESS + "/24", "dev", "va")
    sh("ip", "link", "set", "va", "up")
    sh("ip", "link", "set", "vb", "up")
    # baresip takes its address from the interface of the default route.
    sh("ip", "route", "add", "default", "via", "198.18.0.2")
    top = tempfile.mkdtemp(prefix="bb-")
    passed = failed = 0
    world = bb.Bench(module + "-world", None)
    try:
        resolv = bb.write(os.path.join(top, "resolv.conf"),
                          "nameserver 127.0.0.1\n")
        sh("mount", "--bind", resolv, os.path.realpath("/etc/resolv.conf"))
        peers.Dnsmasq(world)
        pki = bb.Pki(os.path.join(top, "pki"))
        bb.test.all.clear()
        importlib.import_module(module)
        for fn in bb.test.all:
            if fn.__module__ != module or words and not any(w in fn.__name__ for w in words):
                continue
            p, f = bb.run_one(fn, pki)
            passed += p
            failed += f
    except bb.Failure as e:
        world.ok(False, module, e)
        failed += 1
    finally:
        world.close()
        for line in world.said:
            print(line, flush=True)
        shutil.rmtree(top, ignore_errors=True)
    with open(report, "w") as out:
        json.dump([passed, failed], out)


def outside(modules, words):
    passed = failed = number = 0
    if modules != ["test_peers"] and not os.access(bb.binary(), os.X_OK):
        print("not ok 1 - %s cannot be run: build it, or set BELLBIRD"
              % bb.binary())
        print("0 passed, 1 failed, 0 skipped")
        return 1
    for m in modules:
        with tempfile.NamedTemporaryFile() as report:
            how = ["unshare", "-n", "-m"]
            if os.geteuid() != 0:
                how = ["unshare", "-r", "-n", "-m"]
            argv = how + [sys.executable, os.path.abspath(__file__),
                          "--inside", report.name, m]
            for w in words:
                argv += ["-k", w]
            print("# ---- %s" % m, flush=True)
            p = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True,
                                 errors="replace", start_new_session=True)
            try:
                for line in p.stdout:
                    hit = re.match(r"(ok|not ok) - (.*)", line)
                    if hit:
                        number += 1
                        line = "%s %d - %s\n" % (hit[1], number, hit[2])
                    sys.stdout.write(line)
                    sys.stdout.flush()
                p.wait()
            except KeyboardInterrupt:
                os.killpg(p.pid, signal.SIGTERM)
                raise
            try:
                with open(report.name) as f:
                    ok, bad = json.load(f)
            except ValueError:
                number += 1
                print("not ok %d - %s: the runner ended early (exit %s)"
                      % (number, m, p.returncode), flush=True)
                ok, bad = 0, 1
            passed += ok
            failed += bad
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed or passed == 0 else 0


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("modules", nargs="*")
    ap.add_argument("-k", action="append", default=[], metavar="WORD",
                    help="only tests whose name contains WORD")
    ap.add_argument("--inside", help=argparse.SUPPRESS)
    a = ap.parse_args()
    names = [os.path.basename(m)[:-3] if m.endswith(".py") else m
             for m in a.modules]
    if a.inside:
        return inside(names[0], a.k, a.inside)
    if not names:
        names = sorted(f[:-3] for f in os.listdir(HERE)
                       if f.startswith("test_") and f.endswith(".py")
                       and f != "test_peers.py")
    return outside(names, a.k)


if __name__ == "__main__":
    sys.exit(main())
