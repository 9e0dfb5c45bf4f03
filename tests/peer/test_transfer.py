# SPDX-License-Identifier: ISC
"""Row 3 and 4: transfer, blind and attended, and digits, with baresip and
linphone through Kamailio over TLS; and Kamailio that wants a password for each
REFER and re-INVITE."""
import json
import os
import re
import socket
import threading

import bb
import peers

DOMAIN = "bb.test"


def bellbird(t, k, user, name=None, **settings):
    s = {"sip.proxy": DOMAIN, "sip.tls.name": DOMAIN,
         "sip.obproxy": "sip.%s:%d" % (DOMAIN, k.tls),
         "sip.u1.user": user, "sip.u1.auth": user, "sip.transp": "tls",
         "sip.srtp": "standard", "sip.auth.md5": "1",
         "audio.device": "null"}
    s.update(settings)
    e = t.endpoint(name or "bb" + user, settings=s, identity=t.pki.device,
                   trusted=[t.pki.root],
                   secrets={"sip.u1.pwd": peers.password(user)}).start()
    e.wait_account("registered", 8)
    return e


def kamailio(t, **more):
    return peers.Kamailio(t, algorithm=more.pop("algorithm", "MD5"),
                          domain=DOMAIN, host=peers.ADDRESS, **more)


def baresip(t, k, user="1002"):
    return peers.Baresip(t, user, DOMAIN, "sip.%s:%d" % (DOMAIN, k.tls),
                         t.pki.peer, 440)


def uri(user):
    return "sip:%s@%s" % (user, DOMAIN)


def events(e, kind):
    """The events of a kind so far."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(e.socket)
        s.sendall(b'{"id":1,"cmd":"events","args":{"since":0}}\n'
                  b'{"id":2,"cmd":"status","args":{}}\n')
        data = b""
        # An event may come behind the answer that ends them.
        while not any(b'"id":2' in x for x in data.split(b"\n")[:-1]):
            more = s.recv(65536)
            if not more:
                break
            data += more
    out = [json.loads(x) for x in data.split(b"\n") if x.startswith(b"{")]
    return [x for x in out if x.get("event") == kind]


def wait_event(e, kind, seconds=5, **fields):
    return bb.wait_until(lambda: next(
        (x for x in events(e, kind)
         if all(x.get(k) == v for k, v in fields.items())), None),
        seconds, "event %s %s" % (kind, fields), every=0.05, alive=e.proc)


def up(e, direction, remote, seconds=8):
    """A call with that user that stands."""
    def find():
        return next((c for c in e.calls() if c["state"] == "established"
                     and c["direction"] == direction
                     and "sip:%s@" % remote in c["remote"]), None)
    return bb.wait_until(find, seconds, "a call %s with %s" % (
        direction, remote), alive=e.proc)


def call(t, e, user):
    r = e.verb("call", uri(user), "--wait", "answered")
    t.ok(r.code == 0, "%s answers" % user, r)
    return r.json.get("call")


@bb.test(60)
def baresip_transfers_us(t):
    """Blind: baresip has us call somebody else; we are the transferee."""
    k = kamailio(t)
    a, b = bellbird(t, k, "1001"), bellbird(t, k, "1003")
    bs = baresip(t, k)
    bs.dial(uri("1001"))
    up(a, "in", "1002")
    bs.command("transfer", uri("1003"))
    got = wait_event(a, "call.refer")
    t.ok(got["accepted"] and "1003" in got["to"] and not got["attended"],
         "the REFER was taken", got)
    c = up(a, "out", "1003")
    t.ok(c["signalling"] == "tls" and c["security"] == "srtp",
         "the new call runs on TLS and SRTP", c)
    up(b, "in", "1001")
    bb.wait_until(lambda: len(a.calls()) == 1, 8,
                  "baresip hangs up when it hears of the 200", alive=a.proc)
    t.ok(True, "the call with baresip is over")
    a.verb("hangup")
    b.no_calls(5)


@bb.test(60)
def we_transfer_baresip(t):
    """Blind: we have baresip call somebody else; the verb tells how it went."""
    k = kamailio(t)
    a, b = bellbird(t, k, "1001"), bellbird(t, k, "1003")
    bs = baresip(t, k)
    call(t, a, "1002")
    r = a.verb("transfer", uri("1003"))
    t.ok(r.code == 0 and r.json.get("code") == 200
         and r.json.get("confirmed") is True, "transfer: exit 0, confirmed", r)
    up(b, "in", "1002")
    a.no_calls(5)
    codes = [x["code"] for x in events(a, "call.transfer")]
    t.ok(codes[-1] == 200, "each step is an event: %s" % codes, codes)
    b.verb("hangup")
    # Nobody has that number: the call stays, the verb says why.
    call(t, a, "1002")
    r = a.verb("transfer", uri("1999"))
    t.ok(r.code == 5 and r.find("code") == 404, "nobody there: exit 5, 404", r)
    t.ok(len(a.calls()) == 1, "the call stays", a.calls())
    r = a.verb("transfer", uri("1003") + "?Route=%3Csip:x%3E")
    t.ok(r.code == 2, "headers in the address: usage", r)


@bb.test(60)
def attended_transfer(t):
    """Replaces: 1001 puts its two peers together; each keeps one call."""
    k = kamailio(t)
    a, b, c = (bellbird(t, k, u) for u in ("1001", "1002", "1003"))
    first, second = call(t, a, "1002"), call(t, a, "1003")
    r = a.verb("transfer", "--call", first, "--with", second)
    t.ok(r.code == 0 and r.json.get("code") == 200, "transfer: exit 0", r)
    a.no_calls(5)
    got = wait_event(b, "call.refer")
    t.ok(got["attended"] and got["accepted"], "the REFER named a call", got)
    got = wait_event(c, "call.replaced")
    t.ok(got["replaces"] == "c1", "it took the place of that call", got)
    bb.wait_until(lambda: len(b.calls()) == 1 and len(c.calls()) == 1, 8,
                  "one call each")
    up(b, "out", "1003")
    up(c, "in", "1002")
    t.ok(True, "1002 and 1003 talk")
    b.verb("hangup")
    c.no_calls(5)
    # An INVITE with Replaces for a call that is not there.
    r = b.verb("call", uri("1003"), "--header",
               "Replaces: nothing;to-tag=a;from-tag=b", "--expect", "481")
    t.ok(r.code == 0, "Replaces of no call of ours: 481", r)


@bb.test(60)
def refer_is_challenged(t):
    """Row 4: Kamailio wants a password for REFER, re-INVITE and BYE; SHA-256,
    which is answered on the account's flow."""
    k = kamailio(t, algorithm="SHA-256", challenge_in_dialog=True)
    a, b, c = (bellbird(t, k, u) for u in ("1001", "1002", "1003"))
    call(t, a, "1002")
    r = a.verb("transfer", uri("1003"))
    t.ok(r.code == 0 and r.json.get("code") == 200, "transfer: exit 0", r)
    t.ok("BB accepts REFER 1001" in k.text(),
         "Kamailio asked for the password and got it", k.text()[-600:])
    up(b, "out", "1003")
    a.no_calls(5)
    b.verb("hangup")
    c.no_calls(5)


