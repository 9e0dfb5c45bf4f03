# SPDX-License-Identifier: ISC
"""Row 3: two Kamailio edges (path, outbound) before one registrar: an account
with two flows is called by either, and still when one edge is dead."""
import glob
import os
import re
import socket

import bb
import peers
import test_outage

DOMAIN = "bb.test"
USER = "1001"

COMMON = """#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
tcp_children=1
auto_aliases=no
server_signature=no
mpath="%(modules)s"
%(listen)s
loadmodule "tls.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "maxfwd.so"
loadmodule "stun.so"
loadmodule "outbound.so"
loadmodule "path.so"
modparam("tls", "config", "%(dir)s/tls.cfg")
modparam("outbound", "force_outbound_flag", -1)
"""

EDGE = COMMON + """
modparam("path", "use_received", 0)
request_route {
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483","Too Many Hops"); exit; }
  xlog("L_WARN","BB %(name)s $rm $proto from $si:$sp\\n");
  if (is_method("REGISTER")) {
    if (!add_path()) { sl_send_reply("503","Path"); exit; }
    $du = "sip:127.0.0.1:%(registrar)d;transport=tcp";
    t_on_reply("FLOW");
    t_relay(); exit;
  }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  t_check_trans();
  # Not in the dialog: what comes goes by the path of a flow, what goes out is
  # for the registrar; so a dead edge takes no call with it.
  loose_route();
  t_relay();
}
onreply_route[FLOW] {
  # RFC 5626 5.4: how long this edge waits for a ping
  if (status=="200") append_hf("Flow-Timer: 30\\r\\n");
}
"""

REGISTRAR = COMMON + """
loadmodule "usrloc.so"
loadmodule "registrar.so"
alias="%(domain)s"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "use_path", 1)
modparam("registrar", "path_mode", 0)
modparam("registrar", "gruu_enabled", 1)
request_route {
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483","Too Many Hops"); exit; }
  xlog("L_WARN","BB %(name)s $rm $ru path=$hdr(Path)\\n");
  if (is_method("REGISTER")) { save("location"); exit; }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  if (has_totag()) {
    if (loose_route()) { if (is_gruu()) lookup("location"); t_relay(); exit; }
    if (is_method("ACK")) { if (t_check_trans()) t_relay(); exit; }
    sl_send_reply("404","Not here"); exit;
  }
  t_check_trans();
  if (is_method("INVITE")) record_route();
  if (!lookup("location")) { sl_send_reply("404","Not Found"); exit; }
  t_relay();
}
"""


class Node:
    """One Kamailio of the three."""

    def __init__(self, t, name, text, registrar=0):
        bb.need("kamailio")
        found = glob.glob("/usr/lib/*/kamailio/modules/outbound.so")
        if not found:
            raise bb.Failure("apt-get install kamailio-outbound-modules")
        self.dir = d = os.path.join(t.dir, name)
        os.makedirs(d)
        self.tls, self.tcp = bb.free_port(), bb.free_port()
        self.udp = bb.free_port(socket.SOCK_DGRAM)
        bb.write(os.path.join(d, "tls.cfg"), peers.KAMAILIO_TLS % {
            "key": t.pki.server.key, "crt": t.pki.server.chain,
            "ca": t.pki.device_ca.crt})
        conf = bb.write(os.path.join(d, "kamailio.cfg"), text % {
            "name": name, "dir": d, "modules": os.path.dirname(found[0]) + "/",
            "domain": DOMAIN, "registrar": registrar,
            "listen": "enable_tls=yes\nlisten=tls:127.0.0.1:%d\n"
            "listen=tcp:127.0.0.1:%d\nlisten=udp:127.0.0.1:%d"
            % (self.tls, self.tcp, self.udp)})
        self.proc = bb.Proc(t, name, ["kamailio", "-f", conf, "-DD", "-E",
                                      "-m", "16", "-M", "4", "-Y", d], cwd=d)
        bb.wait_until(lambda: bb.listening(self.tls), 10, name + " listens",
                      alive=self.proc)

    def text(self):
        return self.proc.text()


