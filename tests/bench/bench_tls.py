# SPDX-License-Identifier: ISC
"""Handshakes of tls/ beside the library alone, and memory of idle connections.

Each figure is CPU time of one side, whose peer is another process, so it says
what a core of that side could do.  raw_tls.c says what is left out there.
"""
import os
import statistics
import subprocess
import time

import bb
import test_doctor

QUICK = os.environ.get("BENCH_QUICK") == "1"
RUNS = 1 if QUICK else 5
COUNT = 100 if QUICK else 500  # handshakes a run
IDLE = 100 if QUICK else 500
NAME = "bench.test"
AIM = 0.9  # of the handshakes that the library makes by itself


def program(name):
    path = os.path.join(os.path.dirname(bb.binary()), "..", "tests", "bench",
                        name)
    if not os.access(path, os.X_OK):
        raise bb.Failure("%s is not built: make -C build "
                         "tests/bench/our_tls tests/bench/raw_tls" % path)
    return path


def verb(*args):
    p = subprocess.run((bb.binary(), "cert") + args, capture_output=True,
                       text=True)
    if p.returncode != 0:
        raise bb.Failure("cert %s: %s" % (args[0], p.stderr))


def certificates(t, key):
    """A CA (P-256), and server and device below it with keys of this kind."""
    d = os.path.join(t.dir, key)
    os.makedirs(d)
    more = ("--rsa", "2048") if key == "RSA-2048" else ()
    verb("ca-init", "--dir", d, "--cn", "Bench CA")
    verb("mint", "--ca", d, "--kind", "server", "--cn", NAME, "--san",
         "DNS:" + NAME, "--out", os.path.join(d, "server.pem"), *more)
    verb("mint", "--ca", d, "--kind", "device", "--cn", bb.MAC, "--out",
         os.path.join(d, "device.pem"), *more)
    return d


def printed(name, *args):
    """The numbers of one program; the last two are client and server."""
    p = subprocess.run((program(name),) + args, stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, text=True)
    if p.returncode != 0:
        raise bb.Failure("%s %s: %s" % (name, " ".join(args), p.stdout))
    return [float(x) for x in p.stdout.split()]


def run(name, *args):
    return printed(name, *args)[-2:]


def beside(*args):
    """Medians of (raw, raw over TCP, ours), in turn so that a busy machine is
    busy for all three; each is client, server."""
    all3 = [[], [], []]
    for _ in range(RUNS):
        all3[0].append(run("raw_tls", *args))
        all3[1].append(run("raw_tls", "-t", *args))
        all3[2].append(run("our_tls", *args))
    return [[statistics.median(x[side] for x in v) for side in (0, 1)]
            for v in all3]


@bb.test(900)
def handshakes(t):
    """Handshakes a second and core; ratio to raw_tls above 1: more than it."""
    head = ("client/s", "raw", "ratio", "to TCP",
            "server/s", "raw", "ratio", "to TCP")
    t.note("%-34s" % "" + "".join("%9s" % h for h in head))
    worst = 9
    for key in ("P-256", "RSA-2048"):
        d = certificates(t, key)
        for version in ("1.3", "1.2"):
            for mutual in ((), ("-m",)):
                for resume in ((), ("-r",)):
                    args = (("-2",) if version == "1.2" else ()) + mutual \
                        + resume + ("-n", str(COUNT), d, NAME)
                    raw, tcp, our = beside(*args)
                    row = []
                    for i in (0, 1):
                        worst = min(worst, raw[i] / our[i])
                        row += ["%.0f" % (1e6 / our[i]),
                                "%.0f" % (1e6 / raw[i]),
                                "%.2f" % (raw[i] / our[i]),
                                "%.2f" % (tcp[i] / our[i])]
                    t.note("%-34s" % " ".join((
                        key, "TLS", version,
                        "mutual" if mutual else "server only",
                        "resumed" if resume else "full"))
                        + "".join("%9s" % x for x in row))
    t.note("aim: ratio %.2f or more (to raw_tls over a socketpair)" % AIM)
    # A tenth of the library's own is a defect, not a slow machine.
    t.ok(worst > 0.1, "no handshake costs ten times the library's", worst)


@bb.test(120)
def idle_memory(t):
    """Private memory of each idle connection, KiB: slope over IDLE of them."""
    d = certificates(t, "P-256")
    t.note("%-34s%9s%9s%9s%9s" % ("KiB for each idle connection", "client",
                                  "raw", "server", "raw"))
    for version in ("1.3", "1.2"):
        for mutual in ((), ("-m",)):
            args = (("-2",) if version == "1.2" else ()) + mutual \
                + ("-i", str(IDLE), d, NAME)
            raw, our = run("raw_tls", *args), run("our_tls", *args)
            t.note("%-34s%9.1f%9.1f%9.1f%9.1f" % (
                "TLS %s %s" % (version, "mutual" if mutual else "server only"),
                our[0] / 1024, raw[0] / 1024, our[1] / 1024, raw[1] / 1024))
            t.ok(max(our) < 100 * 1024,
                 "an idle connection needs less than 100 KiB", our)


@bb.test(120)
def the_rest(t):
    """Reading trust again, a kept record, and how long the doctor takes."""
    d = certificates(t, "P-256")
    indexed, parsed = run("our_tls", "-e", str(COUNT // 5), d, NAME)
    t.note("trust and identities read again: %.2f ms of CPU; %.2f where the "
           "index of the built-in set is made anew" % (indexed / 1e3,
                                                       parsed / 1e3))
    kept = printed("our_tls", "-m", "-n", "50", d, NAME)[0]
    t.note("a kept record of a connection: %.0f bytes" % kept)
    e = test_doctor.endpoint(t)
    for what, cert in (("all is well", t.pki.server),
                       ("an expired certificate", t.pki.expired)):
        target = "localhost:%d" % test_doctor.s_server(t, cert)
        took = []
        for _ in range(RUNS):
            begun = time.monotonic()
            test_doctor.doctor(e, target)
            took.append((time.monotonic() - begun) * 1e3)
        t.note("doctor, %s: %.0f ms" % (what, statistics.median(took)))
    t.ok(kept < 4096, "a kept record needs less than 4 KiB", kept)
