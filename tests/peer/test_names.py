# SPDX-License-Identifier: ISC
"""Whose certificate will do, through live handshakes: the tables of
test_chains (RFC 5922 for SIP, RFC 9525 for HTTPS), each row as a server of its
own that shows the row's certificate, asked by `bellbird doctor`.

The name is the one on the command line, as a user configures it: a name server
sends every name to this machine, and the addresses are this machine's.  Each
row runs over TLS 1.2 and TLS 1.3, which take the certificate at different
points; the server writes down the name it was asked for (SNI).
"""
import concurrent.futures
import ipaddress
import itertools
import os
import socket
import ssl
import subprocess
import threading

import bb
import test_chains as chains

WORKERS = 4
NAME_SERVER = "127.0.0.53"
ADDRESSES = ("192.0.2.1/32", "2001:db8::1/128")
ANSWERS = {"sip": b"SIP/2.0 483 Too Many Hops\r\nContent-Length: 0\r\n\r\n",
           "prov": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                   b"Connection: close\r\n\r\n"}


def is_address(name):
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        return False


class Server:
    """Shows one certificate on a port of its own and answers one request a
    connection, over one version of TLS; `asked` are the names it was asked
    for, in order."""

    def __init__(self, t, mint, row, version):
        self.row, self.version, self.asked = row, version, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = self.context.maximum_version = version
        self.context.load_cert_chain(mint.cert(row.chain[0]),
                                     mint.key(row.chain[0].key) + ".key")
        self.context.sni_callback = \
            lambda conn, name, context: self.asked.append(name)
        self.socket = socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port = self.socket.getsockname()[1]
        t.closers.append(self.socket.close)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            try:
                conn.settimeout(10)
                with self.context.wrap_socket(conn, server_side=True) as tls:
                    tls.recv(4096)
                    tls.sendall(ANSWERS[self.row.use])
            except OSError:
                conn.close()  # refused, which the row may well want


class Anchor:
    def __init__(self, path):
        self.crt = path


def world(t):
    """Every name and address of the tables leads here."""
    for a in ADDRESSES:
        subprocess.run(["ip", "addr", "replace", a, "dev", "lo"], check=True)
    conf = bb.write(os.path.join(t.dir, "dnsmasq.conf"), "\n".join([
        "port=53", "listen-address=" + NAME_SERVER, "bind-interfaces",
        "no-resolv", "no-hosts", "user=root", "group=root", "conf-file=",
        "pid-file=%s/dnsmasq.pid" % t.dir, "address=/test/127.0.0.1"]) + "\n")
    p = bb.Proc(t, "dnsmasq-names", ["dnsmasq", "-k", "-C", conf])
    # The runner made this file ours alone, in a mount namespace.
    bb.write("/etc/resolv.conf", "nameserver %s\n" % NAME_SERVER)

    def answers():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            try:
                s.connect((NAME_SERVER, 53))
                s.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\2bb\4test\0\0\1\0\1")
                return s.recv(512)[3] & 15 == 0
            except OSError:
                return False
    bb.wait_until(answers, 5, "the name server answers", alive=p)


def ask(e, server):
    """Runs doctor on one row's server; result and the name first asked for."""
    row = server.row
    host = "[%s]" % row.name if ":" in row.name else row.name
    before = len(server.asked)
    argv = [bb.binary(), "doctor", "%s:%d" % (host, server.port), "--as",
            row.use, "--json", "--state", e.state, "--conf", e.conf,
            "--identity", e.identity]
    for o in ["%s.tls.trust=trusted" % row.use] + row.set:
        argv += ["-o", o]
    r = bb.Result(subprocess.run(argv, capture_output=True, text=True,
                                 timeout=30))
    r.argv = argv
    return r, (server.asked[before:] or ["nobody came"])[0]


def row_holds(t, server, r, sni):
    """Verdict, exit code, version, and what the server was asked for."""
    row, version = server.row, server.version.name[-3:].replace("_", ".")
    verdict = r.json.get("verdict") or {}
    # RFC 6066 3: never an address, and no dot at the end.
    want_sni = None if is_address(row.name) else row.name.rstrip(".")
    good = r.code == (7 if row.want else 0) \
        and r.json.get("ok") is (not row.want) \
        and r.json.get("class", "") == row.want \
        and verdict.get("version") == ("" if row.want else "TLS " + version) \
        and (": failed in handshake: " in verdict.get("line")) \
        is bool(row.want) \
        and (sni or "").lower() == (want_sni or "").lower()
    t.ok(good, "TLS %s, %s: %s" % (version, row.what, row.want or "accepted"),
         "asked for %r\n%s" % (sni, r))


def table_holds(t, use, table):
    world(t)
    mint = chains.Mint(t.dir)
    e = t.endpoint(trusted=[Anchor(mint.cert(chains.ROOT))])
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        servers = list(pool.map(
            lambda what: Server(t, mint, *what), itertools.product(
                chains.named(use, table),
                (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))))
        for server, (r, sni) in zip(servers, pool.map(
                lambda s: ask(e, s), servers)):
            row_holds(t, server, r, sni)
    return e, servers


@bb.test(240)
def sip_names_live(t):
    """Issue 3, row 3: RFC 5922, each rule of 7.1 and 7.2."""
    e, servers = table_holds(t, "sip", chains.SIP_NAMES)
    r, _ = ask(e, servers[0])
    t.ok((r.json.get("verdict") or {}).get("matched") == "URI:sip:bb.test",
         "the verdict says which name matched", r)


@bb.test(120)
def prov_names_live(t):
    """Issue 3, row 3: RFC 9525."""
    table_holds(t, "prov", chains.PROV_NAMES)
