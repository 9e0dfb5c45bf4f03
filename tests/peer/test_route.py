# SPDX-License-Identifier: ISC
"""Where requests go: two Kamailios, a name server, IPv6 (RFC 3263)."""
import os
import re
import socket
import time

import bb
import peers

USER = "1001"
NAME_SERVER = "127.0.0.53"


class Names:
    """A name server of this test, and the resolver told to ask it."""

    def __init__(self, t, records):
        self.t = t
        self.proc = None
        self.serve(records)
        # The runner made this file ours alone, in a mount namespace.
        self.before = bb.read("/etc/resolv.conf")
        bb.write("/etc/resolv.conf", "nameserver %s\n" % NAME_SERVER)
        t.closers.append(
            lambda: bb.write("/etc/resolv.conf", self.before))

    def serve(self, records):
        if self.proc is not None:
            self.proc.stop()
        conf = bb.write(os.path.join(self.t.dir, "names.conf"), "\n".join([
            "port=53", "listen-address=" + NAME_SERVER, "bind-interfaces",
            "no-resolv", "no-hosts", "local=/test/", "user=root", "group=root",
            "conf-file=", "log-queries", "log-facility=-",
            "pid-file=%s/names.pid" % self.t.dir,
            "host-record=one.example.test,127.0.0.1",
            "host-record=two.example.test,127.0.0.1"] + records) + "\n")
        self.proc = bb.Proc(self.t, "names", ["dnsmasq", "-k", "-C", conf])
        bb.wait_until(self.answers, 5, "the name server answers",
                      alive=self.proc)

    @staticmethod
    def answers():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            try:
                s.connect((NAME_SERVER, 53))
                s.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\3one\7example\4test"
                       b"\0\0\1\0\1")
                return s.recv(512)[3] & 15 == 0
            except OSError:
                return False


def endpoint(t, **settings):
    settings = {k.replace("__", "."): v for k, v in settings.items()}
    settings.setdefault("sip.transp", "tls")
    settings.update({"sip.u1.user": USER, "sip.u1.auth": USER})
    return t.endpoint(settings=settings, identity=t.pki.device,
                      trusted=[t.pki.root],
                      secrets={"sip.u1.pwd": peers.password(USER)})


def at(e, port, seconds):
    """Waits until it is registered with the server of that port."""
    def there():
        a = e.account()
        return a if a.get("state") == "registered" and \
            str(a.get("remote", "")).endswith(":%d" % port) else None
    return bb.wait_until(there, seconds, "registered at port %d" % port,
                         alive=e.proc)


@bb.test(40)
def the_backup_stands_in_and_gives_way(t):
    """sip.bkproxy1 and sip.ssr.*: the primary dies and comes back."""
    one = peers.Kamailio(t, name="one")
    two = peers.Kamailio(t, name="two")
    e = endpoint(t, sip__proxy="localhost:%d" % one.tls,
                 sip__bkproxy1="localhost:%d" % two.tls, sip__ssr__use="1",
                 sip__ssr__interval="2").start()
    at(e, one.tls, 5)
    begun = time.monotonic()
    one.proc._signal(9)
    a = at(e, two.tls, 5)
    took = time.monotonic() - begun
    t.ok(took <= 2.0, "at the backup %.2f s after the primary was killed"
         % took, a)
    t.ok("BB authenticated " + USER in two.text(), "Kamailio two took it")
    bb.wait_until(lambda: not bb.listening(one.tls), 5, "one is gone")
    again = peers.Kamailio(t, name="again", port=one.tls)
    begun = time.monotonic()
    at(e, one.tls, 8)
    t.ok(True, "back at the primary %.1f s after it was back"
         % (time.monotonic() - begun))
    t.ok("BB authenticated " + USER in again.text(), "it took it")


def srv(service, port, host, prio=10):
    return "srv-host=%s,%s,%d,%d,10" % (service, host, port, prio)


