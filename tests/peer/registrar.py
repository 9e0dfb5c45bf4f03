# SPDX-License-Identifier: ISC
"""A registrar for one user agent that also calls it: every message is the
test's to see, and what is measured is the user agent.  TLS with client certificate, no digest."""
import re
import select
import socket
import ssl
import time

import bb
import peers

DOMAIN = "bb.test"
SDP = """v=0
o=- 1 1 IN IP4 %(host)s
s=-
c=IN IP4 %(host)s
t=0 0
m=audio 40000 RTP/SAVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj
a=sendrecv
"""


def header(msg, name):
    hit = re.search(r"(?im)^%s\s*:\s*(.*?)\s*$" % name, msg)
    return hit[1] if hit else ""


class Registrar:
    def __init__(self, t, host, server=None):
        server = server or t.pki.server
        self.host = host
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(server.chain, server.key)
        ctx.load_verify_locations(t.pki.device_ca.crt)
        ctx.verify_mode = ssl.CERT_REQUIRED
        self.ctx = ctx
        self.sock = socket.create_server((host, 0))
        self.sock.settimeout(10)
        self.port = self.sock.getsockname()[1]
        self.buf = b""
        self.contact = self.conn = None
        self.count = 0

    def registered(self, patient=False):
        """Serves one connection until REGISTER has its 200; the moment.
        `patient`: one that a process left behind when it was stopped is
        passed over; else what goes wrong with it is raised."""
        for _ in range(8):
            raw, _ = self.sock.accept()
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.settimeout(10)
            self.buf = b""
            try:
                self.conn = self.ctx.wrap_socket(raw, server_side=True)
                return self._serve_register()
            except (ConnectionError, ssl.SSLError, bb.Failure):
                if not patient:
                    raise
                raw.close()
        raise bb.Failure("no connection with a REGISTER")

    def _serve_register(self):
        while True:
            msg = self.read()
            if msg.startswith("REGISTER"):
                self.contact = re.search(r"<([^>]+)>",
                                         header(msg, "Contact"))[1]
                self.reply(msg, "Contact: <%s>;expires=3600\r\n"
                           % self.contact)
                return time.monotonic()

    def read(self):
        """The next message, as text."""
        while True:
            self.buf = self.buf.lstrip(b"\r\n")
            head, sep, rest = self.buf.partition(b"\r\n\r\n")
            if sep:
                text = head.decode() + "\r\n"
                n = int(header(text, "Content-Length") or
                        header(text, "l") or 0)
                if len(rest) >= n:
                    self.buf = rest[n:]
                    return text + "\r\n" + rest[:n].decode()
            more = self.conn.recv(65536)
            if not more:
                raise bb.Failure("the user agent closed the connection")
            self.buf += more

    def reply(self, msg, extra=""):
        keep = "".join("%s: %s\r\n" % (h, header(msg, h))
                       for h in ("Via", "From", "Call-ID", "CSeq"))
        self.conn.sendall((
            "SIP/2.0 200 OK\r\n%sTo: %s;tag=r\r\n%sContent-Length: 0\r\n\r\n"
            % (keep, header(msg, "To"), extra)).encode())

    def request(self, method, cseq, to, body="", branch=""):
        self.conn.sendall((
            "%s %s SIP/2.0\r\n"
            "Via: SIP/2.0/TLS %s:%d;branch=z9hG4bK%d%s;rport\r\n"
            "Max-Forwards: 70\r\nFrom: <sip:bench@bb.test>;tag=f%d\r\n"
            "To: %s\r\nCall-ID: bench%d\r\nCSeq: %d %s\r\n"
            "Contact: <sip:bench@%s:%d;transport=tls>\r\n%s"
            "Content-Length: %d\r\n\r\n%s" % (
                method, self.contact, self.host, self.port, self.count,
                branch, self.count, to, self.count, cseq, method, self.host,
                self.port,
                "Content-Type: application/sdp\r\n" if body else "",
                len(body), body)).encode())

    def final(self, method):
        """Waits for the final response to `method`; serves what else comes."""
        while True:
            msg = self.read()
            code = re.match(r"SIP/2\.0 (\d+)", msg)
            if not code:
                self.reply(msg)
            elif int(code[1]) >= 200 and header(msg, "CSeq").endswith(method):
                return int(code[1]), msg

    def invite(self, wait=True):
        """A call that stays up; the To of its dialog.  wait=False: sends the
        INVITE only."""
        self.count += 1
        body = (SDP % {"host": self.host}).replace("\n", "\r\n")
        self.request("INVITE", 1, "<sip:1001@bb.test>", body, "i")
        if not wait:
            return None
        code, msg = self.final("INVITE")
        if code != 200:
            raise bb.Failure("INVITE got %d" % code)
        self.request("ACK", 1, header(msg, "To"), branch="a")
        return header(msg, "To")

    def call(self):
        """One call; seconds from INVITE to 200."""
        begun = time.perf_counter()
        to = self.invite()
        took = time.perf_counter() - begun
        self.request("BYE", 2, to, branch="b")
        self.final("BYE")
        return took

    def silent(self):
        """Is the connection open, with nothing to read?"""
        return not self.buf and not select.select([self.conn], [], [], 0)[0]

    def ended(self, seconds):
        """Waits for the user agent to close the connection."""
        self.conn.settimeout(seconds)
        try:
            while self.conn.recv(65536):
                pass
        except socket.timeout:
            return False
        except OSError:
            pass
        return True

    def drop(self):
        """Closes the connection of the user agent."""
        if self.conn:
            self.conn.close()
            self.conn = None

    def close(self):
        self.drop()
        self.sock.close()


def world(t, conf=None, **settings):
    """A registered endpoint and the registrar it is registered with."""
    r = Registrar(t, peers.ADDRESS)
    s = {"sip.proxy": DOMAIN, "sip.tls.name": DOMAIN,
         "sip.obproxy": "sip.%s:%d" % (DOMAIN, r.port),
         "sip.u1.user": "1001", "sip.srtp": "standard",
         "audio.device": "null"}
    s.update(settings)
    e = t.endpoint(settings=s, identity=t.pki.device, trusted=[t.pki.root],
                   conf=conf)
    e.start(ready=False)
    r.registered()
    e.wait_account("registered", 5)
    return r, e
