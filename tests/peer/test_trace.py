# SPDX-License-Identifier: ISC
"""capture: what was said, decrypted, as a ladder and as a file that Wireshark
reads; and nowhere in it a password, a digest response or a key."""
import hashlib
import os
import re
import socket
import subprocess
import threading

import bb
import peers


def tshark(t, path, *fields, want="sip"):
    """The fields of each SIP packet."""
    bb.need("tshark")
    argv = ["tshark", "-n", "-r", path, "-Y", want, "-T", "fields"]
    for f in fields:
        argv += ["-e", f]
    p = subprocess.run(argv, capture_output=True, text=True, timeout=50,
                       env=dict(os.environ, HOME=t.dir))
    if p.returncode != 0:
        raise bb.Failure("tshark: " + p.stderr[-400:])
    return [line.split("\t") for line in p.stdout.splitlines()]


def ladder(e, *words):
    """What a person sees."""
    return subprocess.run(
        [bb.binary(), "capture", "show"] + list(words), text=True,
        capture_output=True, timeout=10,
        env=dict(os.environ, BELLBIRD_SOCKET=e.socket)).stdout


def digest(method, auth, password):
    """The response (RFC 7616 3.4.1) to what the trace shows of the rest."""
    name = {"MD5": "md5", "SHA-256": "sha256"}[auth["algorithm"]]

    def h(s):
        return hashlib.new(name, s.encode()).hexdigest()
    return h(":".join([h("%s:%s:%s" % (auth["username"], auth["realm"],
                                       password)),
                       auth["nonce"], auth["nc"], auth["cnonce"],
                       auth["qop"], h(method + ":" + auth["uri"])]))


def params(text):
    """Those of the Authorization field that are shown."""
    line = re.search(r"(?mi)^(?:Proxy-)?Authorization: Digest (.*?)\r?$", text)
    return {k: v.strip('"') for k, v in re.findall(
        r'(\w+)=("[^"]*"|[^,\s]*)', line[1])} if line else None


@bb.test(50)
def a_call_through_tls_is_read_and_holds_no_secret(t):
    k = peers.Kamailio(t)
    es = []
    for user in ("1001", "1002"):
        es.append(t.endpoint("bb" + user, settings={
            "sip.proxy": "localhost:%d" % k.tls, "sip.u1.user": user,
            "sip.u1.auth": user, "sip.srtp": "standard",
            "audio.device": "tone:1000"}, identity=t.pki.device,
            trusted=[t.pki.root],
            secrets={"sip.u1.pwd": peers.password(user)}).start(ready=False))
    for e in es:
        e.wait_account("registered", 8)
    a = es[0]
    path = os.path.join(t.dir, "call.pcapng")
    events = a.spawn("events", "events")
    x = a.verb("capture", "start", "--out", path, "--past", "--events")
    t.ok(x.code == 0 and x.json.get("running"), "capture start", x)
    s = a.status()
    t.ok(s["capture"]["running"] and s["capture"]["file"] == path
         and any("being recorded" in w for w in s["warnings"]),
         "the status says so", s.get("capture"))
    x = a.verb("call", "1002", "--duration", "300ms")
    t.ok(x.code == 0, "a call", x)
    a.no_calls(5)
    x = a.verb("capture", "stop")
    t.ok(x.code == 0 and x.json["lost"] == 0
         and x.json["bytes"] == os.path.getsize(path)
         and x.json["reason"] == "stopped", "capture stop: all is written", x)
    shown = a.verb("capture", "show").json["messages"]
    t.ok(x.json["messages"] == len(shown),
         "file and ring have the same %d messages" % len(shown), x)

    rows = tshark(t, path, "sip.Method", "sip.Status-Code", "udp.srcport",
                  "udp.dstport", "frame.interface_name",
                  "frame.packet_flags_direction", "sip.Call-ID")
    t.ok([r[0] or r[1] for r in rows] == [
        str(m.get("code") or m["method"]) for m in shown],
         "tshark reads each of them: %s"
         % " ".join(r[0] or r[1] for r in rows), rows)
    t.ok(all(r[4] == "tls" and r[5] in ("1", "2", "0x00000001", "0x00000002")
             and str(k.tls) == r[3 if r[5][-1] == "2" else 2] for r in rows),
         "with ports, direction and transport", rows)
    bad = tshark(t, path, "frame.number", want="_ws.malformed")
    t.ok(not bad, "nothing in it is malformed", bad)

    texts = "".join(m["text"] for m in shown)
    kinds = [(m["method"], params(m["text"])) for m in shown]
    auths = [(m, p) for m, p in kinds if p]
    t.ok(("REGISTER" in [m for m, _ in auths]), "credentials are among them",
         kinds)
    keys = re.findall(r"inline:([A-Za-z0-9+/=]+)",
                      "".join(k.sdp("offer") + k.sdp("answer")))
    t.ok(len(keys) >= 2 and texts.count("inline:xxxx") >= 2,
         "%d SRTP keys went by" % len(keys), keys)
    secrets = keys + [peers.password("1001")] + [
        digest(m, p, peers.password("1001")) for m, p in auths]
    bb.wait_until(lambda: "capture.ended" in events.text(), 5,
                  "the event of the end")
    for where, text in (
            ("the file", open(path, "rb").read().decode("latin1")),
            ("capture show", texts), ("the ladder", ladder(a, "--full")),
            ("the events", events.text()), ("the log", a.proc.text())):
        t.ok(not [s for s in secrets if s in text],
             "no secret (of %d) in %s" % (len(secrets), where))
    t.ok(events.text().count('"sip.message"') == len(shown),
         "an event for each message", events.text()[-600:])
    text = ladder(a)
    t.note("\n" + text)
    t.ok(text.splitlines()[0] == "1  tls 127.0.0.1:%d" % k.tls
         and len(text.splitlines()) == len(shown) + 2
         and re.search(r"(?m)^[\d:.]{12}  \|--INVITE \d+ sdp-+>\|$", text)
         and re.search(r"(?m)^[\d:.]{12}  \|<-200 INVITE \d+ sdp-+\|$", text),
         "the ladder", text)
    call = [m["call_id"] for m in shown if m["method"] == "INVITE"][0]
    n = a.verb("capture", "show", "--call-id", call).json["messages"]
    t.ok(0 < len(n) < len(shown) and {m["call_id"] for m in n} == {call},
         "one call: %d messages" % len(n))
    n = a.verb("capture", "show", "--last", "3").json["messages"]
    t.ok([m["number"] for m in n] == [m["number"] for m in shown[-3:]],
         "the last three", n)
    n = a.verb("capture", "show", "--peer", "127.0.0.2").json["messages"]
    t.ok(n == [], "nothing of another peer", n)


