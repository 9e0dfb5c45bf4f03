# SPDX-License-Identifier: ISC
"""Certificates and CAs change under a running endpoint: nothing drops, what is
new counts for new connections, and what is gone counts for none."""
import os
import shutil
import socket
import ssl
import subprocess
import time

import bb
import peers
from registrar import Registrar

CALLS = 20
NEW_CA = "Site CA of the next decade"


def phone(t, k, user, identity):
    return t.endpoint(user, settings={
        "sip.proxy": "localhost:%d" % k.tls, "sip.u1.user": user,
        "sip.u1.auth": user, "sip.srtp": "standard", "sip.tls.trust":
        "trusted", "call.max": "%d" % (CALLS + 5), "audio.device": "null"},
        identity=identity, trusted=[t.pki.root],
        secrets={"sip.u1.pwd": peers.password(user)}).start(ready=False)


def renew(path, text):
    """As a careful administrator does: the old or the new, nothing between."""
    bb.write(path + ".new", text, 0o600)
    os.rename(path + ".new", path)


def trusted(e):
    return os.path.join(e.state, "certs", "trusted")


def anchors(e):
    """Names of the anchors in force that were uploaded."""
    found = e.verb("cert", "expiry").json.get("certificates") or []
    return " ".join(c["subject"] for c in found if c["kind"] == "anchor")


def reads(e):
    """How often it has read its trust and identities."""
    return e.proc.text().count("trust and identities read again")


def anchor_away(e, name="ca.pem", cn="Bellbird Test Root"):
    """Takes a CA out and waits until the endpoint has seen it."""
    ca = os.path.join(trusted(e), name)
    if cn not in anchors(e):
        raise bb.Failure("%s is not an anchor" % cn)
    before = reads(e)
    os.rename(ca, ca + ".away")
    bb.wait_until(lambda: reads(e) > before, 10, "the folder is read again",
                  alive=e.proc)
    if cn in anchors(e):
        raise bb.Failure("%s is still listed, as %s" % (cn, anchors(e)))


def packets(e):
    """Packets that each established call has received."""
    return {c["id"]: (c.get("media") or {}).get("rx_packets", 0)
            for c in e.calls() if c.get("state") == "established"
            and c.get("security") == "srtp"}


def media_goes_on(t, phones, what):
    for e in phones:
        before = packets(e)
        bb.wait_until(lambda: len(before) == CALLS and all(
            packets(e).get(c, 0) >= n + 10 for c, n in before.items()), 20,
            "%s, %s: %d calls hear each other" % (what, e.name, CALLS))
    t.ok(True, "%s: %d calls with SRTP go on at both ends" % (what, CALLS))


def under(v, cn):
    """Is this the record of a good connection under the anchor `cn`?"""
    return v.get("ok") and cn in str((v.get("chain_built") or [0])[-1])


