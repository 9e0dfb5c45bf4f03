# SPDX-License-Identifier: ISC
"""Several accounts: each its own registration, connection and credentials."""
import re
import socket
import time

import bb
import peers
from registrar import header

PAGE, ALERT, SECOND = "1001", "1003", "1004"


def endpoint(t, k, **more):
    s = {"sip.proxy": "localhost:%d" % k.tls, "sip.u1.user": PAGE,
         "sip.alert1.use": "1", "sip.alert1.user": ALERT,
         "sip.u2.user": SECOND, "audio.device": "null"}
    s.update(more)
    return t.endpoint(conf=s, identity=t.pki.device, trusted=[t.pki.root],
                      secrets={"sip.u1.pwd": peers.password(PAGE),
                               "sip.alert1.pwd": peers.password(ALERT),
                               "sip.u2.pwd": peers.password(SECOND)})


def account(e, name):
    return next((a for a in e.status().get("accounts") or []
                 if a["id"] == name), {})


def wait_account(e, name, state, seconds=6):
    return bb.wait_until(
        lambda: account(e, name).get("state") == state and account(e, name),
        seconds, "account %s is %s" % (name, state), alive=e.proc)


def connections(port):
    """Established connections to `port`, seen from the side that connected."""
    with open("/proc/net/tcp") as f:
        rows = [r.split() for r in f.readlines()[1:]]
    return sorted(int(r[1].rsplit(":", 1)[1], 16) for r in rows
                  if int(r[2].rsplit(":", 1)[1], 16) == port and r[3] == "01")


@bb.test(40)
def one_wrong_password_disturbs_nobody(t):
    """Three accounts of one server, one with a wrong password."""
    k = peers.Kamailio(t)
    e = endpoint(t, k)
    bb.write(e.settings["sip.alert1.pwd"][1:], "wrong", 0o600)
    cap = t.capture()
    e.start()
    a, b = wait_account(e, "u1", "registered"), wait_account(
        e, "u2", "registered")
    bad = wait_account(e, "alert1", "waiting")
    t.ok([x["id"] for x in e.status()["accounts"]] == ["u1", "u2", "alert1"],
         "the status has all three", e.status().get("accounts"))
    t.ok((a["role"], b["role"], bad["role"]) == ("page", "page", "alert"),
         "and says what they are for", (a, b, bad))
    t.ok(a["local"] != b["local"] and sorted(
        int(x["local"].rsplit(":", 1)[1]) for x in (a, b))
        == connections(k.tls),
        "the two that are registered have one connection each", (
            a["local"], b["local"], connections(k.tls)))
    t.ok(bad["code"] in (401, 403) and bad["reason"],
         "the third says why not: %s" % bad["reason"], bad)
    cap.stop()
    syn = [s for s, d in cap.syn if d == k.tls]
    # The third may have tried again by now; it backs off.
    t.ok(3 <= len(syn) <= 6 and len(set(syn)) == len(syn),
         "no connections without end: %d in all" % len(syn), syn)
    r = e.verb("call", "1009", "--account", "alert1")
    t.ok(r.code == 6 and "alert1" in r.out + r.err,
         "a call by the one that failed: exit 6", r)
    r = e.verb("call", "1009", "--account", "u2")
    t.ok(r.code == 5 and r.find("code") == 404,
         "a call by the second page extension reaches the server", r)
    bb.wait_until(lambda: "BB INVITE user=%s" % SECOND in k.text(), 3,
                  "Kamailio saw it come from %s" % SECOND)
    r = e.verb("call", "1009", "--account", "u7")
    t.ok(r.code == 2 and "u7" in r.err + r.out, "an unknown account: exit 2",
         r)
    r = e.verb("wait", "reg.state", "--where", "account=u2", "--where",
               "state=registered", "--or-status", "--timeout", "2s")
    t.ok(r.code == 0, "wait tells accounts apart", r)
    return k, e


@bb.test(40)
def a_change_touches_its_account_alone(t):
    """A setting of one account: the others keep connection and
    registration; one that is switched off unregisters."""
    k = peers.Kamailio(t)
    e = endpoint(t, k).start()
    for name in ("u1", "u2", "alert1"):
        wait_account(e, name, "registered")
    before = {n: account(e, n)["local"] for n in ("u1", "u2", "alert1")}
    r = e.verb("config", "set", "sip.u2.dname", "Hall")
    t.ok(r.code == 0, "sip.u2.dname is set", r)
    bb.wait_until(lambda: account(e, "u2").get("local") not in (
        "", None, before["u2"]) and account(e, "u2")["state"] == "registered",
        6, "u2 registers again", alive=e.proc)
    t.ok(all(account(e, n)["local"] == before[n] and
             account(e, n)["state"] == "registered" for n in ("u1", "alert1")),
         "u1 and alert1 have the connection they had", (
             before, e.status()["accounts"]))
    t.ok(len(connections(k.tls)) == 3, "three connections still",
         connections(k.tls))
    r = e.verb("config", "set", "sip.alert1.use", "0")
    bb.wait_until(lambda: not account(e, "alert1"), 5, "alert1 is gone")
    bb.wait_until(lambda: len(connections(k.tls)) == 2, 3,
                  "its connection too")
    bb.wait_until(lambda: any("BB authenticated %s" % ALERT in line and
                              "expires=0" in line
                              for line in k.text().splitlines()), 3,
                  "and Kamailio saw it unregister")
    r = e.verb("config", "set", "sip.page.use", "0")
    wait_account(e, "u1", "off", 5)
    t.ok(account(e, "u2")["state"] == "registered",
         "sip.page.use = 0 switches u1 off alone", e.status()["accounts"])
    begun = time.monotonic()
    code = e.stop()
    t.ok(code == 0 and time.monotonic() - begun < 3, "a clean end", code)