class UdpRegistrar(threading.Thread):
    """Challenges with MD5, keeps what it hears as it came."""

    def __init__(self, host):
        super().__init__(daemon=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.s = socket.socket(family, socket.SOCK_DGRAM)
        self.s.bind((host, 0))
        self.port = self.s.getsockname()[1]
        self.heard = []
        self.start()

    def run(self):
        while True:
            data, at = self.s.recvfrom(65536)
            msg = data.decode()
            self.heard.append(msg)
            keep = "".join(re.findall(
                r"(?m)^(?:Via|From|Call-ID|CSeq): .*\r\n", msg))
            to = re.search(r"(?m)^To: (.*)\r\n", msg)[1]
            contact = re.search(r"(?m)^Contact: (.*)\r\n", msg)
            auth = "Authorization:" in msg
            self.s.sendto((
                "SIP/2.0 %s\r\n%sTo: %s;tag=r\r\n%sContent-Length: 0\r\n\r\n"
                % ("200 OK" if auth else "401 Unauthorized", keep, to,
                   "Contact: %s\r\n" % contact[1] if auth and contact else
                   'WWW-Authenticate: Digest realm="r", nonce="n1", '
                   'qop="auth", algorithm=MD5\r\n')).encode(), at)


def udp_and_tcp(t, host):
    """One registration by UDP, two requests on one TCP connection."""
    r = UdpRegistrar(host)
    six = "[%s]" % host if ":" in host else host
    e = t.endpoint("bb6" if ":" in host else "bb4", settings={
        "sip.proxy": "%s:%d" % (six, r.port), "sip.u1.user": "1001",
        "sip.transp": "udp", "sip.auth.md5": "1", "audio.device": "null",
        "sip.listen.tcp": six + ":0", "sip.allow": "any"},
        secrets={"sip.u1.pwd": "opensesame"}).start(ready=False)
    e.wait_account("registered", 8)
    path = os.path.join(t.dir, "both%d.pcapng" % len(host))
    x = e.verb("capture", "start", "--out", path, "--past", "--for", "20s")
    t.ok(x.code == 0, "capture start", x)
    with socket.create_connection((host, e.port("tcp"))) as c:
        for i in (1, 2):
            c.sendall((
                "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch="
                "z9hG4bKt%d\r\nFrom: <sip:t@t>;tag=1\r\nTo: <sip:%s>\r\n"
                "Call-ID: tcp-%d\r\nCSeq: %d OPTIONS\r\n"
                "Content-Type: text/plain\r\nContent-Length: 9\r\n\r\n"
                "SECRETTXT" % (six, six, i, six, i, i)).encode())
            got = b""
            while b"\r\n\r\n" not in got:
                got += c.recv(65536)
    x = e.verb("capture", "stop")
    t.ok(x.code == 0, "capture stop", x)
    wire = [m for m in r.heard if "response=" in m]
    secret = re.search(r'response="([0-9a-f]{32})"', wire[0])[1]
    seen = open(path, "rb").read().decode("latin1")
    show = e.verb("capture", "show")
    t.ok(secret not in seen and "SECRETTXT" not in seen
         and secret not in show.out and "SECRETTXT" not in show.out,
         "neither the response that was on the wire nor what people write")
    hidden = wire[0].replace('"%s"' % secret, "*" * 34)
    t.ok(hidden in seen, "all else of that message is there as it was sent",
         hidden)
    ip = "ipv6" if ":" in host else "ip"
    rows = tshark(t, path, "frame.interface_name", "_ws.col.Protocol",
                  ip + ".src", ip + ".dst", "sip.CSeq")
    t.ok([r_[0] for r_ in rows].count("tcp") == 4
         and [r_[0] for r_ in rows].count("udp") >= 4
         and all(r_[2] == r_[3] == host for r_ in rows),
         "tshark reads %d messages of UDP and TCP" % len(rows), rows)
    bad = tshark(t, path, "frame.number", "tcp.analysis.flags",
                 want="_ws.malformed or tcp.analysis.flags or "
                 "ip.checksum.status == 0 or udp.checksum.status == 0 or "
                 "tcp.checksum.status == 0")
    t.ok(not bad, "and finds no fault in the packets", bad)


@bb.test(40)
def udp_and_tcp_look_as_on_the_wire(t):
    udp_and_tcp(t, "127.0.0.1")


@bb.test(40)
def udp_and_tcp_with_ipv6(t):
    udp_and_tcp(t, "::1")


@bb.test(30)
def a_capture_ends_by_itself(t):
    e = t.endpoint(settings={"sip.listen.udp": "127.0.0.1:0",
                             "sip.allow": "any"}).start()
    port = e.port("udp")
    path = os.path.join(t.dir, "a.pcapng")
    kept = bb.write(os.path.join(t.dir, "kept"), "precious")
    got = [e.verb("capture", "start"),
           e.verb("capture", "start", "--out", "/dev/full"),
           e.verb("capture", "start", "--out", kept),
           e.verb("capture", "start", "--out", path + "x", "--for", "25h"),
           e.verb("capture", "start", "--events", "--size", "0"),
           e.verb("capture", "stop")]
    t.ok([x.code for x in got] == [2, 2, 2, 2, 2, 1]
         and bb.read(kept) == "precious",
         "no file, no new file, too long, no size, nothing to stop", got)
    x = e.verb("capture", "start", "--out", path, "--for", "1s")
    t.ok(x.code == 0, "for a second", x)
    t.ok(os.stat(path).st_mode & 0o777 == 0o600, "mode 0600")
    x = e.verb("capture", "start", "--events")
    t.ok(x.code == 1 and "runs already" in str(x.json), "one at a time", x)
    x = e.verb("wait", "capture.ended", "--since", "0", "--timeout", "5s")
    t.ok(x.json.get("reason") == "time", "its time is over", x)

    big = os.path.join(t.dir, "big.pcapng")
    x = e.verb("capture", "start", "--out", big, "--size", "1")
    t.ok(x.code == 0, "for a MiB", x)
    body = "v=0\r\n" + "a=x\r\n" * 8000
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port))
        s.settimeout(5)
        for i in range(60):
            s.send((
                "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%d"
                "\r\nFrom: <sip:t@t>;tag=1\r\nTo: <sip:x>\r\nCall-ID: %d\r\n"
                "CSeq: 1 OPTIONS\r\nContent-Type: application/sdp\r\n"
                "Content-Length: %d\r\n\r\n%s"
                % (i, i, len(body), body)).encode())
            s.recv(65536)
    x = e.verb("wait", "capture.ended", "--timeout", "5s", "--since", "0",
               "--where", "reason=size")
    size = os.path.getsize(big)
    t.ok(x.code == 0 and 1 << 20 <= size <= (1 << 20) + 80000,
         "its size is reached: %d bytes" % size, x)
    shown = e.verb("capture", "show")
    t.ok(shown.code == 0 and len(shown.out) < 1 << 20
         and len(shown.json["messages"]) >= 5
         and max(len(m["text"]) for m in shown.json["messages"]) <= 8192,
         "long messages do not push the others out of the ring", shown.code)
    e.verb("config", "set", "sip.trace.keep", "0")
    t.ok("nothing is kept" in ladder(e), "sip.trace.keep = 0", ladder(e))
    end = os.path.join(t.dir, "end.pcapng")
    e.verb("capture", "start", "--out", end)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port))
        s.settimeout(5)
        s.send(b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bKe"
               b"\r\nFrom: <sip:t@t>;tag=1\r\nTo: <sip:x>\r\nCall-ID: e\r\n"
               b"CSeq: 1 OPTIONS\r\n\r\n")
        s.recv(65536)
    e.stop()
    t.ok(len(tshark(t, end, "sip.Method")) == 2,
         "the end of the endpoint loses nothing")
