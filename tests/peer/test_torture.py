# SPDX-License-Identifier: ISC
"""Row 1 of the SIP side: every message of tests/data/torture.txt (RFC 4475,
RFC 5118 and their like) gets what it must from the running program, over UDP,
TCP and TLS, and after each OPTIONS is answered within 500 ms.  The unit test
test_sip_torture.c reads the same file."""
import os
import re
import socket
import ssl
import time

import bb

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = os.path.join(HERE, "..", "data", "torture.txt")
SOUND = {200, 480, 486, 488, 603}
QUIET_S = 0.15   # nothing came: nothing will
CLOSE_S = 6      # within which a connection that must end has ended
ALIVE_S = 0.5
number = [0]


def records():
    """[(name, over UDP, over a stream, text)]"""
    with open(FILE, encoding="utf-8") as f:
        parts = re.split(r"(?m)^= ", f.read())[1:]
    out = []
    for p in parts:
        title, text = p.split("\n", 1)
        name, _, udp, stream, _ = [x.strip() for x in title.split("|", 4)]
        out.append((name, udp, stream, text))
    return out


def expand(text, host, port, ident):
    """The bytes of a message."""
    out, at = b"", 0
    text = text.replace("\n", "\r\n")
    words = {"PORT": str(port), "HOST": host, "ID": str(ident)}
    for m in re.finditer(r"\{(PORT|HOST|ID|\*\d+:[^}]*|[0-9A-F]{2})\}", text):
        out += text[at:m.start()].encode()
        at, w = m.end(), m[1]
        if w in words:
            out += words[w].encode()
        elif w[0] == "*":
            times, what = w[1:].split(":", 1)
            out += what.encode() * int(times)
        else:
            out += bytes([int(w, 16)])
    return out + text[at:].encode()


def field(msg, name):
    """The first line of a field; None if it is not there."""
    for line in msg.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        k, colon, v = line.partition(b":")
        if colon and k.strip().lower() == name.lower():
            return v.strip()
    return None


def code_of(msg):
    m = re.match(rb"SIP/2\.0 (\d{3}) ", msg)
    return int(m[1]) if m else 0


class Udp:
    """A peer that has one message to say."""

    def __init__(self, port):
        self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.bind(("127.0.0.1", 0))
        self.s.connect(("127.0.0.1", port))
        self.port = self.s.getsockname()[1]

    def send(self, data):
        self.s.send(data)

    def read(self, seconds):
        """One message, or b'' when nothing came."""
        self.s.settimeout(seconds)
        try:
            return self.s.recv(70000)
        except OSError:
            return b""

    def ended(self, seconds):
        return False

    def close(self):
        self.s.close()


class Stream:
    def __init__(self, port, context=None):
        self.s = socket.create_connection(("127.0.0.1", port), 5)
        self.port = self.s.getsockname()[1]
        if context:
            self.s = context.wrap_socket(self.s, server_hostname="localhost")
        self.data, self.eof = b"", False

    def send(self, data):
        try:
            self.s.sendall(data)
        except OSError:
            self.eof = True

    def _more(self, seconds):
        self.s.settimeout(max(seconds, 0.001))
        try:
            new = self.s.recv(65536)
        except (socket.timeout, ssl.SSLWantReadError):
            return False
        except OSError:
            new = b""
        self.eof |= not new
        self.data += new
        return bool(new)

    def read(self, seconds):
        end = time.monotonic() + seconds
        while b"\r\n\r\n" not in self.data and not self.eof:
            left = end - time.monotonic()
            if left <= 0 or not self._more(left) and not self.eof:
                return b""
        head, sep, rest = self.data.partition(b"\r\n\r\n")
        if not sep:
            return b""
        n = int(field(head + sep, b"Content-Length") or 0)
        while len(rest) < n and self._more(2):
            head, sep, rest = self.data.partition(b"\r\n\r\n")
        self.data = rest[n:]
        return head + sep + rest[:n]

    def ended(self, seconds):
        end = time.monotonic() + seconds
        while not self.eof and time.monotonic() < end:
            self._more(end - time.monotonic())
        return self.eof

    def close(self):
        self.s.close()


def final(peer, seconds):
    """The first final answer, or b''."""
    end = time.monotonic() + seconds
    while True:
        msg = peer.read(end - time.monotonic())
        if not msg or code_of(msg) >= 200:
            return msg