@bb.test(90)
def everything_changes_under_twenty_calls(t):
    """CA of the site, device certificates and their CA, trust folder."""
    pki = t.pki
    k = peers.Kamailio(t)
    a = phone(t, k, "1001", pki.device)
    b = phone(t, k, "1002", pki.peer)
    for e in (a, b):
        e.wait_account("registered", 10)
    for _ in range(CALLS):
        b.ask("call", uri="1001")
    for e in (a, b):
        bb.wait_until(lambda: len(packets(e)) == CALLS, 30,
                      "%s has %d calls" % (e.name, CALLS), alive=e.proc)
    media_goes_on(t, (a, b), "before")

    site = pki.ca("site2", NEW_CA)
    devices = pki.ca("device-ca2", "Device CA 2")
    server = pki.leaf("server2", "localhost", site,
                      ["DNS:localhost", "URI:sip:localhost"])
    renew(os.path.join(a.identity, "device.pem"), bb.read(pki.leaf(
        "device2", bb.MAC, devices, usage="client").pem))
    renew(os.path.join(b.identity, "device.pem"), bb.read(pki.leaf(
        "peer2", "peer.bb.test", devices, usage="client").pem))
    for e in (a, b):
        renew(os.path.join(trusted(e), "site2.pem"), bb.read(site.crt))
    k.reload(server, [pki.device_ca, devices])
    media_goes_on(t, (a, b), "the new beside the old")
    t.ok("issuer=Device CA 2" not in k.text(),
         "what still holds is not connected anew", k.text()[-600:])
    t.ok(all(len(packets(e)) == CALLS for e in (a, b)), "no call is lost")

    # The old CA goes: at one end the file, at the other the whole folder.
    os.unlink(os.path.join(trusted(a), "ca.pem"))
    shutil.copytree(trusted(b), trusted(b) + ".next")
    os.unlink(os.path.join(trusted(b) + ".next", "ca.pem"))
    os.rename(trusted(b), trusted(b) + ".old")
    os.rename(trusted(b) + ".next", trusted(b))
    for e, cn in ((a, bb.MAC), (b, "peer.bb.test")):
        bb.wait_until(
            lambda: "user=%s proto=tls tls=TLSv1.3 verified=1 cn=%s "
            "issuer=Device CA 2" % (e.name, cn) in k.text(), 30,
            "Kamailio sees the new certificate of %s" % e.name, alive=e.proc)
        v = e.wait_account("registered", 15).get("tls") or {}
        t.ok(under(v, NEW_CA),
             "%s is registered under the new CA, with the new certificate"
             % e.name, v)
        ended = [v.get("class") for v in e.status().get("tls") or []]
        t.ok("cert.unknown_root" in ended,
             "%s: the old connection ended for want of its CA" % e.name, ended)
        r = e.verb("tls", "last")
        t.ok(under(r.json["connections"][0], NEW_CA),
             "tls last shows the new one", r)
    media_goes_on(t, (a, b), "after")
    t.ok(all(len(packets(e)) == CALLS for e in (a, b)), "0 of %d calls lost"
         % CALLS)

    # A new call passes.  The old ones are ended at both ends: their dialogs
    # lead to connections that are gone.
    b.ask("call", uri="1001")
    bb.wait_until(lambda: len(packets(b)) == CALLS + 1, 10, "a call more")
    for e in (b, a):
        for c in list(packets(e)):
            e.ask("hangup", call=c)
    for e in (b, a):
        e.no_calls(20)
    t.ok(True, "a new call passes, and all end")


def register(t, r, name="bellbird", **settings):
    """An endpoint registered with `r` under a CA that was uploaded."""
    s = {"sip.proxy": "bb.test", "sip.tls.name": "bb.test",
         "sip.obproxy": "sip.bb.test:%d" % r.port, "sip.u1.user": "1001",
         "audio.device": "null"}
    s.update(settings)
    e = t.endpoint(name, settings=s, identity=t.pki.device,
                   trusted=[t.pki.root]).start(ready=False)
    r.registered()
    e.wait_account("registered", 5)
    return e


@bb.test(60)
def an_anchor_that_is_removed(t):
    """The live connection under it ends, with the class that says why; put
    back, and the endpoint is registered again."""
    r = Registrar(t, peers.ADDRESS)
    e = register(t, r)
    ca = os.path.join(trusted(e), "ca.pem")
    # What is added, or removed without being used, ends nothing.
    before = reads(e)
    renew(os.path.join(trusted(e), "other.pem"), bb.read(t.pki.other_ca.crt))
    bb.wait_until(lambda: reads(e) > before, 10, "the other CA is read",
                  alive=e.proc)
    anchor_away(e, "other.pem", "Some Other CA")
    t.ok(e.account()["state"] == "registered" and r.silent(),
         "another anchor comes and goes: the connection stays", e.account())
    begun = time.monotonic()
    os.rename(ca, ca + ".away")
    t.ok(r.ended(20), "the connection is closed %.1f s after its anchor went"
         % (time.monotonic() - begun))
    v = e.wait_class(5)
    t.ok(v.get("class") == "cert.unknown_root", "the verdict: %s"
         % v.get("text"), v)
    w = e.verb("wait", "tls.verdict", "--since", "0", "--timeout", "3s",
               "--where", "class=cert.unknown_root")
    t.ok(w.code == 0, "an event tells of it", w)
    os.rename(ca + ".away", ca)
    serve(r)
    e.wait_account("registered", 5)
    t.ok(True, "put back: registered again")
    r.close()