@bb.test(40)
def tls_policy_of_each_account(t):
    """sip.alert1.tls.* count for alert1 only, and weak ones are told."""
    k = peers.Kamailio(t, cert=t.pki.wrong_name)
    e = endpoint(t, k, **{"sip.alert1.tls.name": "other.test",
                          "sip.u2.tls.verify": "0"}).start()
    wait_account(e, "alert1", "registered")
    wait_account(e, "u2", "registered")
    v = bb.wait_until(lambda: (account(e, "u1").get("tls") or {}).get("class")
                      and account(e, "u1")["tls"], 5, "u1 fails")
    t.ok(v["class"] == "cert.name_mismatch",
         "u1 refuses the name that alert1 expects", v)
    w = e.status().get("warnings") or []
    t.ok(any("sip.u2.tls.verify" in x for x in w),
         "the status warns of sip.u2.tls.verify = 0", w)


class UdpRegistrar:
    """Takes every REGISTER over UDP, and calls who registered."""

    def __init__(self, t):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.contacts = {}  # user: (URI, address)
        t.closers.append(self.sock.close)

    def read(self, seconds):
        self.sock.settimeout(seconds)
        data, src = self.sock.recvfrom(65536)
        return data.decode(), src

    def serve(self, users, seconds=8):
        """Answers REGISTER until all of `users` have a contact, or none."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and set(self.contacts) != set(users):
            try:
                msg, src = self.read(0.5)
            except socket.timeout:
                continue
            if not msg.startswith("REGISTER"):
                continue
            user = re.search(r"<sip:(\w+)@", header(msg, "To"))[1]
            contact = header(msg, "Contact")
            if header(msg, "Expires") == "0":
                self.contacts.pop(user, None)
            else:
                self.contacts[user] = (contact.split(">")[0].strip("<"), src)
            self.sock.sendto(("SIP/2.0 200 OK\r\n" + "".join(
                "%s: %s\r\n" % (h, header(msg, h))
                for h in ("Via", "From", "Call-ID", "CSeq", "Contact"))
                + "To: %s;tag=r\r\nContent-Length: 0\r\n\r\n"
                % header(msg, "To")).encode(), src)
        return set(self.contacts) == set(users)

    def invite(self, user, uri=None):
        """The codes that come for an INVITE of that user, up to 180 or a
        final one."""
        contact, dst = self.contacts[user]
        body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n" \
            "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
        self.sock.sendto((
            "INVITE %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;"
            "branch=z9hG4bK-%s;rport\r\nMax-Forwards: 70\r\n"
            "From: <sip:x@bb.test>;tag=f\r\nTo: <sip:%s@bb.test>\r\n"
            "Call-ID: call-%s\r\nCSeq: 1 INVITE\r\nContact: "
            "<sip:x@127.0.0.1:%d>\r\nContent-Type: application/sdp\r\n"
            "Content-Length: %d\r\n\r\n%s" % (
                uri or contact, self.port, uri or user, user, uri or user,
                self.port, len(body), body)).encode(), dst)
        codes = []
        while not codes or codes[-1] < 180:
            msg, _ = self.read(5)
            if msg.startswith("SIP/2.0") and "call-" in msg:
                codes.append(int(msg.split()[1]))
        return codes


@bb.test(40)
def over_udp_the_request_uri_tells(t):
    """Two accounts of one server over UDP have one socket and one peer; whom
    a call is for tells its first line."""
    r = UdpRegistrar(t)
    e = t.endpoint(conf={
        "sip.proxy": "127.0.0.1:%d" % r.port, "sip.transp": "udp",
        "sip.u1.user": PAGE, "sip.alert1.use": "1",
        "sip.alert1.user": ALERT, "audio.device": "null",
        "sip.interop.ka.interval": "1"}).start()
    t.ok(r.serve([PAGE, ALERT]), "both register", r.contacts)
    wait_account(e, "u1", "registered")
    wait_account(e, "alert1", "registered")
    t.ok(r.contacts[PAGE][1] == r.contacts[ALERT][1] and
         r.contacts[PAGE][0] != r.contacts[ALERT][0],
         "from one socket, with a contact each", r.contacts)
    t.ok(r.invite(ALERT)[-1] == 180, "the alert rings")
    t.ok(e.wait_call(3, account="alert1")["state"] == "ringing",
         "and is known as such", e.calls())
    t.ok(r.invite(PAGE)[-1] == 200, "the page is answered")
    t.ok(e.wait_call(3, account="u1", direction="in"), "as one", e.calls())
    t.ok(r.invite(PAGE, "sip:nobody@127.0.0.1")[-1] == 404,
         "a user who is none of both is 404")
    e.verb("hangup")
    e.verb("config", "set", "sip.alert1.use", "0")
    t.ok(r.serve([PAGE]), "alert1 unregisters", r.contacts)
    bb.wait_until(lambda: not account(e, "alert1"), 5, "it is gone")

    def pinged():
        try:
            return r.read(0.2)[0] == "\r\n\r\n"
        except socket.timeout:
            return False
    while pinged():  # those that came before
        pass
    bb.wait_until(pinged, 5, "u1 is still kept alive")
    t.ok(account(e, "u1")["state"] == "registered", "u1 stays", account(
        e, "u1"))
