# SPDX-License-Identifier: ISC
"""The verbs `cert ..`, judged by openssl and by real servers."""
import os
import shutil
import stat
import subprocess

import bb
import peers
from bb import test


def cert(b, *words, stdin=None):
    """`bellbird cert WORDS` in the folder of the test."""
    return bb.Result(subprocess.run(
        [bb.binary(), "cert"] + [str(w) for w in words] + ["--json"],
        capture_output=True, text=True, cwd=b.dir, timeout=60,
        stdin=subprocess.DEVNULL if stdin is None else stdin))


def openssl(b, *words):
    """What openssl says, of both outputs; and how it ended."""
    p = subprocess.run(["openssl"] + list(words), capture_output=True,
                       text=True, cwd=b.dir, timeout=60,
                       stdin=subprocess.DEVNULL)
    return p.stdout + p.stderr, p.returncode


def mode(b, name):
    return stat.S_IMODE(os.stat(os.path.join(b.dir, name)).st_mode)


@test(30)
def requests_are_what_a_ca_elsewhere_expects(b):
    """`cert csr`: device and owner, new and existing keys."""
    r = cert(b, "csr", "--mac", "00:22:EE:11:22:33", "--out", "d.csr",
             "--key-out", "d.key")
    b.ok(r.code == 0 and r.json.get("cn") == bb.MAC, "a device's request", r)
    text, code = openssl(b, "req", "-in", "d.csr", "-verify", "-noout",
                         "-text", "-nameopt", "multiline")
    b.ok(code == 0 and "verify OK" in text, "openssl verifies it", text)
    b.ok("commonName                = " + bb.MAC in text and
         "serialNumber              = " + bb.MAC in text,
         "its CN and serialNumber are the MAC", text)
    b.ok("TLS Web Client Authentication" in text and
         "Server Authentication" not in text and
         "URI:urn:dev:mac:" + bb.MAC in text and "CA:FALSE" in text,
         "it asks for a client's certificate and no more", text)
    b.ok(mode(b, "d.key") == 0o600, "its key is 0600", oct(mode(b, "d.key")))
    same = [openssl(b, *v)[0] for v in (
        ("req", "-in", "d.csr", "-pubkey", "-noout"),
        ("pkey", "-in", "d.key", "-pubout"))]
    b.ok(same[0] == same[1] and "PUBLIC KEY" in same[0],
         "the key is that of the request", same)

    r = cert(b, "csr", "--mac", bb.MAC, "--out", "d2.csr", "--key-out",
             "d.key")
    b.ok(r.code == 1 and "--force" in r.out and
         not os.path.exists(os.path.join(b.dir, "d2.csr")),
         "a key that is there is not written over", r)

    openssl(b, "genrsa", "-out", "rsa.key", "3072")
    r = cert(b, "csr", "--cn", "phone of the owner", "--san",
             "DNS:phone.example,URI:sip:phone.example", "--key", "rsa.key",
             "--out", "o.csr")
    text, code = openssl(b, "req", "-in", "o.csr", "-verify", "-noout",
                         "-text")
    b.ok(r.code == 0 and code == 0 and "verify OK" in text,
         "an owner's request with a key of openssl", [str(r), text])
    b.ok("CN = phone of the owner" in text and "(3072 bit)" in text and
         "DNS:phone.example, URI:sip:phone.example" in text,
         "has the owner's names and key", text)

    openssl(b, "genrsa", "-out", "weak.key", "1024")
    openssl(b, "genrsa", "-aes128", "-passout", "pass:x", "-out", "enc.key",
            "2048")
    bb.write(os.path.join(b.dir, "empty.key"), "")
    for key, word in (("weak.key", "too weak"), ("enc.key", "key.encrypted"),
                      ("d.csr", "key.unreadable"),
                      ("empty.key", "key.unreadable"),
                      ("absent.key", "No such file")):
        r = cert(b, "csr", "--cn", "a", "--key", key, "--out", "x.csr")
        b.ok(r.code == 1 and word in r.out and key in r.out and
             not os.path.exists(os.path.join(b.dir, "x.csr")),
             "%s is refused: %s" % (key, word), r)
    for words in (["--mac", "rubbish", "--key-out", "x.key"],
                  ["--key-out", "x.key"], ["--cn", "a"],
                  ["--cn", "a", "--mac", bb.MAC, "--key-out", "x.key"],
                  ["--cn", "a", "--san", "rubbish", "--key-out", "x.key"]):
        r = cert(b, "csr", "--out", "x.csr", *words)
        b.ok(r.code == 2 and
             not os.path.exists(os.path.join(b.dir, "x.key")),
             "usage: " + " ".join(words), r)


