# SPDX-License-Identifier: ISC
"""How soon a lost registration is back, bellbird beside baresip: after the
registrar closed the connection, and after it was away for 5 s."""
import socket
import statistics
import threading
import time

import bb
import bench_speed
import peers
from registrar import Registrar

RUNS = 5
AWAY_S = 5
STABLE_S = 11  # a registration that falls apart sooner is not the first loss
PATIENCE_S = 20


def wait(seconds):
    end = time.monotonic() + seconds
    bb.wait_until(lambda: time.monotonic() > end, seconds + 5, "time passes",
                  every=0.2)


def back(r, patience):
    """Seconds until it is registered again; None: not within `patience`."""
    begun = time.monotonic()
    r.sock.settimeout(patience)
    try:
        return r.registered(patient=True) - begun
    except (socket.timeout, TimeoutError):
        return None


def each(rs, patience):
    """back() of all at once."""
    out = [None] * len(rs)

    def one(i):
        out[i] = back(rs[i], patience)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(rs))]
    for th in threads:
        th.start()
    for th in threads:
        th.join()
    return out


def measure(t, start, runs, patience):
    rs = []
    for _ in range(runs):
        rs.append(Registrar(t, peers.ADDRESS))
        start(t, rs[-1])
    wait(STABLE_S)
    closed = []
    for r in rs:
        r.drop()
        closed.append(back(r, patience))
    if None in closed:
        for r in rs:
            r.close()
        return closed, [None]
    wait(STABLE_S)
    for r in rs:
        r.drop()
        r.sock.close()
    wait(AWAY_S)
    for r in rs:
        r.sock = socket.create_server((r.host, r.port))
    away = each(rs, patience)
    for r in rs:
        r.close()
    return closed, away


def text(values):
    if None in values:
        return "> %d s" % PATIENCE_S
    return "%.3f s" % statistics.median(values)


@bb.test(240)
def registered_again(t):
    """Medians; aims: 0.1 s after a close, 2 s after the end of an outage."""
    closed, away = measure(t, bench_speed.ours, RUNS, PATIENCE_S)
    theirs = measure(t, bench_speed.theirs, 1, PATIENCE_S)
    t.note("%-44s %10s %10s %6s" % ("", "bellbird", "baresip", "aim"))
    t.note("%-44s %10s %10s %6s" % ("registered again after a close",
                                    text(closed), text(theirs[0]), "0.1"))
    t.note("%-44s %10s %10s %6s" % ("after 5 s away, from the return",
                                    text(away), text(theirs[1]), "2"))
    t.ok(None not in closed and max(closed) < 1.0,
         "after a close: each below 1 s", closed)
    t.ok(None not in away and max(away) <= 2.5,
         "after 5 s away: each below 2.5 s", away)