def hang_up(peer, rsp):
    """Acknowledges a call that was taken, and ends it."""
    to, contact = field(rsp, b"To"), field(rsp, b"Contact")
    uri = re.search(rb"<([^>]*)>", contact)[1]
    cseq = int(field(rsp, b"CSeq").split()[0])
    for method, n in ((b"ACK", cseq), (b"BYE", cseq + 1)):
        number[0] += 1
        peer.send(b"%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;rport;"
                  b"branch=z9hG4bKend%d\r\nFrom: %s\r\nTo: %s\r\n"
                  b"Call-ID: %s\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\n"
                  b"Content-Length: 0\r\n\r\n" % (
                      method, uri, peer.port, number[0], field(rsp, b"From"),
                      to, field(rsp, b"Call-ID"), n, method))
    return final(peer, 2)


def alive(port):
    """How long OPTIONS takes; None if there is no answer in time."""
    number[0] += 1
    p = Udp(port)
    begun = time.monotonic()
    p.send(b"OPTIONS sip:page@127.0.0.1 SIP/2.0\r\n"
           b"Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKo%d\r\n"
           b"From: <sip:probe@127.0.0.1>;tag=o\r\nTo: <sip:page@127.0.0.1>\r\n"
           b"Call-ID: o%d\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
           b"Content-Length: 0\r\n\r\n" % (p.port, number[0], number[0]))
    good = code_of(p.read(ALIVE_S)) == 200
    took = time.monotonic() - begun
    p.close()
    return took if good else None


def wrong(peer, want, sent):
    """Says one message; what is wrong with what came back, or None."""
    peer.send(sent)
    quiet = want in ("none", "wait", "close")
    got = final(peer, QUIET_S if quiet else 3)
    code = code_of(got)
    if quiet and code:
        return "answered with %d, not at all wanted" % code
    wanted = set()
    for w in want.replace("close", "").split(","):
        if w == "pass":
            wanted |= SOUND
        elif w.isdigit():
            wanted.add(int(w))
    if not quiet and code not in wanted:
        return "answered with %s, not %s" % (code or "nothing", want)
    for name in (b"From", b"To", b"Call-ID", b"CSeq"):
        mine = field(sent, name)
        if code and mine and not (field(got, name) or b"").startswith(mine):
            return "%s came back as %r" % (name.decode(), field(got, name))
    if code == 200 and b"INVITE" in (field(got, b"CSeq") or b""):
        if code_of(hang_up(peer, got)) != 200:
            return "the call it made does not end"
    if "close" not in want and peer.ended(0.01):
        return "the connection was closed"
    return None


def endpoint(t, **more):
    s = {"audio.device": "null", "call.max": "16", "sip.allow": "127.0.0.0/8",
         "sip.listen.udp": "127.0.0.1:0"}
    s.update(more)
    return t.endpoint(settings=s, identity=t.pki.device,
                      trusted=[t.pki.root, t.pki.device_ca],
                      server_cert=t.pki.server).start()


def run(t, e, transport, connect):
    all_records, slowest = records(), 0
    udp = e.port("udp")
    closing = []
    for name, over_udp, over_stream, text in all_records:
        number[0] += 1
        peer = connect()
        sent = expand(text, "127.0.0.1", peer.port, number[0])
        want = over_udp if transport == "udp" else over_stream
        bad = wrong(peer, want, sent)
        if "close" in want:
            closing.append((name, peer))
        else:
            peer.close()
        took = alive(udp)
        if took is None:
            bad = "%s; no OPTIONS within %g s after it" % (bad, ALIVE_S)
        if bad:
            t.ok(False, "%s: %s: %s" % (transport, name, bad))
        slowest = max(slowest, took or 0)
    for name, peer in closing:
        if not peer.ended(CLOSE_S):
            t.ok(False, "%s: %s: the connection is still there"
                 % (transport, name))
        peer.close()
    t.ok(len(all_records) > 90 and not t.failed,
         "%d messages over %s, each got what the RFC says; OPTIONS after it "
         "in %.1f ms at most" % (len(all_records), transport, slowest * 1e3))
    e.no_calls(5)
    t.ok(e.proc.poll() is None and e.status().get("version"),
         "the endpoint lives and tells its status")


@bb.test(60)
def over_udp(t):
    e = endpoint(t)
    run(t, e, "udp", lambda: Udp(e.port("udp")))


@bb.test(60)
def over_tcp(t):
    e = endpoint(t, **{"sip.listen.tcp": "127.0.0.1:0"})
    port = e.port("tcp")
    run(t, e, "tcp", lambda: Stream(port))


@bb.test(60)
def over_tls(t):
    e = endpoint(t, **{"sip.listen.tls": "127.0.0.1:0"})
    c = ssl.create_default_context(cafile=t.pki.root.crt)
    c.load_cert_chain(t.pki.peer.pem)
    port = e.port("tls")
    run(t, e, "tls", lambda: Stream(port, c))