class Identity:
    """A file that `cert mint` wrote, as Endpoint takes it."""

    def __init__(self, b, name):
        self.pem = os.path.join(b.dir, name)


@test(60)
def a_ca_of_tiers_holds_for_openssl(b):
    """`cert ca-init` of 1 to 3 tiers and each kind of key."""
    for tiers, key, word, names in (
            (1, "p256", "prime256v1", ["ca"]),
            (2, "p384", "secp384r1", ["root", "ca"]),
            (3, "rsa2048", "(2048 bit)", ["root", "policy", "ca"])):
        d = "ca%d" % tiers
        r = cert(b, "ca-init", "--dir", d, "--tiers", tiers, "--key", key,
                 "--cn", "Test")
        b.ok(r.code == 0, "%d tiers, %s" % (tiers, key), r)
        b.ok(mode(b, d) == 0o700 and
             all(mode(b, "%s/%s.key" % (d, n)) == 0o600 for n in names),
             "folder 0700, keys 0600")
        for i, n in enumerate(names):
            text, _ = openssl(b, "x509", "-in", "%s/%s.pem" % (d, n),
                              "-noout", "-text")
            want = "pathlen:%d" % (tiers - 1 - i)
            b.ok("CA:TRUE" in text and (tiers == 1 or want in text) and
                 "Certificate Sign, CRL Sign" in text and word in text and
                 "Not After : Dec 31 23:59:59 9999 GMT" in text,
                 "%s/%s.pem: a CA of %s without end" % (d, n, word), text)
        r = cert(b, "mint", "--ca", d, "--mac", "00:22:ee:11:22:33", "--out",
                 d + ".pem")
        r2 = cert(b, "export-ca", "--ca", d, "--out", d + ".chain.pem",
                  "--der", d + ".der")
        b.ok(r.code == 0 and "note" not in r.json and r2.code == 0 and
             r2.json.get("complete") is True and
             len(r2.json.get("certificates")) == tiers,
             "a device's certificate, and what servers need", [str(r), str(r2)])
        text, code = openssl(b, "verify", "-x509_strict", "-purpose",
                             "sslclient", "-CAfile", d + ".chain.pem",
                             d + ".pem")
        b.ok(code == 0, "openssl accepts it, by the strict rules", text)
        text, code = openssl(b, "verify", "-x509_strict", "-purpose",
                             "sslclient", "-CAfile",
                             "%s/%s.pem" % (d, names[0]), "-untrusted",
                             d + ".pem", d + ".pem")
        b.ok(code == 0, "the root and what the device sends are enough", text)
        text, code = openssl(b, "verify", "-purpose", "sslserver", "-CAfile",
                             d + ".chain.pem", d + ".pem")
        b.ok(code != 0, "it is no server's certificate", text)
        der = openssl(b, "x509", "-inform", "DER", "-in", d + ".der",
                      "-noout", "-fingerprint")
        pem = openssl(b, "x509", "-in", "%s/%s.pem" % (d, names[0]),
                      "-noout", "-fingerprint")
        b.ok(der == pem and der[1] == 0, "the DER file is the root",
             [der, pem])
        r = cert(b, "ca-init", "--dir", d, "--tiers", 4 - tiers)
        b.ok(r.code == 1 and "already" in r.out, "is not replaced", r)
    for words in (["--tiers", "4"], ["--key", "rsa1024"], ["--cn", ""],
                  ["--tiers", "3", "--cn", "x" * 57], ["--years", "1001"],
                  ["--years", "1", "--days", "1"]):
        r = cert(b, "ca-init", "--dir", "none", *words)
        b.ok(r.code == 2 and
             not os.path.exists(os.path.join(b.dir, "none")),
             "usage: " + " ".join(words)[:40], r)
    # What the CA ends before is told of.
    cert(b, "ca-init", "--dir", "short", "--tiers", "2", "--years", "10")
    r = cert(b, "mint", "--ca", "short", "--mac", bb.MAC, "--out", "s.pem")
    b.ok(r.code == 0 and "ends at 203" in r.json.get("note", ""),
         "a CA that ends before the device is told of", r)
    r = cert(b, "mint", "--ca", "short", "--mac", bb.MAC, "--years", "9",
             "--out", "s9.pem")
    b.ok(r.code == 0 and "note" not in r.json, "one that does not, is not", r)