@bb.test(60)
def naptr_and_srv_lead_to_tls(t):
    """auto: NAPTR, SRV by priority, the next server when one dies; the
    certificate must name the domain, not the host that the DNS named."""
    domain = t.pki.leaf("domain", "example.test", t.pki.root,
                        ["DNS:example.test"])
    wrong = t.pki.leaf("wrong", "one.example.test", t.pki.root,
                       ["DNS:one.example.test"])
    one = peers.Kamailio(t, name="one", cert=domain, domain="example.test")
    liar = peers.Kamailio(t, name="liar", cert=wrong, domain="lie.test")
    two = peers.Kamailio(t, name="two", cert=domain, domain="example.test")
    Names(t, [
        "naptr-record=example.test,10,50,s,SIPS+D2T,,"
        "_sips._tcp.example.test",
        "naptr-record=example.test,5,50,s,SIP+D2U,,_sip._udp.example.test",
        srv("_sips._tcp.example.test", two.tls, "two.example.test", 20),
        srv("_sips._tcp.example.test", one.tls, "one.example.test", 10),
        "naptr-record=lie.test,10,50,s,SIPS+D2T,,_sips._tcp.lie.test",
        srv("_sips._tcp.lie.test", liar.tls, "one.example.test")])
    e = endpoint(t, sip__proxy="example.test", sip__transp="auto").start()
    a = at(e, one.tls, 5)
    t.ok(a.get("transport") == "tls"
         and "example.test" in str((a.get("tls") or {}).get("matched")),
         "TLS by NAPTR and SRV; matched: %s"
         % (a.get("tls") or {}).get("matched"), a)
    begun = time.monotonic()
    one.proc._signal(9)
    at(e, two.tls, 5)
    took = time.monotonic() - begun
    t.ok(took <= 2.0, "at the next SRV target after %.2f s" % took)
    kept = os.path.join(e.state, "tls-domains")
    bb.wait_until(lambda: os.path.exists(kept), 3, "tls-domains is written")
    t.ok(bb.read(kept) == "example.test\n", "the domain is remembered")
    e.stop()
    e.settings["sip.proxy"] = "lie.test"
    e.start()
    v = e.wait_class(5)
    t.ok(v.get("class") == "cert.name_mismatch",
         "a certificate for the host of the SRV record alone is refused", v)


@bb.test(60)
def tls_once_seen_is_not_given_up(t):
    """auto: first UDP by SRV; then the domain has TLS; then it has lost it."""
    port = bb.free_port(socket.SOCK_DGRAM)
    domain = t.pki.leaf("domain", "example.test", t.pki.root,
                        ["DNS:example.test"])
    k = peers.Kamailio(t, cert=domain, domain="example.test",
                       more=["udp:127.0.0.1:%d" % port])
    udp = srv("_sip._udp.example.test", port, "one.example.test")
    tls = srv("_sips._tcp.example.test", k.tls, "one.example.test")
    names = Names(t, [udp])
    e = endpoint(t, sip__proxy="example.test", sip__transp="auto").start()
    a = at(e, port, 5)
    t.ok(a.get("transport") == "udp", "no TLS in the DNS: UDP", a)
    e.stop()
    names.serve([udp, tls])
    e.start()
    a = at(e, k.tls, 5)
    t.ok(a.get("transport") == "tls", "TLS in the DNS: TLS", a)
    kept = os.path.join(e.state, "tls-domains")
    bb.wait_until(lambda: os.path.exists(kept), 3, "tls-domains is written")
    e.stop()
    names.serve([udp])
    seen = len(re.findall(r"BB REGISTER .*proto=udp", k.text()))
    e.start()
    bb.wait_until(lambda: e.account().get("state") == "waiting", 10,
                  "it has tried and waits", alive=e.proc)
    time.sleep(2)
    t.ok(e.account().get("state") != "registered"
         and len(re.findall(r"BB REGISTER .*proto=udp", k.text())) == seen,
         "TLS gone from the DNS: nothing is sent in clear", e.account())
    e.stop()
    e.settings["sip.transp.clear"] = "1"
    e.start()
    a = at(e, port, 5)
    t.ok(a.get("transport") == "udp", "sip.transp.clear = 1: UDP again", a)