EVIL = "x\r\nEvil: 1\r\nX: y"


@bb.test(60)
def nothing_injects(t):
    """What settings, verbs and the control socket hand over is refused, or
    becomes no line of a message."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.settimeout(0.3)
    port = s.getsockname()[1]
    e = endpoint(t, **{"sip.transp": "udp", "sip.u1.user": "probe",
                       "sip.proxy": "127.0.0.1:%d" % port})
    heard = []

    def listen():
        while True:
            try:
                m, at = s.recvfrom(70000)
            except OSError:
                return
            heard.append(m)
            if m.startswith(b"REGISTER "):
                s.sendto(b"SIP/2.0 200 OK\r\n" + b"".join(
                    b"%s: %s%s\r\n" % (n, field(m, n), more)
                    for n, more in ((b"Via", b""), (b"From", b""),
                                    (b"To", b";tag=r"), (b"Call-ID", b""),
                                    (b"CSeq", b""), (b"Contact", b""))) +
                    b"Content-Length: 0\r\n\r\n", at)
    listen()
    t.ok(heard and heard[0].startswith(b"REGISTER "),
         "the endpoint registers", heard[:1])
    e.wait_account("registered", 5)
    taken = []
    for key in ("sip.u1.user", "sip.u1.auth", "sip.u1.dname", "sip.proxy",
                "sip.obproxy", "sip.bkproxy1", "sip.auth.realm",
                "sip.tls.name", "sip.allow", "sip.interop.ka.interval",
                "admin.devname"):
        if e.verb("config", "set", key, EVIL).code == 0:
            taken.append(key)
        listen()
        e.verb("config", "unset", key)
    t.note("settings that take line ends: %s" % (", ".join(taken) or "none"))
    to = "sip:x@127.0.0.1:%d;transport=udp" % port
    bad = []
    for name, args in (
            ("uri", {"uri": to + "\r\nEvil: 1"}),
            ("number", {"uri": "12\r\nEvil: 1"}),
            ("headers", {"uri": to, "headers": "Alert-Info: <x>\nEvil: 1\r\n"}),
            ("headers", {"uri": to, "headers": "X: y\r\n\r\nEvil: 1\r\n"}),
            ("headers", {"uri": to, "headers": "Reason: a\rEvil: 1\r\n"}),
            ("headers", {"uri": to, "headers": "X: y\r\n Evil: 1\r\n"}),
            ("headers", {"uri": to, "headers": "Via: SIP/2.0/UDP evil\r\n"})):
        r = e.ask("call", **args)
        # A number is escaped: one that is odd, no line end.
        if r and r.get("call") and name != "number":
            bad.append((name, args, r))
        listen()
    t.ok(not bad, "no verb takes a line end into a URI or header", bad)
    listen()
    e.wait_account("registered", 5)
    good = e.ask("call", uri=to, headers="Alert-Info: <http://x/;info=y>\r\n")
    listen()
    t.ok(good and any(b"\r\nAlert-Info: <http" in m for m in heard),
         "a header that is one goes out", (good, heard[-1:]))
    evil = [m for m in heard
            if re.search(rb"(?mi)^[ \t]*(evil|via: sip/2.0/udp evil)", m)]
    t.ok(not evil, "%d messages sent, none with a line of others"
         % len(heard), evil[:1])


@bb.test(60)
def strangers_are_counted(t):
    """Who may not call is refused as sip.refuse says; the status counts."""
    e = endpoint(t, **{"sip.allow": "192.0.2.1",
                       "sip.listen.tcp": "127.0.0.1:0"})
    text = dict((r[0], r[3]) for r in records())["cseq-largest"]
    udp, tcp = e.port("udp"), e.port("tcp")
    for how, over_udp, over_tcp in (("auto", 0, 403), ("drop", 0, 0),
                                    ("answer", 403, 403)):
        before = e.status()["sip"]["refused"]
        r = e.verb("config", "set", "sip.refuse", how)
        got = []
        for peer in (Udp(udp), Stream(tcp)):
            number[0] += 1
            peer.send(expand(text, "127.0.0.1", peer.port, number[0]))
            got.append(code_of(final(peer, 0.4)))
            peer.close()
        t.ok(r.code == 0 and got == [over_udp, over_tcp],
             "sip.refuse = %s: %s over UDP, %s over TCP"
             % (how, over_udp or "nothing", over_tcp or "nothing"), (r, got))
        after = e.status()["sip"]["refused"]
        t.ok(after == before + 2, "the status counts both",
             (before, after))