@test(60)
def a_list_of_devices_is_minted_whole_or_not_at_all(b):
    """`cert mint --macs`."""
    cert(b, "ca-init", "--dir", "ca", "--tiers", "3")
    macs = ["0022ee0000%02x" % i for i in range(20)]
    bb.write(os.path.join(b.dir, "macs"), "# a reel of boards\n\n" +
             "".join("  %s\r\n" % m.upper() for m in macs))
    r = cert(b, "mint", "--ca", "ca", "--macs", "macs", "--out-dir", "out",
             "--years", "30")
    b.ok(r.code == 0 and len(r.json.get("files", [])) == 20,
         "20 devices", r)
    cert(b, "export-ca", "--ca", "ca", "--out", "chain.pem")
    text, code = openssl(b, "verify", "-x509_strict", "-CAfile", "chain.pem",
                         *["out/%s.pem" % m for m in macs])
    b.ok(code == 0 and text.count(": OK") == 20, "openssl accepts all", text)
    text, _ = openssl(b, "x509", "-in", "out/%s.pem" % macs[7], "-noout",
                      "-text")
    b.ok("CN = %s, serialNumber = %s" % (macs[7], macs[7]) in text and
         " 2056 GMT" in text, "each carries its MAC, and ends in 2056", text)
    b.ok(mode(b, "out") == 0o700 and
         mode(b, "out/%s.pem" % macs[0]) == 0o600, "modes")
    before = bb.read(os.path.join(b.dir, "out", macs[0] + ".pem"))
    r = cert(b, "mint", "--ca", "ca", "--macs", "macs", "--out-dir", "out")
    b.ok(r.code == 1 and "--force" in r.out and
         before == bb.read(os.path.join(b.dir, "out", macs[0] + ".pem")),
         "not over files that are there", r)
    r = cert(b, "mint", "--ca", "ca", "--macs", "macs", "--out-dir", "out",
             "--force")
    b.ok(r.code == 0 and
         before != bb.read(os.path.join(b.dir, "out", macs[0] + ".pem")),
         "--force does", r)
    for text, word in (("0022ee000001\nrubbish\n", "bad:2"),
                       ("0022ee000001\n00:22:ee:00:00:01\n", "twice"),
                       ("# nothing\n", "no MAC")):
        bb.write(os.path.join(b.dir, "bad"), text)
        r = cert(b, "mint", "--ca", "ca", "--macs", "bad", "--out-dir", "no")
        b.ok(r.code == 1 and word in r.out and
             not os.path.exists(os.path.join(b.dir, "no")),
             "nothing is minted: " + word, r)


@test(60)
def three_tiers_and_far_ends_hold_for_servers(b):
    """A device CA of three tiers on Kamailio and nginx; ends in 2056, 9999."""
    cert(b, "ca-init", "--dir", "ca", "--tiers", "3", "--cn", "Device CA")
    cert(b, "mint", "--ca", "ca", "--mac", bb.MAC, "--out", "9999.pem")
    cert(b, "mint", "--ca", "ca", "--mac", bb.MAC, "--years", "30", "--out",
         "2056.pem")
    chain = os.path.join(b.dir, "chain.pem")
    cert(b, "export-ca", "--ca", "ca", "--out", chain)
    k = peers.Kamailio(b, device_ca=chain)
    n = peers.Nginx(b, {"good": b.pki.server}, device_ca=chain)
    n.put("cfg/algom%s.conf" % bb.MAC, "sip.u1.dname = Far\n")
    for end in ("9999", "2056"):
        e = b.endpoint("e" + end, identity=Identity(b, end + ".pem"),
                       trusted=[b.pki.root], conf={
            "prov.server.method": "static", "prov.download.method": "https",
            "prov.server.static": "localhost:%d" % n.ports["good"],
            "prov.download.cfgpath": "/cfg", "prov.use": "1"},
            settings={"sip.proxy": "localhost:%d" % k.tls,
                      "sip.u1.user": "1001", "sip.u1.auth": "1001",
                      "sip.transp": "tls"},
            secrets={"sip.u1.pwd": peers.password("1001")}).start()
        e.wait_account("registered", 15)
        slot = ((e.account().get("tls") or {}).get("client_cert") or {})
        b.ok(slot.get("slot") == "factory", "Kamailio took the one of " + end,
             e.account())
        r = e.verb("prov", "run")
        b.ok(r.code == 0 and e.get("sip.u1.dname") == "Far",
             "nginx took the one of " + end, r)
        shown = [c for c in e.status().get("certs") or []
                 if c.get("slot") == "factory"]
        b.ok(shown and shown[0]["not_after"].startswith(end),
             "status shows the end", shown)
        e.stop()


