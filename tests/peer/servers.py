# SPDX-License-Identifier: ISC
"""Servers of TLS, good ones and broken ones, and the verb that looks at them:
`openssl s_server` with any options, and plain sockets that say what a table
tells them to."""
import os
import socket
import struct
import subprocess
import threading

import bb


HERE = os.path.dirname(os.path.abspath(__file__))
DAY_S = 86400


def clock_shim(t):
    """The environment of a program whose wall clock is to be wrong by
    BB_CLOCK_S."""
    bb.need("gcc")
    shim = os.path.join(t.dir, "clock_shim.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim,
                    os.path.join(HERE, "clock_shim.c")], check=True)
    return {"LD_PRELOAD": shim}


def doctor(e, target, *words, env=None):
    """`bellbird doctor` with the settings of an endpoint."""
    argv = [
        bb.binary(), "doctor", target, "--state", e.state, "--conf", e.conf,
        "--identity", e.identity] + list(words) + ["--json"]
    try:
        return bb.Result(subprocess.run(
            argv, capture_output=True, text=True, timeout=40,
            env=dict(os.environ, **(env or {}))))
    except subprocess.TimeoutExpired:
        raise bb.Timeout("doctor %s: not done within 40 s" % target) from None


def probes(r):
    return {p["probe"]: p for p in r.json.get("probes") or []}


def s_server(t, cert, *words, host="127.0.0.1", port=None, chain=None,
             prefix=(), env=None):
    """A TLS server of the openssl command; its port.  `chain`: what it sends
    besides the certificate ("" for nothing)."""
    port = port or bb.free_port(host=host)
    chain = cert.chain if chain is None else chain
    argv = list(prefix) + ["openssl", "s_server", "-accept",
                           "%s:%d" % (host, port),
                           "-cert", cert.crt, "-key", cert.key]
    if "-www" not in words:
        argv.append("-quiet")
    if chain:
        argv += ["-cert_chain", chain]
    p = bb.Proc(t, "s_server-%d" % port, argv + list(words), env=env)
    bb.wait_until(lambda: bb.listening(port), 10, "s_server %s listens"
                  % " ".join(words), alive=p)
    return port


class Raw:
    """A server of plain sockets: `talk(socket)` has each connection; what it
    leaves open stays so until the end."""

    def __init__(self, t, talk):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.talk, self.kept = talk, []
        t.closers.append(self.stop)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            self.kept.append(c)
            try:
                c.settimeout(10)
                self.talk(c)
            except OSError:
                pass

    def stop(self):
        self.listener.close()
        for c in self.kept:
            c.close()


def record(kind, body, version=0x0303):
    return struct.pack("!BHH", kind, version, len(body)) + body


def message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def alert(number):
    return record(21, bytes([2, number]))


def says(data, close=True):
    """Waits for the hello, answers with `data`."""
    def talk(c):
        c.recv(4096)
        if data:
            c.sendall(data)
        if close:
            c.close()
    return talk


def resets(c):
    c.recv(4096)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()


def hello_12(cipher=0xC02B):
    """ServerHello of TLS 1.2 with no extension but the two it must have."""
    ext = b"\xff\x01\x00\x01\x00" + b"\x00\x17\x00\x00"
    return message(2, b"\x03\x03" + b"r" * 32 + b"\x00"
                   + struct.pack("!HBH", cipher, 0, len(ext)) + ext)


def certificate_12(*ders):
    """Certificate message of TLS 1.2."""
    body = b"".join(len(d).to_bytes(3, "big") + d for d in ders)
    return message(11, len(body).to_bytes(3, "big") + body)


def unanswered(t):
    """A port whose SYNs get no answer: its queue is full."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(0)
    t.closers.append(s.close)
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(s.getsockname())
        t.closers.append(c.close)
    return s.getsockname()[1]