class Caller:
    """A bare user agent on UDP that calls through the registrar."""

    def __init__(self, port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.to = ("127.0.0.1", port)
        self.n = 0

    def send(self, method, cseq, uri, to, routes="", body=""):
        self.sock.sendto((
            "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;"
            "branch=z9hG4bK%d%s%d;rport\r\n%sMax-Forwards: 70\r\n"
            "From: <sip:caller@127.0.0.1>;tag=f%d\r\nTo: %s\r\n"
            "Call-ID: edges%d\r\nCSeq: %d %s\r\n"
            "Contact: <sip:caller@127.0.0.1:%d>\r\n%sContent-Length: %d\r\n"
            "\r\n%s" % (
                method, uri, self.port, self.n, method, cseq, routes, self.n,
                to, self.n, cseq, method, self.port,
                "Content-Type: application/sdp\r\n" if body else "",
                len(body), body)).encode(), self.to)

    def final(self, method, seconds):
        self.sock.settimeout(seconds)
        while True:
            try:
                msg = self.sock.recv(65536).decode()
            except socket.timeout:
                raise bb.Timeout("no answer to %s" % method) from None
            code = re.match(r"SIP/2\.0 (\d+)", msg)
            if code and int(code[1]) >= 200 and re.search(
                    r"(?im)^CSeq: \d+ %s" % method, msg):
                return int(code[1]), msg

    def call(self, user):
        """INVITE to 200 and ACK; the code, Contact and To of the answer."""
        self.n += 1
        self.sock.setblocking(True)
        uri = "sip:%s@%s" % (user, DOMAIN)
        sdp = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"
               "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n")
        self.send("INVITE", 1, uri, "<%s>" % uri, body=sdp)
        code, msg = self.final("INVITE", 10)
        if code != 200:
            return code, msg
        self.contact = re.search(r"(?im)^Contact: <([^>]+)>", msg)[1]
        self.to_value = re.search(r"(?im)^To: (.*?)\r$", msg)[1]
        self.routes = "".join("Route: %s\r\n" % r for r in reversed(
            re.findall(r"(?im)^Record-Route: (.*?)\r$", msg)))
        self.send("ACK", 1, self.contact, self.to_value, self.routes)
        return code, msg


@bb.test(60)
def calls_come_in_by_either_edge(t):
    registrar = Node(t, "registrar", REGISTRAR)
    edges = [Node(t, "edge%d" % i, EDGE, registrar.tcp) for i in (1, 2)]
    e = test_outage.endpoint(t, 0, "bellbird", **{
        "sip.proxy": DOMAIN, "sip.tls.name": DOMAIN, "sip.gruu": "1",
        "sip.obproxy": "127.0.0.1:%d" % edges[0].tls,
        "sip.obproxy2": "sip:127.0.0.1:%d;transport=tls;lr" % edges[1].tls,
        "sip.srtp": "disabled", "audio.device": "null"}).start()
    e.wait_account("registered", 5)
    bb.wait_until(lambda: e.account().get("flows") == 2, 5,
                  "both flows are registered", alive=e.proc)
    t.ok(len(re.findall(r"BB registrar REGISTER \S+ path=<sip:\S+;lr;ob>",
                        registrar.text())) == 2,
         "the registrar saw both, each with the path of its edge",
         registrar.text()[-600:])
    c = Caller(registrar.udp)
    code, msg = c.call(USER)
    t.ok(code == 200, "a call comes in (%d)" % code, msg)
    e.wait_call(5, state="established", direction="in")
    t.ok(";gr=" in c.contact, "its Contact is the GRUU: %s" % c.contact)
    # While it is up, the edge it came by dies: the other one serves it.
    used = next(x for x in edges if re.search(r"BB \S+ INVITE", x.text()))
    other = edges[1 - edges.index(used)]
    test_outage.kill(used.proc)
    bb.wait_until(lambda: e.account().get("flows") == 1, 5,
                  "one flow is left", alive=e.proc)
    t.ok(e.account().get("state") == "registered" and e.calls(),
         "still registered, the call is up", e.account())
    r = e.verb("hangup")
    t.ok(r.code == 0, "hung up", r)
    bb.wait_until(lambda: not e.calls(), 5, "the call ends", alive=e.proc)
    t.ok(re.search(r"BB \S+ BYE", other.text()),
         "our BYE went by the other edge", other.text()[-600:])
    begun = len(re.findall(r"BB \S+ INVITE", other.text()))
    code, msg = c.call(USER)
    t.ok(code == 200, "a call comes in by the edge that is left (%d)" % code,
         msg)
    t.ok(len(re.findall(r"BB \S+ INVITE", other.text())) > begun,
         "which it went by")
    # Not by the caller's BYE: this Kamailio gives up at the branch to the dead
    # edge (477) where it should go on to the other flow (RFC 5626 7).
    e.verb("hangup")
    bb.wait_until(lambda: not e.calls(), 5, "the call ends", alive=e.proc)
    t.ok(True, "and ends")