@test(30)
def what_servers_need_comes_out_of_the_slots(b):
    """`cert export-ca --slot`."""
    cert(b, "ca-init", "--dir", "ca", "--tiers", "3")
    cert(b, "mint", "--ca", "ca", "--mac", bb.MAC, "--out", "d.pem")
    e = b.endpoint(identity=Identity(b, "d.pem"))
    where = ["--state", e.state, "--identity", e.identity]
    r = cert(b, "export-ca", "--out", "part.pem", *where)
    b.ok(r.code == 0 and r.json.get("complete") is False and
         "root is missing" in r.json.get("note", "") and
         len(r.json.get("certificates")) == 2,
         "a file without the root: what there is, and that it is missing", r)
    text = bb.read(os.path.join(b.dir, "d.pem"))
    bb.write(os.path.join(e.identity, "device.pem"), text +
             bb.read(os.path.join(b.dir, "ca/root.pem")), 0o600)
    r = cert(b, "export-ca", "--slot", "factory", "--out", "all.pem", *where)
    text, code = openssl(b, "verify", "-x509_strict", "-CAfile", "all.pem",
                         "d.pem")
    b.ok(r.code == 0 and r.json.get("complete") is True and code == 0,
         "with the root: openssl accepts the device by it", [str(r), text])
    r = cert(b, "export-ca", "--slot", "sip-owner", *where)
    b.ok(r.code == 7 and "no certificate in the slot" in r.out,
         "an empty slot is said to be empty", r)
    shutil.copy(b.pki.device.pem, os.path.join(e.state, "certs",
                                               "sipclient.pem"))
    r = cert(b, "export-ca", "--slot", "sip-owner", *where)
    b.ok(r.code == 7 and "Bellbird Test Device CA" in r.out,
         "a leaf alone: who issued it is named", r)
    for words in (["--slot", "server"], ["--slot", "factory", "--ca", "ca"]):
        b.ok(cert(b, "export-ca", *words).code == 2,
             "usage: " + " ".join(words))


def state_of(e):
    """The certificates and keys with their content: to see that none
    changed."""
    out = {}
    for top in (os.path.join(e.state, "certs"), e.identity):
        for d, _, names in os.walk(top):
            for n in names:
                with open(os.path.join(d, n), "rb") as f:
                    out[os.path.join(d, n)] = f.read()
    return out


