# SPDX-License-Identifier: ISC
"""What is offered and taken is what the policy says, to the letter: sslscan,
testssl.sh and `openssl s_client` against the listener, `openssl s_server` of
each version, cipher and group against the client.  BELLBIRD_LONG=1 runs
testssl.sh on every profile, with its lists of ciphers."""
import concurrent.futures
import json
import os
import subprocess
import xml.etree.ElementTree as ET

import bb
import servers

LONG = os.environ.get("BELLBIRD_LONG") == "1"
AT_ONCE = 6
VERSIONS = ("1.0", "1.1", "1.2", "1.3")
FLAG = {"1.0": "-tls1", "1.1": "-tls1_1", "1.2": "-tls1_2", "1.3": "-tls1_3"}
SUITES_13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
             "TLS_CHACHA20_POLY1305_SHA256"}
AEAD = {"ECDHE-%s-%s" % (k, c) for k in ("ECDSA", "RSA") for c in
        ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")}
CBC = {"ECDHE-%s-%s" % (k, c) for k in ("ECDSA", "RSA") for c in
       ("AES128-SHA", "AES256-SHA")} | {"AES128-SHA", "AES256-SHA"}
CIPHERS = {"modern": AEAD, "intermediate": AEAD,
           "legacy": AEAD | CBC | {"AES128-GCM-SHA256", "AES256-GCM-SHA384"}}
GROUPS = {"modern": {"x25519", "secp256r1"},
          "intermediate": {"x25519", "secp256r1", "secp384r1"},
          "legacy": {"x25519", "secp256r1", "secp384r1"}}
PROFILES = ("modern", "intermediate", "legacy")

# force, min, max, profile: the versions that are spoken, or None: refused as
# a contradiction of the settings.
RANGES = [
    ("1", "1.2", "1.3", "intermediate", ("1.2", "1.3")),
    ("1", "1.2", "1.3", "modern", ("1.2", "1.3")),
    ("1", "1.2", "1.3", "legacy", ("1.2", "1.3")),
    ("1", "1.0", "1.3", "intermediate", ("1.2", "1.3")),
    ("1", "1.0", "1.2", "legacy", ("1.2",)),
    ("1", "1.2", "1.2", "intermediate", ("1.2",)),
    ("1", "1.3", "1.3", "intermediate", ("1.3",)),
    ("1", "1.2", "1.1", "legacy", None),
    ("1", "1.3", "1.2", "intermediate", None),
    ("0", "1.0", "1.3", "legacy", VERSIONS),
    ("0", "1.1", "1.2", "legacy", ("1.1", "1.2")),
    ("0", "1.0", "1.0", "legacy", ("1.0",)),
    ("0", "1.2", "1.3", "intermediate", ("1.2", "1.3")),
    ("0", "1.0", "1.3", "intermediate", None),
    ("0", "1.1", "1.3", "modern", None),
]


def settings(use, force, low, high, profile):
    p = use + ".tls."
    return {p + "force": force, p + "min": low, p + "max": high,
            p + "profile": profile}


def rsa_cert(pki):
    # RSA key exchange needs nothing of a key usage: OpenSSL ignores it too.
    return pki.leaf("rsa-server", "localhost", pki.inter,
                    ["DNS:localhost", "URI:sip:localhost", "IP:127.0.0.1"],
                    key="RSA-2048")


def allowed(profile, version, key):
    """The names, as openssl has them, that a server with such a key takes."""
    if version == "1.3":
        return SUITES_13
    names = CIPHERS[profile] if version == "1.2" \
        else CIPHERS[profile] & CBC
    return {c for c in names if ("ECDSA" in c) == (key == "ec")}


def at_once(t, jobs):
    """Runs [(function, arguments)..]; each returns its checks."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for run in [pool.submit(fn, *args) for fn, *args in jobs]:
            for check in run.result():
                t.ok(*check)


# ---- the listener -----------------------------------------------------------

def listener(t, name, cert, *how):
    conf = settings("sip", *how)
    conf["sip.listen.tls"] = "127.0.0.1:0"
    e = t.endpoint(name, conf=conf, server_cert=cert, trusted=[t.pki.root])
    e.start()
    return e, e.port("tls")


def sslscan(port):
    p = subprocess.run(["sslscan", "--no-colour", "--xml=-",
                        "127.0.0.1:%d" % port], capture_output=True, text=True,
                       timeout=60)
    return ET.fromstring(p.stdout).find("ssltest")


def scan(t, number, key, cert, how, spoken):
    """One listener: the sets that sslscan finds."""
    label = "%s, force %s, %s to %s, %s" % (key, how[0], how[1], how[2], how[3])
    e, port = listener(t, "scan%d" % number, cert, *how)
    x = sslscan(port)
    raw = ET.tostring(x, "unicode")
    profile = how[3]
    versions = {p.get("version") for p in x.findall("protocol")
                if p.get("enabled") == "1"}
    out = [(versions == set(spoken), "%s: speaks %s, no SSL" % (
        label, " ".join(spoken)), raw)]
    for v in spoken:
        found = {c.get("cipher") for c in x.findall("cipher")
                 if c.get("sslversion") == "TLSv" + v}
        want = allowed(profile, v, key)
        out.append((found == want, "%s: TLS %s: its %d ciphers" % (
            label, v, len(want)), "%s, not %s" % (sorted(found), sorted(want))))
    for v in set(spoken) & {"1.2", "1.3"}:
        found = {g.get("name").split()[0] for g in x.findall("group")
                 if g.get("sslversion") == "TLSv" + v}
        out.append((found == GROUPS[profile], "%s: TLS %s: its groups" % (
            label, v), sorted(found)))
    comp = x.find("compression")
    out.append((comp is None or comp.get("supported") == "0",
                "%s: no compression" % label, raw))
    out.append((all(h.get("vulnerable") == "0" for h in x.findall("heartbleed")),
                "%s: no heartbeat" % label, raw))
    if {"1.2", "1.3"} & set(spoken):
        shown = x.find("certificates/certificate/issuer")
        out.append((shown is not None and "Intermediate" in (shown.text or ""),
                    "%s: the slot server is shown" % label, raw))
    e.stop()
    return out


@bb.test(90)
def the_listener_offers_what_the_policy_says(t):
    bb.need("sslscan")
    certs = {"ec": t.pki.server, "rsa": rsa_cert(t.pki)}
    rows = [(key, certs[key], r[:4], r[4]) for r in RANGES for key in certs
            if r[4] and (key == "ec" or r[3] == "legacy" or r[1] == "1.2")]
    at_once(t, [(scan, t, i) + row for i, row in enumerate(rows)])


def s_client(port, *words, stdin="", env=None):
    p = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d"
                        % port] + list(words), input=stdin, text=True,
                       errors="replace", timeout=20, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    return p.stdout


@bb.test(60)
def the_listener_has_no_weak_habits(t):
    """Renegotiation, early data, compression, fallback; tickets and their
    resumption."""
    e, port = listener(t, "habits", t.pki.server, "0", "1.0", "1.3", "legacy")
    s = s_client(port, "-tls1_2", stdin="R\n")
    t.ok("RENEGOTIATING" in s and ("no renegotiation" in s.lower()
                                   or "alert" in s.lower()
                                   or "unexpected eof" in s.lower()),
         "renegotiation by the client is refused", s[-800:])
    t.ok("Secure Renegotiation IS supported" in s, "RFC 5746 is answered", s)
    t.ok("Compression: NONE" in s, "no compression", s)
    s = s_client(port, "-tls1_1", "-fallback_scsv", "-cipher",
                 "ALL:@SECLEVEL=0")
    t.ok("inappropriate fallback" in s.lower(),
         "a fallback that was not needed is refused", s[-800:])
    for flag in ("-tls1_2", "-tls1_3"):
        kept = os.path.join(t.dir, "session" + flag)
        # The tickets of TLS 1.3 leave with the first answer: a ping gets one.
        p = subprocess.Popen(["openssl", "s_client", "-connect",
                              "127.0.0.1:%d" % port, flag, "-sess_out", kept],
                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        try:
            p.stdin.write(b"\r\n\r\n")
            p.stdin.flush()
            bb.wait_until(lambda: os.path.exists(kept)
                          and os.path.getsize(kept) > 0, 5, "a ticket " + flag)
        finally:
            p.stdin.close()
            p.wait(5)
        s = s_client(port, flag, "-sess_in", kept)
        t.ok("Reused, TLSv1" in s, "%s: the ticket resumes" % flag, s[-800:])
        data = bb.write(os.path.join(t.dir, "early"), "OPTIONS\r\n")
        if flag == "-tls1_3":
            s = s_client(port, flag, "-sess_in", kept, "-early_data", data)
            t.ok("Reused, TLSv1.3" in s and "Early data was not sent" in s,
                 "the ticket allows no early data", s[-800:])
    t.ok(e.proc.poll() is None, "the endpoint lives on")


def testssl(t, port, *words):
    out = os.path.join(t.dir, "testssl-%d.json" % port)
    subprocess.run(["testssl", "--ip", "127.0.0.1", "--warnings", "off",
                    "--color", "0", "--quiet", "--jsonfile", out]
                   + list(words) + ["127.0.0.1:%d" % port],
                   capture_output=True, text=True, timeout=900 if LONG else 85,
                   stdin=subprocess.DEVNULL)
    with open(out) as f:
        return {x["id"]: x["finding"] for x in json.load(f)}


def testssl_row(t, profile, words):
    e, port = listener(t, "testssl-" + profile, t.pki.server, "1", "1.2",
                       "1.3", profile)
    f = testssl(t, port, *words)
    want = {"SSLv2": "not offered", "SSLv3": "not offered",
            "TLS1": "not offered", "TLS1_1": "not offered",
            "TLS1_2": "offered", "secure_renego": "supported",
            "secure_client_renego": "not vulnerable"}
    out = [(f.get(k) == v, "testssl.sh, %s: %s %s" % (profile, k, v),
            f.get(k)) for k, v in want.items()]
    out.append(((f.get("TLS1_3") or "").startswith("offered"),
                "testssl.sh, %s: TLS 1.3" % profile, f.get("TLS1_3")))
    if LONG:
        for v, prefix in (("1.2", "cipher-tls1_2_"), ("1.3", "cipher-tls1_3_")):
            # "TLS 1.2   xc02c   ECDHE-ECDSA-AES256-GCM-SHA384 .."
            found = {x.split()[3] for k, x in f.items()
                     if k.startswith(prefix)}
            out.append((found == allowed(profile, v, "ec"), "testssl.sh, %s: "
                        "ciphers of TLS %s" % (profile, v), sorted(found)))
    e.stop()
    return out


@bb.test(1800 if LONG else 90)
def testssl_finds_nothing(t):
    bb.need("testssl")
    words = ["-p", "-R"] + (["-C", "-Z", "-P", "-E"] if LONG else [])
    at_once(t, [(testssl_row, t, p, words)
                for p in (PROFILES if LONG else ("intermediate",))])


# ---- the client --------------------------------------------------------------

def look(t, name, port, *how):
    """What doctor says of the server: (class, version, cipher, result)."""
    e = t.endpoint(name, conf=settings("prov", *how), trusted=[t.pki.root])
    r = servers.doctor(e, "localhost:%d" % port, "--as", "prov")
    v = r.json.get("verdict") or {}
    return r.json.get("class"), v.get("version"), v.get("cipher"), r


def takes(t, name, port, label, good, cls, version, how):
    got, v, _, r = look(t, name, port, *how)
    if good:
        return (r.code == 0 and got == "" and v == "TLS " + version,
                "%s: taken" % label, r)
    return r.code == 7 and got == cls, "%s: %s" % (label, cls), r


def both_certs(t, rsa, *words):
    """A server with an EC and an RSA certificate; of each version."""
    return servers.s_server(t, t.pki.server, "-www", "-dcert", rsa.crt,
                            "-dkey", rsa.key, "-dcert_chain", rsa.chain, *words)


def version_row(t, rsa, version):
    port = both_certs(t, rsa, FLAG[version], "-cipher", "ALL:@SECLEVEL=0")
    out = []
    for i, (force, low, high, profile, spoken) in enumerate(RANGES):
        how = (force, low, high, profile)
        label = "server of TLS %s, force %s, %s to %s, %s" % ((version,) + how)
        name = "v%s-%d" % (version, i)
        if spoken is None:
            _, _, _, r = look(t, name, port, *how)
            out.append((r.code == 9, label + ": a contradiction, exit 9", r))
        else:
            # An old server picks its version first and then finds no cipher
            # for it, where a client of at most 1.2 has those of 1.2 alone.
            cls = "hs.no_common" if version < "1.2" and high == "1.2" \
                and not CIPHERS[profile] & CBC else "hs.version"
            out.append(takes(t, name, port, label, version in spoken, cls,
                             version, how))
    return out


def cipher_row(t, rsa, version, cipher):
    words = ["-ciphersuites", cipher] if version == "1.3" \
        else ["-cipher", cipher + ":@SECLEVEL=0"]
    try:
        port = both_certs(t, rsa, FLAG[version], *words)
    except bb.Failure as x:
        return [(False, "s_server " + cipher, x)]
    out = []
    for profile in PROFILES if version in ("1.2", "1.3") else ("legacy",):
        how = ("0", "1.0", "1.3", profile) if profile == "legacy" \
            else ("1", "1.2", "1.3", profile)
        good = cipher in (SUITES_13 if version == "1.3" else
                          CIPHERS[profile] if version == "1.2" else CBC)
        out.append(takes(t, "c-%s-%s-%s" % (version, cipher, profile), port,
                         "%s in TLS %s, %s" % (cipher, version, profile), good,
                         "hs.no_common", version, how))
    return out


def group_row(t, rsa, version, group):
    names = {"X25519": "x25519", "P-256": "secp256r1", "P-384": "secp384r1"}
    # A single cipher keeps the server from doing without a group.
    words = ["-cipher", "ECDHE+AESGCM:@SECLEVEL=0"] if version == "1.2" else []
    port = both_certs(t, rsa, FLAG[version], "-groups", group, *words)
    return [takes(t, "g-%s-%s-%s" % (version, group, profile), port,
                  "group %s in TLS %s, %s" % (group, version, profile),
                  names.get(group) in GROUPS[profile], "hs.no_common", version,
                  ("1", "1.2", "1.3", profile)) for profile in PROFILES]


def all_ciphers():
    """What this openssl has for TLS 1.2 and a key of ours; PSK and SRP need
    more than a certificate."""
    p = subprocess.run(["openssl", "ciphers", "-s", "-tls1_2",
                        "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
                       capture_output=True, text=True, check=True)
    return [c for c in p.stdout.strip().split(":")
            if "PSK" not in c and "SRP" not in c and "DSS" not in c
            and not c.startswith("TLS_")]


@bb.test(90)
def the_client_takes_each_version_or_not(t):
    rsa = rsa_cert(t.pki)
    at_once(t, [(version_row, t, rsa, v) for v in VERSIONS])


@bb.test(90)
def the_client_takes_each_cipher_or_not(t):
    rsa = rsa_cert(t.pki)
    names = all_ciphers()
    t.ok(len(names) > 30 and CIPHERS["legacy"] <= set(names)
         and any("NULL" in c for c in names)
         and any(c.startswith("DHE-") for c in names)
         and any(c.startswith("ADH") or c.startswith("AECDH") for c in names),
         "openssl has %d ciphers to try, weak ones too" % len(names), names)
    jobs = [(cipher_row, t, rsa, "1.2", c) for c in names]
    jobs += [(cipher_row, t, rsa, v, c) for v in ("1.0", "1.1")
             for c in sorted(CBC) + ["DHE-RSA-AES128-SHA", "NULL-SHA"]]
    jobs += [(cipher_row, t, rsa, "1.3", c) for c in sorted(SUITES_13) + [
        "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]]
    at_once(t, jobs)


@bb.test(60)
def the_client_takes_each_group_or_not(t):
    rsa = rsa_cert(t.pki)
    at_once(t, [(group_row, t, rsa, v, g) for v in ("1.2", "1.3") for g in
                ("X25519", "P-256", "P-384", "P-521", "X448")]
            + [(group_row, t, rsa, "1.3", "ffdhe2048")])