@bb.test(40)
def transfers_may_be_refused(t):
    k = kamailio(t)
    a = bellbird(t, k, "1001", **{"sip.transfer.accept": "never"})
    b = bellbird(t, k, "1003")
    call(t, b, "1001")
    r = b.verb("transfer", uri("1002"))
    t.ok(r.code == 5 and r.find("code") == 603, "refused: exit 5, 603", r)
    t.ok(len(b.calls()) == 1 and len(a.calls()) == 1, "the call stays")


@bb.test(60)
def digits_with_baresip(t):
    """RFC 4733 both ways, and INFO to baresip."""
    k = kamailio(t)
    a = bellbird(t, k, "1001")
    bs = baresip(t, k)
    heard = bs.listen()
    call(t, a, "1002")
    up(a, "out", "1002")
    r = a.verb("dtmf", "19#")
    t.ok(r.code == 0, "dtmf: exit 0", r)
    bb.wait_until(lambda: heard.digits() == "19#", 8,
                  "baresip hears 19# by RTP (heard %s)" % heard.digits())
    t.ok(True, "baresip heard 19#, each once")
    r = a.verb("dtmf", "5*", "--by", "info")
    bb.wait_until(lambda: heard.digits() == "19#5*", 8, "baresip hears 5*")
    t.ok(r.code == 0, "baresip heard 5* by INFO, each once", r)
    for d in "72":
        bs.command("sndcode", d)
        wait_event(a, "call.dtmf", 8, digit=d, by="rtp")
    got = "".join(x["digit"] for x in events(a, "call.dtmf"))
    t.ok(got == "72", "we heard 72 by RTP, each once", got)


@bb.test(90)
def linphone_calls_us(t):
    """linphone: registered over TLS; calls us; hold; digits both ways; it
    transfers us, and we it."""
    k = kamailio(t, algorithm="SHA-256")
    a, b = bellbird(t, k, "1001"), bellbird(t, k, "1003")
    lp = peers.Linphone(t, "1002", DOMAIN, "sip.%s:%d" % (DOMAIN, k.tls),
                        t.pki.peer)
    lp.wait_registered(k)
    lp.say("call " + uri("1001"))
    c = up(a, "in", "1002")
    t.ok(c["signalling"] == "tls" and c["security"] == "srtp",
         "linphone calls us over TLS with SRTP", c)
    lp.say("pause")
    a.wait_call(8, state="held")
    lp.wait("is now paused", 8)
    t.ok(True, "linphone puts us on hold")
    lp.say("resume")
    a.wait_call(8, state="established")
    t.ok(True, "and takes us back")
    lp.say("5")
    wait_event(a, "call.dtmf", 8, digit="5")
    t.ok(True, "its digit is an event")
    r = a.verb("dtmf", "7")
    lp.wait(r"Receiving tone 7|tone.*7", 8)
    t.ok(r.code == 0, "ours is heard by linphone")
    lp.say("transfer " + uri("1003"))
    got = wait_event(a, "call.refer", 8)
    t.ok(got["accepted"], "linphone transfers us", got)
    up(b, "in", "1001")
    bb.wait_until(lambda: len(a.calls()) == 1, 15, "one call is left")
    a.verb("hangup")
    b.no_calls(5)


@bb.test(60)
def we_call_linphone(t):
    k = kamailio(t, algorithm="SHA-256")
    a, b = bellbird(t, k, "1001"), bellbird(t, k, "1003")
    lp = peers.Linphone(t, "1002", DOMAIN, "sip.%s:%d" % (DOMAIN, k.tls),
                        t.pki.peer)
    lp.wait_registered(k)
    call(t, a, "1002")
    c = up(a, "out", "1002")
    t.ok(c["security"] == "srtp", "linphone answers us, SRTP", c)
    r = a.verb("transfer", uri("1003"))
    t.ok(r.code == 0, "we transfer linphone: exit 0", r)
    up(b, "in", "1002")
    a.no_calls(5)
    lp.say("terminate all")
    b.no_calls(8)