@test(60)
def what_is_imported_is_judged_first(b):
    """`cert import`: forms, refusals, and the rules of the factory slot."""
    cert(b, "ca-init", "--dir", "ca", "--tiers", "3")
    for mac in (bb.MAC, bb.OTHER_MAC):
        cert(b, "mint", "--ca", "ca", "--mac", mac, "--out", mac + ".pem")
    d = bb.MAC + ".pem"
    bb.write(os.path.join(b.dir, "pass"), "open sesame\n", 0o600)
    bb.write(os.path.join(b.dir, "wrong"), "close sesame\n", 0o600)
    openssl(b, "pkey", "-in", d, "-out", "d.key")
    openssl(b, "pkey", "-in", bb.OTHER_MAC + ".pem", "-out", "other.key")
    openssl(b, "pkey", "-in", d, "-aes256", "-passout", "pass:x", "-out",
            "enc.key")
    openssl(b, "x509", "-in", d, "-out", "d.crt")
    pkcs12 = ["pkcs12", "-export", "-in", d, "-certfile", "ca/root.pem",
              "-passout", "file:pass"]
    forms = {"aes": [], "legacy": ["-legacy"],
             "3des": ["-keypbe", "PBE-SHA1-3DES", "-certpbe",
                      "PBE-SHA1-3DES"]}
    for name, more in forms.items():
        text, code = openssl(b, *pkcs12, *more, "-out", name + ".p12")
        b.ok(code == 0, "openssl makes " + name, text)
    e = b.endpoint(conf={"device.mac": bb.MAC})
    where = ["--state", e.state, "--identity", e.identity, "--conf", e.conf]
    before = state_of(e)
    bad = b.pki.leaf("old-device", bb.MAC, b.pki.device_ca, usage="client",
                     dates=b.pki.EXPIRED)
    for words, word in (
            (["d.crt", "--key", "other.key"], "key.mismatch"),
            (["d.crt", "--key", "enc.key"], "key.encrypted"),
            (["d.crt"], "key.unreadable"), (["pass"], "--password-file"),
            (["aes.p12"], "--password-file"),
            (["aes.p12", "--password-file", "wrong"], "key.encrypted"),
            (["3des.p12", "--password-file", "wrong"], "key.encrypted"),
            (["pass", "--password-file", "pass"], "key.unreadable"),
            ([bad.pem], "cert.expired"),
            ([bb.OTHER_MAC + ".pem"], "another device"),
            ([b.pki.server.pem], "no device certificate")):
        r = cert(b, "import", *words, "--slot", "factory", *where)
        b.ok(r.code == 7 and word in r.out and state_of(e) == before,
             "refused, nothing changed: %s" % word, r)
    dev = os.path.join(e.identity, "device.pem")
    for words in (["aes.p12", "--password-file", "pass"],
                  ["3des.p12", "--password-file", "pass"],
                  ["legacy.p12", "--password-file", "pass"],
                  ["d.crt", "--key", "d.key"], [d]):
        if os.path.exists(dev):
            os.unlink(dev)
        r = cert(b, "import", *words, "--slot", "factory", *where)
        text, _ = openssl(b, "x509", "-in", dev, "-noout", "-subject")
        key = [openssl(b, "pkey", "-in", f, "-pubout")[0]
               for f in (d, dev)]
        b.ok(r.code == 0 and bb.MAC in text and key[0] == key[1] and
             mode(b, dev) == 0o600, "imported: " + words[0], r)
        if words[0].endswith("p12"):
            r = cert(b, "export-ca", "--slot", "factory", *where)
            b.ok(r.json.get("complete") is True,
                 "with its chain up to the root", r)
    cert(b, "show", *where)
    b.ok(os.listdir(e.state) == ["certs"], "the settings were only looked "
         "at: nothing in the state folder is root's", os.listdir(e.state))
    before = state_of(e)
    for more in ([], ["--force"]):
        r = cert(b, "import", d, "--slot", "factory", *more, *where)
        b.ok(r.code == 1 and "console" in r.out and state_of(e) == before,
             "not replaced without a terminal " + " ".join(more), r)
    up, down = os.openpty()
    r = cert(b, "import", "aes.p12", "--password-file", "pass", "--slot",
             "factory", "--force", *where, stdin=down)
    b.ok(r.code == 0 and state_of(e) != before,
         "replaced with --force at a terminal", r)
    os.close(up)
    os.close(down)
    # CAs: all or none.
    r = cert(b, "import", b.pki.root.crt, "d.key", "--slot", "trusted",
             *where)
    b.ok(r.code == 7 and os.listdir(os.path.join(e.state, "certs",
                                                 "trusted")) == [],
         "one file of two is no CA: none is installed", r)
    r = cert(b, "import", d, "--slot", "trusted", *where)
    b.ok(r.code == 1 and "private key" in r.out, "no keys among the CAs", r)
    r = cert(b, "import", b.pki.root.crt, "--slot", "trusted", *where)
    b.ok(r.code == 0, "a CA is installed", r)
    for words in ([d], [d, "--slot", "none"], ["--slot", "factory"]):
        b.ok(cert(b, "import", *words, *where).code == 2,
             "usage: " + " ".join(words))


