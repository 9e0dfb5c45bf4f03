# SPDX-License-Identifier: ISC
"""The verbs `cert ..`, judged by openssl and by real servers."""
import os
import stat
import subprocess

import bb
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