@bb.test(60)
def ipv6_from_end_to_end(t):
    """Kamailio on ::1: TLS, TCP and UDP; addresses in brackets."""
    port = bb.free_port(socket.SOCK_DGRAM)
    k = peers.Kamailio(t, host="[::1]", more=["udp:[::1]:%d" % port,
                                              "tcp:[::1]:%d" % port])
    for transp, at_port in (("tls", k.tls), ("tcp", port), ("udp", port)):
        e = endpoint(t, sip__proxy="[::1]:%d" % at_port, sip__transp=transp,
                     sip__tls__name="localhost",
                     sip__listen__udp="[::1]:0").start()
        a = at(e, at_port, 5)
        t.ok(a.get("remote") == "[::1]:%d" % at_port
             and str(a.get("local")).startswith("[::1]:")
             and "@[::1]:" in str(a.get("contact")),
             "registered over %s on ::1, contact %s"
             % (transp, a.get("contact")), a)
        t.ok(any(str(l.get("address")).startswith("[::1]:")
                 for l in e.status().get("listen") or []),
             "and it listens on ::1")
        e.stop()
    t.ok("proto=udp" in k.text() and "proto=tcp" in k.text()
         and "proto=tls" in k.text(), "Kamailio saw all three")


@bb.test(30)
def dscp_is_on_every_socket(t):
    """net.dscp.sip: UDP, TCP and TLS packets carry it."""
    port = bb.free_port(socket.SOCK_DGRAM)
    k = peers.Kamailio(t, more=["udp:127.0.0.1:%d" % port,
                                "tcp:127.0.0.1:%d" % port])
    for transp, at_port in (("tls", k.tls), ("tcp", port), ("udp", port)):
        with TosTap(at_port) as tap:
            e = endpoint(t, sip__proxy="127.0.0.1:%d" % at_port,
                         sip__transp=transp, sip__tls__name="localhost",
                         net__dscp__sip="24").start()
            at(e, at_port, 5)
            e.stop()
        # The first segments of TCP are the kernel's before connect().
        t.ok(tap.tos and set(tap.tos) == {24 << 2},
             "%s: all %d packets have DSCP 24" % (transp, len(tap.tos)),
             sorted(set(tap.tos)))


    # Connections to us.
    e = endpoint(t, sip__proxy="127.0.0.1:%d" % k.tls, sip__tls__name="localhost",
                 sip__listen__tcp="127.0.0.1:0", net__dscp__sip="24").start()
    at(e, k.tls, 5)
    mine = e.port("tcp")
    with TosTap(mine, leaving=True) as tap:
        with socket.create_connection(("127.0.0.1", mine)) as s:
            s.sendall(b"\r\n\r\n")
            s.settimeout(5)
            t.ok(s.recv(10) == b"\r\n", "the listener answers a ping")
    t.ok(tap.tos and set(tap.tos) == {24 << 2},
         "accepted: all %d packets have DSCP 24" % len(tap.tos),
         sorted(set(tap.tos)))


class TosTap:
    """The TOS of IPv4 packets to a port of loopback, or from it."""

    def __init__(self, port, leaving=False):
        self.port, self.tos = port, []
        self.at = 0 if leaving else 2

    def __enter__(self):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                               socket.htons(0x0800))
        self.s.bind(("lo", 0))
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.s.setblocking(False)
        return self

    def __exit__(self, *_):
        seen = set()
        while True:
            try:
                p, where = self.s.recvfrom(65536)
            except BlockingIOError:
                break
            head = (p[0] & 15) * 4
            # Each packet is seen leaving and arriving.
            if where[2] == socket.PACKET_OUTGOING or p[9] not in (6, 17):
                continue
            if int.from_bytes(
                    p[head + self.at:head + self.at + 2], "big") == self.port:
                self.tos.append(p[1])
        self.s.close()
        return False