@test(60)
def a_running_endpoint_takes_what_is_imported(b):
    """The watch of the folders; the owner's slot in each of its forms."""
    openssl(b, "pkcs12", "-export", "-in", b.pki.peer.pem, "-passout",
            "pass:x y", "-out", "peer.p12")
    e = b.endpoint(conf={"device.mac": bb.MAC}).start()
    where = ["--state", e.state, "--identity", e.identity, "--conf", e.conf]

    def slot(name):
        for c in e.status().get("certs") or []:
            if c.get("slot") == name:
                return c
        return {}
    r = cert(b, "import", b.pki.device.pem, "--slot", "factory", *where)
    bb.wait_until(lambda: bb.MAC in slot("factory").get("subject", ""), 10,
                  "the device certificate counts", alive=e.proc)
    b.ok(r.code == 0, "factory, while it runs", r)
    r = cert(b, "import", b.pki.peer.pem, "--slot", "sip-owner", *where)
    bb.wait_until(lambda: "peer.bb.test" in
                  slot("sip-owner").get("subject", ""), 10,
                  "the owner's counts", alive=e.proc)
    b.ok(r.code == 0, "sip-owner, while it runs", r)
    certs = os.path.join(e.state, "certs")
    os.unlink(os.path.join(certs, "sipclient.pem"))
    bb.wait_until(lambda: not slot("sip-owner").get("subject"), 10,
                  "it is gone", alive=e.proc)
    bb.write(os.path.join(certs, "sipclient.pass"), "x y\n", 0o600)
    shutil.copy(os.path.join(b.dir, "peer.p12"),
                os.path.join(certs, "sipclient.p12"))
    bb.wait_until(lambda: "peer.bb.test" in
                  slot("sip-owner").get("subject", ""), 10,
                  "PKCS #12 with its password counts", alive=e.proc)
    b.ok(True, "sipclient.p12 and sipclient.pass")
    bb.write(os.path.join(certs, "sipclient.pass"), "wrong\n", 0o600)
    bb.wait_until(lambda: "key.encrypted" in
                  slot("sip-owner").get("error", ""), 10,
                  "a wrong password is told of", alive=e.proc)
    b.ok("peer.bb.test" in slot("sip-owner").get("subject", ""),
         "what was loaded stays in use", slot("sip-owner"))
    os.unlink(os.path.join(certs, "sipclient.p12"))
    bb.write(os.path.join(certs, "sipclient.key"),
             bb.read(b.pki.device.key), 0o600)
    shutil.copy(b.pki.device.crt, os.path.join(certs, "sipclient.crt"))
    bb.wait_until(lambda: bb.MAC in slot("sip-owner").get("subject", ""), 10,
                  "a pair counts", alive=e.proc)
    b.ok(True, "sipclient.crt and sipclient.key")