@bb.test(60)
def a_sip_session_without_its_anchor(t):
    """A ticket is on its way when the CA goes: the handshake is resumed, and
    what was verified once is refused now."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        r = Registrar(t, peers.ADDRESS)
        r.ctx.maximum_version = version
        sent = []
        # Debian's OpenSSL tells of each message; a resumed handshake has a
        # ServerHello (2) and no Certificate (11).
        r.ctx._msg_callback = lambda c, way, v, kind, what, data: \
            sent.append(int(what)) if way == "write" and kind == 22 else None
        e = register(t, r, name="u" + version.name)
        r.drop()
        r.registered()
        v = e.wait_account("registered", 5).get("tls") or {}
        t.ok(r.conn.session_reused and v.get("resumed") and v.get("ok"),
             "%s: a session is resumed while its CA is there" % version.name,
             v)
        r.drop()
        raw, _ = r.sock.accept()
        raw.settimeout(10)
        hello = raw.recv(4096, socket.MSG_PEEK)
        anchor_away(e)
        del sent[:]
        try:
            conn = r.ctx.wrap_socket(raw, server_side=True)
            why = conn.recv(4096) or "closed"
        except (OSError, ssl.SSLError) as x:
            why = str(x)
        v = e.wait_class(5)
        t.ok(hello and 2 in sent and 11 not in sent,
             "%s: the registrar resumes the session" % version.name, sent)
        t.ok(v.get("class") == "cert.unknown_root"
             and "unknown ca" in str(why).lower(),
             "%s: it is refused without its CA" % version.name, (why, v))
        r.close()
        e.stop()


@bb.test(30)
def a_provisioning_session_without_its_anchor(t):
    """nginx gives tickets; they do not outlive the CA."""
    n = peers.Nginx(t, {"good": t.pki.server})
    n.put("cfg/algom%s.conf" % bb.MAC, "call.max = 6\n")
    n.put("cfg/algopbellbird.conf", "call.max = 5\n")
    e = t.endpoint(conf={
        "prov.server.static": "localhost:%d" % n.ports["good"],
        "prov.server.method": "static", "prov.download.method": "https",
        "prov.download.cfgpath": "/cfg"}, identity=t.pki.device,
        trusted=[t.pki.root]).start()

    def run():
        x = e.verb("prov", "run")
        return x, (e.status()["prov"]["report"] or {}).get("verdict") or {}
    run()
    x, v = run()
    t.ok(x.code == 0 and v.get("resumed") and v.get("ok"),
         "the second run resumes", (x, v))
    anchor_away(e)
    before = n.access()
    x, v = run()
    t.ok(x.code == 10 and v.get("class") == "cert.unknown_root"
         and n.access() == before, "without the CA: refused, nothing asked",
         (x, v, n.access()))


@bb.test(30)
def a_callers_session_without_its_anchor(t):
    """The other way round: s_client comes back with a session of before."""
    e = t.endpoint(settings={"sip.listen.tls": "127.0.0.1:0",
                             "sip.listen.tls.client": "require",
                             "audio.device": "null"},
                   trusted=[t.pki.root, t.pki.device_ca],
                   server_cert=t.pki.server).start()
    port = e.port("tls")

    def call(version, *more):
        p = subprocess.run(
            ["openssl", "s_client", "-connect", "127.0.0.1:%d" % port,
             "-CAfile", t.pki.root.crt, "-cert", t.pki.peer.crt, "-key",
             t.pki.peer.key, version, "-ign_eof"] + list(more),
            input="OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n\r\n"
            "junk that ends it\r\n\r\n", capture_output=True, text=True,
            timeout=10, errors="replace")
        return p.stdout + p.stderr
    for version in ("-tls1_2", "-tls1_3"):
        ticket = os.path.join(t.dir, "session" + version)
        call(version, "-sess_out", ticket)
        again = call(version, "-sess_in", ticket)
        t.ok("Reused, TLS" in again, "%s: resumed" % version[1:],
             again[-1500:])
    anchor_away(e, "ca1.pem", "Bellbird Test Device CA")
    for version in ("-tls1_2", "-tls1_3"):
        got = call(version, "-sess_in",
                   os.path.join(t.dir, "session" + version))
        last = e.verb("tls", "last").json["connections"][0]
        t.ok("alert" in got and last.get("direction") == "server"
             and last.get("class") == "cert.unknown_root",
             "%s: refused without the CA" % version[1:], (last, got[-1500:]))


def serve(r):
    """Until one connection is good: those before were refused by us."""
    for _ in range(10):
        try:
            return r.registered()
        except (OSError, bb.Failure):
            pass
    raise bb.Failure("it does not register again")
