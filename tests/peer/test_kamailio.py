# SPDX-License-Identifier: ISC
"""Row 1: Kamailio with verify_certificate=1 require_certificate=1, digest."""
import re
import time

import bb
import peers

USER = "1001"


def endpoint(t, k, identity, trusted, name="bellbird", **more):
    settings = {"sip.proxy": "localhost:%d" % k.tls, "sip.u1.user": USER,
                "sip.u1.auth": USER, "sip.transp": "tls"}
    settings.update(more)
    return t.endpoint(name, settings=settings, identity=identity,
                      trusted=trusted,
                      secrets={"sip.u1.pwd": peers.password(USER)})


def register(t, algorithm):
    k = peers.Kamailio(t, algorithm=algorithm)
    more = {"sip.auth.md5": "1"} if algorithm == "MD5" else {}
    e = endpoint(t, k, t.pki.device, [t.pki.root], **more).start(ready=False)
    a = e.wait_account("registered", 5)
    took = time.monotonic() - e.proc.started
    t.ok(took <= 2.0, "%s: registered %.0f ms after the process was started"
         % (algorithm, took * 1000))
    v = a.get("tls") or {}
    t.ok(a.get("transport") == "tls" and a.get("digest") == algorithm,
         "the account says TLS and %s" % algorithm, a)
    t.ok(v.get("ok") and v.get("confirmed") and not v.get("class"),
         "the verdict is good and confirmed", v)
    t.ok(v.get("version") in ("TLS 1.2", "TLS 1.3") and v.get("cipher"),
         "%s, %s" % (v.get("version"), v.get("cipher")), v)
    t.ok("localhost" in str(v.get("matched")),
         "the certificate was matched: %s" % v.get("matched"), v)
    shown = v.get("client_cert") or {}
    t.ok(shown.get("asked") and shown.get("slot") == "factory"
         and bb.MAC in str(shown.get("subject")),
         "the device certificate was asked for and shown", shown)
    t.ok(re.search(r"BB REGISTER user=%s proto=tls .*verified=1 cn=%s"
                   % (USER, bb.MAC), k.text()),
         "Kamailio verified it", k.text()[-800:])
    t.ok("BB authenticated " + USER in k.text(),
         "Kamailio accepted the digest", k.text()[-800:])
    return k, e


@bb.test(30)
def registers_with_sha256(t):
    """Registered within 2 s of the start, SHA-256; then a clean end."""
    k, e = register(t, "SHA-256")
    begun = time.monotonic()
    code = e.stop()
    took = time.monotonic() - begun
    t.ok(code == 0 and took <= 3.0,
         "TERM: exit 0 within 3 s (exit %s, %.1f s)" % (code, took))
    bb.wait_until(lambda: re.search(
        r"expires=0\b|BB authenticated %s contact=\S*expires=0" % USER,
        k.text()), 2, "Kamailio sees it unregister")
    t.ok(True, "it unregistered before it ended")


@bb.test(30)
def registers_with_md5(t):
    """The same with MD5, which the settings must allow."""
    register(t, "MD5")


@bb.test(30)
def a_wrong_password_is_exit_6(t):
    k = peers.Kamailio(t)
    e = endpoint(t, k, t.pki.device, [t.pki.root])
    bb.write(e.settings["sip.u1.pwd"][1:], "wrong", 0o600)
    e.start()
    bb.wait_until(lambda: e.account().get("code") in (401, 403, 407), 5,
                  "the account tells of the refusal", alive=e.proc)
    t.ok(e.account().get("state") != "registered", "not registered",
         e.account())
    r = e.verb("call", "1002")
    t.ok(r.code == 6, "call: exit 6", r)


@bb.test(30)
def device_certificate_of_another_ca(t):
    """Refused by Kamailio; the verdict says which side refused, and why."""
    k = peers.Kamailio(t)
    e = endpoint(t, k, t.pki.foreign_device, [t.pki.root]).start()
    v = e.wait_class(8)
    t.ok(str(v.get("class", "")).startswith("mtls."),
         "the class is %s" % v.get("class"), v)
    # TLS 1.3 refuses after our side of the handshake; both phases are right.
    t.ok(v.get("alert_received") == 48,
         "the alert that came is 48, unknown_ca", v.get("alert_received"))
    text = str(v.get("text", "")).lower()
    t.ok("server" in text and ("our" in text or "device" in text
                               or "client" in text),
         "the text names the side: %s" % v.get("text"), v)
    t.ok((v.get("client_cert") or {}).get("slot") == "factory",
         "it says which certificate was shown", v.get("client_cert"))
    a = e.account()
    t.ok(a.get("state") != "registered" and a.get("reason"),
         "not registered: %s" % a.get("reason"), a)
    kept = e.status().get("tls") or []
    t.ok(any(x.get("class") == v.get("class") for x in kept),
         "tls[] keeps the verdict", kept[:1])
    r = e.verb("call", "1002")
    t.ok(r.code == 7 and str(r.find("class")).startswith("mtls."),
         "call: exit 7 with that class", r)


@bb.test(30)
def no_device_certificate(t):
    """Kamailio demands one and there is none: said so, not `handshake
    failure`."""
    k = peers.Kamailio(t)
    e = endpoint(t, k, None, [t.pki.root]).start()
    v = e.wait_class(8)
    t.ok(v.get("class") == "mtls.required_none",
         "the class is %s: %s" % (v.get("class"), v.get("text")), v)


def refused(t, cert, trusted, classes, what):
    """The registrar's certificate is refused by us before a REGISTER leaves."""
    k = peers.Kamailio(t, cert=cert)
    e = endpoint(t, k, t.pki.device, trusted).start()
    v = e.wait_class(8)
    t.ok(v.get("class") in classes, "%s: the class is %s"
         % (what, v.get("class")), v)
    t.note(str(v.get("text")))
    t.ok(v.get("ok") is False and v.get("alert_sent") is not None,
         "it says that we refused (alert %s sent)" % v.get("alert_sent"), v)
    t.ok("BB REGISTER" not in k.text(), "no REGISTER reached Kamailio",
         k.text()[-400:])
    r = e.verb("call", "1002")
    t.ok(r.code == 7 and r.find("class") in classes,
         "call: exit 7 with that class", r)


@bb.test(30)
def registrar_of_an_unknown_ca(t):
    refused(t, t.pki.unknown_ca, [t.pki.root],
            ("cert.unknown_root", "cert.untrusted_root"), "unknown CA")


@bb.test(30)
def registrar_with_a_wrong_name(t):
    refused(t, t.pki.wrong_name, [t.pki.root], ("cert.name_mismatch",),
            "wrong name")


@bb.test(30)
def registrar_with_an_expired_certificate(t):
    refused(t, t.pki.expired, [t.pki.root], ("cert.expired",), "expired")


@bb.test(40)
def a_lost_flow_is_replaced(t):
    """Kamailio goes away and comes back: registered again within 2 s."""
    k = peers.Kamailio(t)
    e = endpoint(t, k, t.pki.device, [t.pki.root]).start()
    e.wait_account("registered", 5)
    k.stop()
    bb.wait_until(lambda: e.account().get("state") != "registered", 5,
                  "the account notices", alive=e.proc)
    bb.wait_until(lambda: not bb.listening(k.tls), 5, "the port is free")
    begun = time.monotonic()
    peers.Kamailio(t, name="kamailio2", port=k.tls)
    up = time.monotonic()
    e.wait_account("registered", 10)
    took = time.monotonic() - up
    t.note("away for %.1f s" % (up - begun))
    t.ok(took <= 2.0, "registered again %.2f s after it came back" % took)
