# SPDX-License-Identifier: ISC
"""Row 4: the registrar goes away and comes back, connections and addresses are
lost, edges die: registered again in time, and calls go on."""
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import bb
import peers
import test_baresip

LONG = os.environ.get("BELLBIRD_LONG") == "1"
USER = "1001"
# Seconds away, and how often.
OUTAGES = [(1, 100 if LONG else 10), (5, 100 if LONG else 3),
           (60, 100 if LONG else 1)]
BACK_S = 2.0


def fds(e):
    return len(os.listdir("/proc/%d/fd" % e.proc.popen.pid))


def connections(port):
    """Established connections to a port, seen from the side that connected."""
    with open("/proc/net/tcp") as f:
        rows = [r.split() for r in f.readlines()[1:]]
    return sum(1 for r in rows if r[3] == "01"
               and int(r[2].rsplit(":", 1)[1], 16) == port)


def kill(proc):
    """As a crash or the loss of power: no good-bye."""
    os.killpg(proc.popen.pid, signal.SIGKILL)
    proc.popen.wait()


def endpoint(t, port, name, **more):
    s = {"sip.proxy": "localhost:%d" % port, "sip.u1.user": USER,
         "sip.u1.auth": USER, "sip.transp": "tls"}
    s.update(more)
    return t.endpoint(name, settings=s, identity=t.pki.device,
                      trusted=[t.pki.root],
                      secrets={"sip.u1.pwd": peers.password(USER)})


def served(t, port):
    """Waits for the end of a handshake: Kamailio listens before it serves."""
    ctx = ssl.create_default_context(cafile=t.pki.root.crt)
    ctx.load_cert_chain(t.pki.device.chain, t.pki.device.key)
    with socket.create_connection(("127.0.0.1", port), 10) as raw:
        raw.settimeout(10)
        with ctx.wrap_socket(raw, server_hostname="localhost"):
            return time.monotonic()


def outages(t, away, times, out):
    """One endpoint and one registrar that is killed again and again."""
    name = "away%d" % away
    k = peers.Kamailio(t, name=name + "-0")
    e = endpoint(t, k.tls, name).start(ready=False)
    e.wait_account("registered", 10)
    before, took = fds(e), []
    for i in range(times):
        kill(k.proc)
        bb.wait_until(lambda: e.account().get("state") != "registered", 5,
                      "the account notices", alive=e.proc)
        time.sleep(away)  # the outage itself
        k = peers.Kamailio(t, name="%s-%d" % (name, i + 1), port=k.tls)
        up = served(t, k.tls)
        e.wait_account("registered", 15)
        took.append(max(0.0, time.monotonic() - up))
    out[away] = (took, connections(k.tls), before, fds(e), e.account())