@test(60)
def the_identity_outlives_restart_and_reset(b):
    """Row 11: load, restart, `bellbird reset`, a read-only identity folder."""
    e = b.endpoint(conf={"device.mac": bb.MAC}, trusted=[b.pki.root]).start()
    where = ["--state", e.state, "--identity", e.identity, "--conf", e.conf]
    page = subprocess.run([bb.binary(), "status", "--socket", e.socket],
                          capture_output=True, text=True).stdout
    b.ok("device certificate: not installed" in page,
         "status says that there is none", page)
    r = cert(b, "import", b.pki.device.pem, "--slot", "factory", *where)
    b.ok(r.code == 0, "loaded", r)

    def shown():
        for c in e.status().get("certs") or []:
            if c.get("slot") == "factory":
                return c.get("sha256")
        return None
    sha = bb.wait_until(shown, 10, "it counts", alive=e.proc)
    dev = os.path.join(e.identity, "device.pem")
    text = bb.read(dev)
    e.stop()
    e.start()
    b.ok(shown() == sha, "still there after a restart")
    r = e.verb("config", "set", "call.max", "7")
    b.ok(r.code == 0 and os.path.exists(os.path.join(
        e.state, "settings.conf")), "a setting of the owner", r)
    r = cert(b, "import", b.pki.peer.pem, "--slot", "sip-owner", *where)
    mount = subprocess.run(["mount", "--bind", e.identity, e.identity])
    mount = subprocess.run(["mount", "-o", "remount,ro,bind", e.identity])
    b.ok(mount.returncode == 0, "the identity folder is read-only")
    try:
        r = cert(b, "import", b.pki.device.pem, "--slot", "factory", *where)
        r = e.verb("reset")
        b.ok(r.code == 0 and r.json.get("kept") == e.identity, "reset", r)
        b.ok(e.proc.wait_exit(10) == 75, "the endpoint ends with 75",
             e.proc.returncode)
        left = sorted(os.listdir(e.state))
        b.ok(not {"settings.conf", "certs", "prov", "history"} & set(left),
             "settings, uploads and provisioned files are gone", left)
        b.ok(bb.read(dev) == text, "the identity's file is the same")
        e.start()
        b.ok(shown() == sha and e.get("call.max") == "4",
             "started again: same certificate, settings of the factory",
             [shown(), e.get("call.max")])
        # Where one runs, the folder is not emptied under its feet.
        r = bb.Result(subprocess.run(
            [bb.binary(), "reset", "--json"] + where,
            capture_output=True, text=True))
        b.ok(r.code == 1 and "control socket" in r.out and e.status(),
             "not from the side while it runs", r)
        e.stop()
        r = bb.Result(subprocess.run(
            [bb.binary(), "reset", "--json"] + where,
            capture_output=True, text=True))
        b.ok(r.code == 0 and bb.read(dev) == text and not os.path.exists(
            os.path.join(e.state, "certs")),
            "from the files where none runs", r)
        e.start()
        b.ok(shown() == sha, "and still the same certificate")
        e.stop()
    finally:
        subprocess.run(["umount", e.identity])
    # An identity inside what goes would be lost: refused.
    inside = os.path.join(e.state, "certs", "id")
    os.makedirs(inside, exist_ok=True)
    r = bb.Result(subprocess.run(
        [bb.binary(), "reset", "--json", "--state", e.state, "--identity",
         inside], capture_output=True, text=True))
    b.ok(r.code == 1 and os.path.isdir(inside),
         "an identity folder inside certs/ is not removed", r)


@test(60)
def the_drop_folder_is_taken_once(b):
    """First boot: import/ of the state folder."""
    openssl(b, "pkcs12", "-export", "-in", b.pki.device.pem, "-passout",
            "pass:sesame", "-out", "d.p12")
    p12 = open(os.path.join(b.dir, "d.p12"), "rb").read()
    pem = bb.read(b.pki.device.pem)
    other = bb.read(b.pki.peer.pem)
    for i, (files, word) in enumerate((
            ({"device.pem": pem}, None),
            ({"device.p12": p12, "device.pass": "sesame\n"}, None),
            ({"device.p12": p12}, "device.pass"),
            ({"device.p12": p12, "device.pass": "x"}, "key.encrypted"),
            ({"device.pem": pem, "device.p12": p12,
              "device.pass": "sesame"}, "nothing else"),
            ({"device.pem": pem, "more": "x"}, "nothing else"),
            ({"device.pem": other}, "no device certificate"),
            ({"device.pem": "x"}, "not taken"))):
        e = b.endpoint("drop%d" % i, conf={"device.mac": bb.MAC})
        d = os.path.join(e.state, "import")
        os.makedirs(d)
        for name, data in files.items():
            bb.write(os.path.join(d, name), data, 0o600)
        e.start()
        st = e.status()
        has = [c for c in st.get("certs") or []
               if c.get("slot") == "factory" and c.get("installed")]
        told = [w for w in st.get("warnings") or [] if "import/" in w]
        if word is None:
            b.ok(has and not told and os.listdir(d) == [] and
                 mode(b, os.path.join(e.identity, "device.pem")) == 0o600,
                 "taken, and removed: " + ", ".join(files), st)
        else:
            b.ok(not has and told and word in told[0] and
                 sorted(os.listdir(d)) == sorted(files) and
                 os.listdir(e.identity) == [], "not taken: " + word, told)
        e.stop()
        if i == 0:
            bb.write(os.path.join(d, "device.pem"), pem, 0o600)
            e.start()
            told = [w for w in e.status().get("warnings") or []
                    if "import/" in w]
            b.ok(told and "already" in told[0] and os.listdir(d),
                 "not a second time", told)
            e.stop()
