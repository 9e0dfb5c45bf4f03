# SPDX-License-Identifier: ISC
"""Calls a second as an endpoint that answers by itself, memory of calls that
are held, and what a message costs when much is under way; beside baresip.

sip_load.c is the caller.  CPU time decides: what a core could do is 1,000 ms
by the milliseconds of a call; the calls a second that were really made depend
on the caller's share of the machine, too.
"""
import json
import os
import re
import subprocess

import bb
import bench_tls
import peers

QUICK = os.environ.get("BENCH_QUICK") == "1"
RUNS = 1 if QUICK else 5
CALLS = 300 if QUICK else 3000  # a run
HELD = 100 if QUICK else 1000
LIVE = (10, 100) if QUICK else (10, 1000, 10000)
AIMS = {"udp": 8400, "tcp": None, "tls": 5300}


def load(t, transport, port, *args, host="127.0.0.1"):
    """One run of the caller; what it printed last."""
    p = subprocess.run([bench_tls.program("sip_load"), "-t", transport]
                       + list(map(str, args)) + [host, str(port)],
                       capture_output=True, text=True)
    try:
        return json.loads(p.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise bb.Failure("sip_load: %s%s" % (p.stdout, p.stderr)) from None


def cpu_ms(pid):
    """CPU time of all threads, from the scheduler's own clock."""
    return sum(int(bb.read("/proc/%d/task/%s/schedstat" % (pid, x)).split()[0])
               for x in os.listdir("/proc/%d/task" % pid)) / 1e6


def private_kib(pid):
    text = bb.read("/proc/%d/smaps_rollup" % pid)
    return int(re.search(r"Private_Dirty:\s+(\d+)", text)[1])


def ours(t, **settings):
    s = {"audio.device": "null", "call.max": "1000",
         "sip.allow": "127.0.0.0/8", "sip.listen.udp": "127.0.0.1:0",
         "sip.listen.tcp": "127.0.0.1:0", "sip.listen.tls": "127.0.0.1:0"}
    s.update(settings)
    return t.endpoint("bellbird-%d" % len(t.procs), settings=s,
                      identity=t.pki.device, trusted=[t.pki.root],
                      server_cert=t.pki.server).start()


def theirs(t):
    """baresip without an account of a server: answers whoever calls."""
    name = "baresip-%d" % len(t.procs)
    d = os.path.join(t.dir, name)
    os.makedirs(d)
    ports = {x: bb.free_port() for x in ("udp", "tls")}
    modules = peers.Baresip.CONFIG.split("\n")
    keep = [x for x in modules if x.startswith("module")
            and not re.search(r"stun|turn|ice|ctrl|httpd|mqtt", x)]
    bb.write(os.path.join(d, "config"), "\n".join([
        "sip_listen 127.0.0.1:%d" % ports["udp"],
        "sip_certificate " + t.pki.server.pem, "call_max_calls 0",
        "audio_player aubridge,nil", "audio_source aubridge,nil",
        "rtp_ports 20000-60000"] + keep) % {
            "modules": "/usr/lib/baresip/modules"} + "\n")
    bb.write(os.path.join(d, "accounts"),
             "<sip:load@127.0.0.1>;regint=0;answermode=auto;"
             "audio_codecs=pcmu\n")
    bb.write(os.path.join(d, "contacts"), "")
    bb.write(os.path.join(d, "uuid"), "00000000-0000-4000-8000-000000001001")
    p = bb.Proc(t, name, ["baresip", "-f", d], cwd=d)
    bb.wait_until(lambda: bb.listening(ports["udp"], "udp"), 10,
                  "baresip listens", alive=p)
    return p, ports


def rates(t, pid, transport, port, calls):
    """(CPU ms a call, calls a second, p50, p99 of one call at a time, ms)."""
    load(t, transport, port, "-n", 50)
    out = []
    for _ in range(RUNS):
        before = cpu_ms(pid)
        r = load(t, transport, port, "-n", calls, "-w", 16)
        if r["failed"]:
            raise bb.Failure("%s: %d calls failed" % (transport, r["failed"]))
        one = load(t, transport, port, "-n", 200, "-w", 1)
        out.append(((cpu_ms(pid) - before) / (calls + 200),
                    r["good"] / r["seconds"], one["p50_us"] / 1e3,
                    one["p99_us"] / 1e3))
    out.sort()
    return out[len(out) // 2]


@bb.test(900)
def calls_a_second(t):
    """Answered with audio set up, and hung up."""
    e = ours(t)
    t.note("%-22s %9s %9s %9s %8s %8s %7s" % (
        "", "ms CPU", "a core/s", "made/s", "p50 ms", "p99 ms", "aim/s"))
    for transport in ("udp", "tcp", "tls"):
        cpu, made, p50, p99 = rates(t, e.proc.popen.pid, transport,
                                    e.port(transport), CALLS)
        t.note("%-22s %9.3f %9.0f %9.0f %8.2f %8.2f %7s" % (
            "bellbird " + transport, cpu, 1000 / cpu, made, p50, p99,
            AIMS[transport] or "-"))
        # Ten times too slow is a defect, not a slow machine.
        t.ok(cpu < 2, "a call over %s costs less than 2 ms" % transport, cpu)
    e.no_calls(5)
    try:
        p, ports = theirs(t)
        cpu, made, p50, p99 = rates(t, p.popen.pid, "udp", ports["udp"],
                                    min(CALLS, 300))
        t.note("%-22s %9.3f %9.0f %9.0f %8.2f %8.2f" % (
            "baresip udp", cpu, 1000 / cpu, made, p50, p99))
    except bb.Failure as x:
        t.note("baresip: not measured: %s" % str(x)[:200])


@bb.test(300)
def memory_of_held_calls(t):
    """Clear audio that flows, and signalling alone."""
    for what, args in (("signalling alone", ["-a", "inactive"]),
                       ("with audio", [])):
        e = ours(t)
        pid = e.proc.popen.pid
        load(t, "udp", e.port("udp"), "-n", 20)
        before = private_kib(pid)
        p = subprocess.Popen(
            [bench_tls.program("sip_load"), "-m", "hold", "-n", str(HELD)]
            + args + ["127.0.0.1", str(e.port("udp"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = p.stdout.readline()
        each = (private_kib(pid) - before) / HELD
        t.ok(line.startswith("held %d failed 0" % HELD) and each < 40,
             "a held call, %s: %.1f KiB (aim 20)" % (what, each), line)
        p.stdin.close()
        p.wait()
        e.stop()


@bb.test(300)
def cost_of_a_message(t):
    """OPTIONS, with so many transactions that are kept for their copies."""
    e = ours(t)
    pid, port, made, costs = e.proc.popen.pid, e.port("udp"), 0, []
    for n in LIVE:
        if n > made:
            load(t, "udp", port, "-m", "options", "-n", n - made, "-w", 16)
            made = n
        best = None
        for _ in range(RUNS):
            before = cpu_ms(pid)
            load(t, "udp", port, "-m", "options", "-n", 200, "-w", 16)
            made += 200
            cost = (cpu_ms(pid) - before) / 200 * 1e3
            best = cost if best is None else min(best, cost)
        costs.append(best)
        t.note("about %5d transactions: %.1f us CPU a message" % (n, best))
    t.ok(costs[-1] < 4 * costs[0], "it does not grow with them", costs)