@bb.test(4 * 3600 if LONG else 150)
def registrar_is_killed_and_comes_back(t):
    """After 1, 5 and 60 s: registered within 2 s, one connection, no
    descriptor more."""
    out, threads, errors = {}, [], []

    def run(away, times):
        try:
            outages(t, away, times, out)
        except Exception as e:  # told below, in the thread that counts
            errors.append("%d s: %s" % (away, e))

    for away, times in OUTAGES:
        threads.append(threading.Thread(target=run, args=(away, times)))
        threads[-1].start()
    for th in threads:
        th.join()
    t.ok(not errors, "all came back", errors)
    for away, times in OUTAGES:
        if away not in out:
            continue
        took, conns, before, after, account = out[away]
        t.ok(max(took) <= BACK_S, "away for %d s, %d times: registered at most "
             "%.2f s after the return (median %.2f)" % (
                 away, times, max(took), sorted(took)[len(took) // 2]), took)
        t.ok(conns == 1 and after <= before and account.get("flows") == 1,
             "one connection, no descriptor more (%d, %d)" % (before, after),
             (conns, before, after, account))


@bb.test(60)
def a_call_survives_its_connection(t):
    """The connection of a call is cut: registered again over a new one, the
    peer told by re-INVITE, which Kamailio challenges; and its BYE arrives."""
    domain = test_baresip.DOMAIN
    # Requests to baresip go to the port it listens on, with a certificate
    # for clients.
    tls = peers.KAMAILIO_TLS % {"key": t.pki.server.key,
                                "crt": t.pki.server.chain,
                                "ca": t.pki.device_ca.crt}
    head, client = tls.split("[client")
    k = peers.Kamailio(t, algorithm="MD5", domain=domain, host=peers.ADDRESS,
                       challenge_in_dialog=True,
                       tls=head + "[client" + client.replace("= yes", "= no"))
    b = peers.Baresip(t, "1002", domain, "sip.%s:%d" % (domain, k.tls),
                      t.pki.peer, 440)
    # Kamailio 5.6 has one algorithm and baresip 1.0 knows MD5 alone.
    e = endpoint(t, k.tls, "bellbird", **{
        "sip.proxy": domain, "sip.tls.name": domain,
        "sip.obproxy": "sip.%s:%d" % (domain, k.tls), "sip.srtp": "standard",
        "sip.auth.md5": "1", "sip.auth.indialog": "1",
        "audio.device": "null"}).start()
    local = e.wait_account("registered", 5)["local"]
    b.dial("sip:%s@%s" % (USER, domain))
    e.wait_call(5, state="established", direction="in")
    r = subprocess.run(["ss", "-K", "src", local], capture_output=True,
                       text=True)
    bb.wait_until(lambda: e.account().get("local") not in (local, "", None),
                  5, "another connection (ss: %s)" % r.stderr, alive=e.proc)
    e.wait_account("registered", 5)
    bb.wait_until(lambda: "BB accepts INVITE " + USER in k.text(), 5,
                  "Kamailio accepts the re-INVITE", alive=e.proc)
    t.ok("BB challenges INVITE " + USER in k.text(),
         "which it had challenged before")
    t.ok(e.calls() and e.calls()[0].get("state") == "established",
         "the call is up", e.calls())
    b.hangup()
    bb.wait_until(lambda: not e.calls(), 5, "BYE comes by the new connection",
                  alive=e.proc)
    t.ok(True, "the peer's BYE arrived")


@bb.test(30)
def another_address_is_noticed(t):
    """The address changes: registered from the new one at once, not when a
    ping has failed."""
    k = peers.Kamailio(t, domain="bb.test", host="0.0.0.0")
    e = endpoint(t, k.tls, "bellbird", **{
        "sip.proxy": "bb.test", "sip.tls.name": "bb.test",
        "sip.obproxy": "%s:%d" % ("198.18.0.7", k.tls)})
    ip = lambda *words: subprocess.run(("ip",) + words, check=True)
    # The registrar's own address stays; ours comes and goes.
    ip("addr", "add", "198.18.0.7/32", "dev", "lo")
    ip("addr", "add", "198.18.1.1/32", "dev", "lo")
    ip("route", "replace", "local", "198.18.0.7", "dev", "lo", "src",
       "198.18.1.1", "table", "local")
    e.start(ready=False)
    a = e.wait_account("registered", 5)
    t.ok(str(a.get("local")).startswith("198.18.1.1:"),
         "registered from %s" % a.get("local"), a)
    ip("addr", "add", "198.18.1.2/32", "dev", "lo")
    ip("route", "replace", "local", "198.18.0.7", "dev", "lo", "src",
       "198.18.1.2", "table", "local")
    begun = time.monotonic()
    bb.wait_until(lambda: str(e.account().get("local")).startswith(
        "198.18.1.2:") and e.account().get("state") == "registered", 5,
        "registered from the new address", alive=e.proc)
    took = time.monotonic() - begun
    t.ok(took <= BACK_S, "registered from the new one %.2f s after the change"
         % took)
    t.ok(connections(k.tls) == 1, "the old connection is closed",
         connections(k.tls))
