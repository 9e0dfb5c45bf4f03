# SPDX-License-Identifier: ISC
"""bellbird cert verify over generated chains and names.  A row says what it
is, the certificates it is made of, and the class that refuses it ('': none).

Everything is minted by the openssl command into one folder; keys and
certificates that several rows share are made once.
"""
import base64
import concurrent.futures
import json
import os
import re
import subprocess
import threading

import bb

FROM, TO = "20240101000000Z", "20440101000000Z"
OLD = ("20200101000000Z", "20210101000000Z")
NOT_YET = ("20430101000000Z", TO)
AT = "2027-06-01T00:00:00Z"
NAME = "bb.test"
WORKERS = 4

LEAF = {"basicConstraints": "critical,CA:FALSE",
        "keyUsage": "critical,digitalSignature",
        "extendedKeyUsage": "serverAuth"}
CA = {"basicConstraints": "critical,CA:TRUE",
      "keyUsage": "critical,keyCertSign,cRLSign"}


# ---- what a chain is made of ------------------------------------------------

class Spec:
    """A certificate to be made: `by` is its issuer (None: it signs itself);
    `alter` changes the finished DER."""

    def __init__(self, subj, key, by, ext, dates=(FROM, TO), md="sha256",
                 sigopt=(), alter=None):
        self.subj, self.key, self.by, self.ext = subj, key, by, ext
        self.dates, self.md, self.sigopt = dates, md, tuple(sigopt)
        self.alter = alter

    def id(self):
        """Two specs that say the same are one certificate."""
        return (self.subj, self.key, self.by and self.by.id(),
                tuple(sorted(self.ext.items())), self.dates, self.md,
                self.sigopt, self.alter and self.alter.__name__)


def _ext(base, changes):
    """`changes` by short name; None takes an extension away."""
    short = {"bc": "basicConstraints", "ku": "keyUsage",
             "eku": "extendedKeyUsage", "nc": "nameConstraints",
             "san": "subjectAltName", "aia": "authorityInfoAccess",
             "ski": "subjectKeyIdentifier", "aki": "authorityKeyIdentifier",
             "policies": "certificatePolicies"}
    ext = dict(base, subjectKeyIdentifier="hash",
               authorityKeyIdentifier="keyid")
    for k, v in changes.items():
        ext[short.get(k, k)] = v
    return {k: v for k, v in ext.items() if v is not None}


def leaf(by=None, san="DNS:" + NAME, cn="server", key="p256/leaf", ext=None,
         dn=None, dates=(FROM, TO), md="sha256", sigopt=(), alter=None,
         raw=False, **changes):
    """A server certificate; by default it is right in every way."""
    e = {} if raw else _ext(LEAF, dict(changes, san=san))
    e.update(ext or {})
    if dn is None:
        dn = "/O=Bellbird Test" + ("/CN=" + cn if cn else "")
    return Spec(dn, key, by, e, dates, md, sigopt, alter)


def ca(cn, by=None, key=None, ext=None, dates=(FROM, TO), md="sha256",
       sigopt=(), alter=None, raw=False, **changes):
    e = {} if raw else _ext(CA, changes)
    e.update(ext or {})
    return Spec("/O=Bellbird Test/CN=" + cn, key or "p256/" + cn, by, e,
                dates, md, sigopt, alter)


def bad_signature(der):
    return der[:-1] + bytes([der[-1] ^ 1])


def other_name(der):
    """The signed part says something else than what was signed."""
    return der.replace(NAME.encode(), b"zz.test")


def san_twice(der):
    """An extension of an unused number becomes a second subjectAltName."""
    return der.replace(b"\x06\x03\x55\x1d\x63", b"\x06\x03\x55\x1d\x11")


def tlv(der, at=0):
    """Where content begins and ends of the element at `at`."""
    n, head = der[at + 1], 2
    if n & 0x80:
        head += n & 0x7f
        n = int.from_bytes(der[at + 2:at + head], "big")
    return at + head, at + head + n


def sequence(body):
    n = len(body)
    return (bytes([0x30, n]) if n < 128 else
            b"\x30\x82" + n.to_bytes(2, "big")) + body


def signed_again(der, key):
    """The same with a signature (ECDSA, SHA-256) over what it says now."""
    at, _ = tlv(der)
    tbs = der[at:tlv(der, at)[1]]
    alg = der[at + len(tbs):tlv(der, at + len(tbs))[1]]
    sig = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key],
                         input=tbs, capture_output=True, check=True).stdout
    return sequence(tbs + alg + bytes([3, len(sig) + 1, 0]) + sig)


class Mint:
    """Makes keys and certificates on demand, each once."""

    def __init__(self, folder):
        self.dir = folder
        self.locks, self.made = {}, {}
        self.lock = threading.Lock()

    def _once(self, what, make):
        with self.lock:
            lock = self.locks.setdefault(what, threading.Lock())
        with lock:
            if what not in self.made:
                self.made[what] = make(len(self.locks))
            return self.made[what]

    def key(self, name):
        """`kind/label` -> a path without .key and .csr."""
        def make(_):
            kind = name.split("/")[0]
            path = os.path.join(self.dir, "key-" + re.sub(r"\W", "-", name))
            how = {"rsa": ["RSA", "rsa_keygen_bits:" + kind[3:]],
                   "pss": ["RSA-PSS", "rsa_keygen_bits:" + kind[3:]],
                   "p256": ["EC", "ec_paramgen_curve:P-256"],
                   "p384": ["EC", "ec_paramgen_curve:P-384"],
                   "p521": ["EC", "ec_paramgen_curve:P-521"],
                   "p224": ["EC", "ec_paramgen_curve:P-224"],
                   "p192": ["EC", "ec_paramgen_curve:P-192"],
                   "k256": ["EC", "ec_paramgen_curve:secp256k1"],
                   }.get(kind[:3] if kind[:3] in ("rsa", "pss") else kind)
            args = ["genpkey", "-out", path + ".key"]
            if how:
                args += ["-algorithm", how[0], "-pkeyopt", how[1]]
                if how[0] == "EC":
                    args += ["-pkeyopt", "ec_param_enc:named_curve"]
            else:
                args += ["-algorithm", kind.upper()]
            bb.Pki._run(*args)
            conf = bb.write(path + ".cnf",
                            "[req]\ndistinguished_name=dn\n[dn]\n")
            bb.Pki._run("req", "-new", "-config", conf, "-key", path + ".key",
                        "-subj", "/CN=x", "-out", path + ".csr")
            return path
        return self._once(("key", name), make)

    def cert(self, spec):
        """A path of a PEM file."""
        return self._once(spec.id(), lambda n: self._cert(spec, n))

    def _cert(self, spec, number):
        path = os.path.join(self.dir, "cert-%d" % number)
        key = self.key(spec.key)
        ext = "".join("%s=%s\n" % kv for kv in spec.ext.items())
        index = bb.write(path + ".index", "")
        conf = bb.write(
            path + ".cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=%s\n"
            "new_certs_dir=%s\npolicy=p\nunique_subject=no\n"
            "rand_serial=yes\nemail_in_dn=no\n[p]\ncommonName=optional\n"
            "organizationName=optional\n[dirs]\nO=Bellbird Test\n[elsewhere]\n"
            "O=Somebody Else\n[ext]\n%s" % (index, self.dir, ext))
        args = ["ca", "-batch", "-notext", "-preserveDN", "-utf8", "-config",
                conf, "-in", key + ".csr", "-subj", spec.subj, "-out",
                path + ".pem", "-startdate", spec.dates[0], "-enddate",
                spec.dates[1], "-md", spec.md]
        for o in spec.sigopt:
            args += ["-sigopt", o]
        if ext:  # none: a certificate of version 1
            args += ["-extensions", "ext"]
        if spec.by is None:
            args += ["-selfsign", "-keyfile", key + ".key"]
        else:
            args += ["-cert", self.cert(spec.by), "-keyfile",
                     self.key(spec.by.key) + ".key"]
        bb.Pki._run(*args)
        if spec.alter:
            body = re.search("-----\n(.*)\n-----", bb.read(path + ".pem"),
                             re.S)[1]
            der = spec.alter(base64.b64decode(body))
            if spec.alter is san_twice:
                der = signed_again(der, self.key(spec.by.key) + ".key")
            body = base64.encodebytes(der).decode()
            bb.write(path + ".pem", "-----BEGIN CERTIFICATE-----\n%s"
                     "-----END CERTIFICATE-----\n" % body)
        return path + ".pem"

    def bundle(self, name, specs):
        return bb.write(os.path.join(self.dir, name), "".join(
            bb.read(self.cert(s)) for s in specs))


class Row:
    def __init__(self, want, what, chain, trust, inter=(), name=NAME,
                 use="sip", at=AT, set=()):
        self.want, self.what = want, what
        self.chain, self.trust, self.inter = chain, trust, inter
        self.name, self.use, self.at = name, use, at
        self.set = [set] if isinstance(set, str) else list(set)


def judge(mint, row, number):
    """Runs cert verify over one row; its result."""
    base = "row-%d-" % number
    argv = [bb.binary(), "cert", "verify", "--use", row.use, "--name",
            row.name, "--trust", mint.bundle(base + "trust.pem", row.trust)]
    if row.inter:
        argv += ["--inter", mint.bundle(base + "inter.pem", row.inter)]
    if row.at:
        argv += ["--at", row.at]
    for o in row.set:
        argv += ["-o", o]
    argv += ["--json", mint.bundle(base + "chain.pem", row.chain)]
    r = bb.Result(subprocess.run(argv, capture_output=True, text=True,
                                 timeout=30))
    r.argv = argv
    return r


def rows_hold(t, rows):
    """Every row gets its verdict: exit code, `ok` and class."""
    mint = Mint(t.dir)

    def one(k):
        try:
            return judge(mint, rows[k], k)
        except bb.Failure as e:
            return e
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(one, range(len(rows))))
    for row, r in zip(rows, results):
        good = not isinstance(r, bb.Failure)
        if good:
            good = r.code == (7 if row.want else 0) \
                and r.json.get("ok") is (not row.want) \
                and r.json.get("class", "") == row.want
        t.ok(good, "%s: %s" % (row.what, row.want or "accepted"), r)
    return results


# ---- the chains -------------------------------------------------------------

ROOT = ca("Root")
INTER = ca("Inter", ROOT)
OTHER = ca("Other Root")
GOOD = leaf(INTER)
DIRECT = leaf(ROOT)
AIA = "caIssuers;URI:http://ca.bb.test/inter.cer"
UNKNOWN = "1.3.6.1.4.1.99999.1"


def deep(n):
    """A leaf below `n` intermediates, as a server sends it."""
    at, chain = ROOT, []
    for i in range(n):
        at = ca("Deep %d" % i, at)
        chain.insert(0, at)
    return [leaf(at)] + chain


def paths():
    second = ca("Second", INTER)
    low = leaf(second)
    aia = leaf(INTER, aia=AIA)
    return [
        Row("", "leaf and intermediate", [GOOD, INTER], [ROOT]),
        Row("", "leaf of the root itself", [DIRECT], [ROOT]),
        Row("", "root sent too", [GOOD, INTER, ROOT], [ROOT]),
        Row("", "several anchors", [GOOD, INTER], [OTHER, ROOT]),
        Row("cert.untrusted_root", "complete with a root nobody trusts",
            [GOOD, INTER, ROOT], [OTHER]),
        Row("cert.unknown_root", "complete but for a root nobody trusts",
            [GOOD, INTER], [OTHER]),
        Row("cert.unknown_root", "intermediate missing", [GOOD], [ROOT]),
        Row("cert.missing_intermediate", "intermediate missing, AIA names it",
            [aia], [ROOT]),
        Row("", "missing intermediate given", [GOOD], [ROOT], [INTER]),
        Row("", "missing intermediate with AIA given", [aia], [ROOT],
            [INTER]),
        Row("cert.unknown_root", "given intermediates are no anchors",
            [GOOD], [OTHER], [INTER]),
        Row("", "intermediate as anchor, not sent", [GOOD], [INTER]),
        Row("", "intermediate as anchor, sent", [GOOD, INTER], [INTER]),
        Row("", "intermediate as anchor, its root sent",
            [GOOD, INTER, ROOT], [INTER]),
        Row("", "leaf of a CA as anchor", [GOOD], [GOOD]),
        Row("", "leaf of a CA as anchor, chain sent", [GOOD, INTER], [GOOD]),
        Row("", "two intermediates", [low, second, INTER], [ROOT]),
        Row("", "two intermediates in wrong order", [low, INTER, second],
            [ROOT]),
        Row("", "root before the intermediate", [GOOD, ROOT, INTER], [ROOT]),
        Row("cert.unknown_root", "the upper intermediate is missing",
            [low, second], [ROOT]),
        Row("cert.unknown_root", "the lower intermediate is missing",
            [low, INTER], [ROOT]),
        Row("cert.eku", "intermediate before the leaf", [INTER, GOOD],
            [ROOT]),
        Row("cert.eku", "root before the leaf", [ROOT, INTER, GOOD], [ROOT]),
        Row("", "every certificate twice", [GOOD, GOOD, INTER, INTER],
            [ROOT]),
        Row("", "sixteen certificates", [GOOD] + 15 * [INTER], [ROOT]),
        Row("cert.malformed", "seventeen certificates",
            [GOOD] + 16 * [INTER], [ROOT]),
        Row("", "an unrelated certificate between", [GOOD, OTHER, INTER],
            [ROOT]),
        Row("", "an unrelated certificate behind", [GOOD, INTER, OTHER],
            [ROOT]),
        Row("cert.unknown_root", "nothing but an unrelated one",
            [GOOD, ca("Elsewhere", OTHER)], [ROOT]),
        Row("", "seven intermediates", deep(7), [ROOT]),
        Row("", "twelve intermediates", deep(12), [ROOT]),
    ]


def uploads():
    """Self-signed certificates, with and without an upload."""
    own = leaf()
    old = leaf(dates=OLD)
    return [
        Row("cert.self_signed", "self-signed", [own], [ROOT]),
        Row("", "self-signed and uploaded", [own], [own]),
        Row("", "self-signed and uploaded, among others", [own],
            [ROOT, own, OTHER]),
        Row("", "self-signed CA as server, uploaded",
            [leaf(bc="critical,CA:TRUE", ku=None)],
            [leaf(bc="critical,CA:TRUE", ku=None)]),
        Row("cert.expired", "self-signed, uploaded, expired", [old], [old]),
        Row("cert.name_mismatch", "self-signed, uploaded, other name", [own],
            [own], name="other.test"),
        Row("cert.eku", "self-signed, uploaded, for clients",
            [leaf(eku="clientAuth")], [leaf(eku="clientAuth")]),
        Row("cert.self_signed", "another of the same name is uploaded",
            [own], [leaf(key="p256/leaf2")]),
        Row("cert.self_signed", "the same without key identifiers",
            [leaf(ski=None, aki=None)],
            [leaf(key="p256/leaf2", ski=None, aki=None)]),
        Row("", "self-signed with SHA-1, uploaded", [leaf(md="sha1")],
            [leaf(md="sha1")]),
        Row("cert.weak_key", "self-signed with RSA 1024, uploaded",
            [leaf(key="rsa1024/leaf")], [leaf(key="rsa1024/leaf")]),
        Row("cert.invalid", "an uploaded leaf certifies another",
            [leaf(own, key="p256/leaf2", cn="below")], [own]),
    ]


def twins():
    """Cross-signed certificates and others of the same name."""
    a, b = ROOT, OTHER
    xa, xb = ca("X", a), ca("X", b)
    xa_old = ca("X", a, dates=OLD)
    end = leaf(xa, cn="crossed")
    dst = ca("Old Root", dates=("20100101000000Z", "20210930000000Z"))
    isrg = ca("New Root")
    isrg_x = ca("New Root", dst)
    isrg_x_old = ca("New Root", dst, dates=OLD)
    r3 = ca("R3", isrg)
    le = leaf(r3)
    i1, i2 = ca("Twin", ROOT, "p256/t1"), ca("Twin", ROOT, "p256/t2")
    r1, r2 = ca("Rekeyed", key="p256/r1"), ca("Rekeyed", key="p256/r2")
    s_old, s_new = ca("Renewed", dates=OLD), ca("Renewed")
    rows = []
    for what, trust in (("first", [a]), ("second", [b]), ("both", [a, b])):
        for order in ([xa, xb], [xb, xa]):
            rows.append(Row("", "cross-signed, %s root trusted, its "
                            "certificate %s" % (what, "first" if order[0] is xa
                                                else "last"),
                            [end] + order, trust))
    return rows + [
        Row("cert.expired", "cross-signed, trusted path expired",
            [end, xa_old, xb], [a]),
        Row("", "cross-signed, expired path untrusted and last",
            [end, xb, xa_old], [b]),
        Row("", "cross-signed, expired path untrusted and first",
            [end, xa_old, xb], [b]),
        Row("", "cross-signed, both trusted, expired path last",
            [end, xb, xa_old], [a, b]),
        Row("", "cross-signed, both trusted, expired path first",
            [end, xa_old, xb], [a, b]),
        Row("", "a cross certificate as anchor", [end], [xb]),
        Row("", "root cross-signed by an expired one, new root trusted",
            [le, r3, isrg_x], [isrg]),
        Row("", "the same, both roots trusted", [le, r3, isrg_x],
            [isrg, dst]),
        Row("cert.expired", "the same, only the expired root trusted",
            [le, r3, isrg_x], [dst]),
        Row("", "expired cross certificate, new root trusted",
            [le, r3, isrg_x_old], [isrg]),
        Row("", "two intermediates of one name, right one first",
            [leaf(i1), i1, i2], [ROOT]),
        Row("", "two intermediates of one name, right one last",
            [leaf(i1), i2, i1], [ROOT]),
        Row("", "two intermediates of one name, no key identifiers",
            [leaf(i1, aki=None), i2, i1], [ROOT]),
        Row("", "a root that was rekeyed, both trusted, the old one signed",
            [leaf(r1)], [r1, r2]),
        Row("", "the same, the new one signed", [leaf(r2)], [r1, r2]),
        Row("", "the same, no key identifiers", [leaf(r2, aki=None)],
            [r1, r2]),
        Row("", "an expired root and its renewal", [leaf(s_new)],
            [s_old, s_new]),
        Row("cert.expired", "an expired root alone", [leaf(s_new)], [s_old]),
    ]


def times():
    def until(y, end):
        return leaf(root60, dates=(FROM, end), cn="until %s" % y)
    root60 = ca("Root 9999", dates=(FROM, "99991231235959Z"))
    edge = leaf(ROOT, dates=("20250301120000Z", "20260301120000Z"))
    y2056 = until(2056, "20560229000000Z")
    y9999 = until(9999, "99991231235959Z")
    y2049 = until(2049, "20491231235959Z")
    y2050 = leaf(root60, dates=("20500101000000Z", "20510101000000Z"))
    y1950 = leaf(ca("Root 1950", dates=("19500101000000Z", TO)),
                 dates=("19500101000000Z", TO))
    inter_old = ca("Inter", ROOT, dates=OLD)
    inter_new = ca("Inter", ROOT, dates=NOT_YET)
    early, late = ca("Root", dates=OLD), ca("Root", dates=NOT_YET)
    return [
        Row("cert.expired", "expired leaf", [leaf(ROOT, dates=OLD)], [ROOT]),
        Row("cert.expired", "expired leaf, by the clock",
            [leaf(ROOT, dates=OLD)], [ROOT], at=None),
        Row("cert.not_yet_valid", "leaf not yet valid",
            [leaf(ROOT, dates=NOT_YET)], [ROOT]),
        Row("cert.not_yet_valid", "leaf not yet valid, by the clock",
            [leaf(ROOT, dates=NOT_YET)], [ROOT], at=None),
        Row("", "good by the clock", [GOOD, INTER], [ROOT], at=None),
        Row("cert.expired", "expired intermediate", [GOOD, inter_old],
            [ROOT]),
        Row("cert.not_yet_valid", "intermediate not yet valid",
            [GOOD, inter_new], [ROOT]),
        Row("", "an expired intermediate and its renewal",
            [GOOD, INTER, inter_old], [ROOT]),
        Row("", "the same, the expired one first", [GOOD, inter_old, INTER],
            [ROOT]),
        Row("cert.expired", "expired root", [GOOD, INTER], [early]),
        Row("cert.not_yet_valid", "root not yet valid", [GOOD, INTER],
            [late]),
        Row("cert.expired", "expired intermediate as anchor", [GOOD],
            [inter_old]),
        Row("cert.expired", "leaf outlives its issuer",
            [leaf(ROOT, dates=(FROM, "20990101000000Z"))], [ROOT],
            at="2044-06-01T00:00:00Z"),
        Row("", "in its first second", [edge], [ROOT],
            at="2025-03-01T12:00:00Z"),
        Row("cert.not_yet_valid", "a second too early", [edge], [ROOT],
            at="2025-03-01T11:59:59Z"),
        Row("", "in its last second", [edge], [ROOT],
            at="2026-03-01T12:00:00Z"),
        Row("cert.expired", "a second too late", [edge], [ROOT],
            at="2026-03-01T12:00:01Z"),
        Row("", "the last second, time with a zone", [edge], [ROOT],
            at="2026-03-01T13:00:00+01:00"),
        Row("", "the second after 2038-01-19T03:14:07", [y2056], [root60],
            at="2038-01-19T03:14:08Z"),
        Row("", "ends in 2056, looked at now", [y2056], [root60]),
        Row("", "ends in 2056, looked at that morning", [y2056], [root60],
            at="2056-02-28T23:59:59Z"),
        Row("cert.expired", "ends in 2056, looked at the day after", [y2056],
            [root60], at="2056-02-29T00:00:01Z"),
        Row("", "ends in 9999, looked at now", [y9999], [root60]),
        Row("", "ends in 9999, looked at in its last second", [y9999],
            [root60], at="9999-12-31T23:59:59Z"),
        Row("", "the last UTCTime", [y2049], [root60],
            at="2049-12-31T23:59:59Z"),
        Row("cert.expired", "the first second after the last UTCTime",
            [y2049], [root60], at="2050-01-01T00:00:00Z"),
        Row("cert.not_yet_valid", "from 2050 on, looked at now", [y2050],
            [root60]),
        Row("", "from 2050 on, looked at in 2050", [y2050], [root60],
            at="2050-01-01T00:00:00Z"),
        Row("", "from 1950 on", [y1950], [y1950.by]
            if y1950.by else [y1950]),
    ]


def purposes():
    def one(want, what, eku, **kw):
        return Row(want, "EKU " + what, [leaf(ROOT, eku=eku)], [ROOT], **kw)

    def above(want, what, eku):
        i = ca("Inter", ROOT, eku=eku)
        return Row(want, "intermediate's EKU " + what, [leaf(i), i], [ROOT])
    client_root = ca("Root", eku="clientAuth")
    return [
        one("", "serverAuth", "serverAuth"),
        one("", "serverAuth, critical", "critical,serverAuth"),
        one("", "serverAuth and clientAuth", "serverAuth,clientAuth"),
        one("", "any", "anyExtendedKeyUsage"),
        one("cert.eku", "clientAuth", "clientAuth"),
        one("cert.eku", "codeSigning", "codeSigning"),
        one("cert.eku", "of somebody", UNKNOWN),
        one("cert.eku", "absent", None),
        one("", "absent, no-eku allowed", None, set="sip.tls.allow=no-eku"),
        one("cert.eku", "clientAuth, no-eku allowed", "clientAuth",
            set="sip.tls.allow=no-eku"),
        one("cert.eku", "absent, HTTPS", None, use="prov"),
        one("", "absent, HTTPS, no-eku allowed", None, use="prov",
            set="prov.tls.allow=no-eku"),
        one("cert.eku", "absent, allowed for another use", None, use="prov",
            set="sip.tls.allow=no-eku"),
        above("", "serverAuth", "serverAuth"),
        above("", "any", "anyExtendedKeyUsage"),
        above("cert.eku", "clientAuth", "clientAuth"),
        Row("", "anchor's EKU clientAuth", [leaf(client_root)],
            [client_root]),
    ]


def authorities():
    """Who may certify: basicConstraints, keyUsage, path length."""
    def below(want, what, root=ROOT, **changes):
        i = ca("Inter", root, **changes)
        return Row(want, what, [leaf(i), i], [root])
    plen0 = ca("Root", bc="critical,CA:TRUE,pathlen:0")
    plen1 = ca("Root", bc="critical,CA:TRUE,pathlen:1")
    low0 = ca("Inter", ROOT, bc="critical,CA:TRUE,pathlen:0")
    under = ca("Under", low0)
    rolled = ca("Root", plen0, key="p256/rolled")
    v1_root, nobc = ca("V1 Root", raw=True), ca("Root", bc=None)
    v1_inter = ca("V1 Inter", ROOT, raw=True)
    return [
        below("cert.invalid", "intermediate without basicConstraints",
              bc=None),
        below("cert.invalid", "the same, without keyUsage too", bc=None,
              ku=None),
        below("cert.invalid", "intermediate with CA:FALSE",
              bc="critical,CA:FALSE"),
        below("cert.invalid", "the same, not critical", bc="CA:FALSE"),
        below("", "basicConstraints not critical", bc="CA:TRUE"),
        below("", "intermediate without keyUsage", ku=None),
        Row("cert.invalid", "a server's certificate certifies another",
            [leaf(DIRECT, key="p256/leaf2", cn="below"), DIRECT], [ROOT]),
        Row("cert.invalid", "the same, under one name for both",
            [leaf(DIRECT, key="p256/leaf2"), DIRECT], [ROOT]),
        Row("cert.invalid", "intermediate of version 1",
            [leaf(v1_inter, aki=None), v1_inter], [ROOT]),
        Row("", "root of version 1", [leaf(v1_root, aki=None)], [v1_root]),
        # RFC 5280 6.1: an anchor is a name and a key, and somebody chose it.
        Row("", "uploaded root without basicConstraints", [leaf(nobc)],
            [nobc]),
        Row("", "leaf without basicConstraints", [leaf(ROOT, bc=None)],
            [ROOT]),
        Row("", "leaf that is a CA", [leaf(ROOT, bc="CA:TRUE", ku=None)],
            [ROOT]),
        Row("", "path length 0, leaf of the root", [leaf(plen0)], [plen0]),
        below("cert.invalid", "path length 0 and an intermediate", plen0),
        below("", "path length 1 and an intermediate", plen1),
        Row("", "path length 0 in the intermediate", [leaf(low0), low0],
            [ROOT]),
        Row("cert.invalid", "path length 0 and one more intermediate",
            [leaf(under), under, low0], [ROOT]),
        Row("", "path length 0 and the root's own new key",
            [leaf(rolled), rolled], [plen0]),
        below("cert.invalid", "intermediate that may not certify "
              "(keyUsage)", ku="critical,digitalSignature"),
    ]


def constraints():
    def row(want, what, nc, san="DNS:" + NAME, name=NAME, **kw):
        i = ca("Inter", ROOT, nc=nc)
        return Row(want, "name constraints: " + what,
                   [leaf(i, san=san), i], [ROOT], name=name, **kw)
    nc_root = ca("Root", nc="critical,permitted;DNS:other.test")
    return [
        row("", "permitted", "critical,permitted;DNS:" + NAME),
        row("", "permitted, not critical", "permitted;DNS:" + NAME),
        row("", "permitted above", "critical,permitted;DNS:" + NAME,
            "DNS:sip." + NAME, "sip." + NAME),
        row("cert.invalid", "not permitted",
            "critical,permitted;DNS:other.test"),
        row("cert.invalid", "not permitted, not critical",
            "permitted;DNS:other.test"),
        row("cert.invalid", "not a label of it",
            "critical,permitted;DNS:" + NAME, "DNS:evil" + NAME,
            "evil" + NAME),
        row("cert.invalid", "one name of two not permitted",
            "critical,permitted;DNS:" + NAME,
            "DNS:%s,DNS:other.test" % NAME),
        row("cert.invalid", "excluded", "critical,excluded;DNS:" + NAME),
        row("cert.invalid", "excluded above",
            "critical,excluded;DNS:" + NAME, "DNS:sip." + NAME,
            "sip." + NAME),
        row("", "another excluded", "critical,excluded;DNS:other.test"),
        row("cert.invalid", "permitted and excluded below",
            "critical,permitted;DNS:%s,excluded;DNS:sip.%s" % (NAME, NAME),
            "DNS:sip." + NAME, "sip." + NAME),
        # The library knows no constraints of addresses: safe, and said.
        row("cert.invalid", "address permitted, which cannot be checked",
            "critical,permitted;IP:127.0.0.0/255.0.0.0", "IP:127.0.0.1",
            "127.0.0.1"),
        row("cert.invalid", "address not permitted",
            "critical,permitted;IP:127.0.0.0/255.0.0.0", "IP:10.0.0.1",
            "10.0.0.1"),
        row("", "of addresses only, a name",
            "critical,permitted;IP:127.0.0.0/255.0.0.0"),
        row("", "directory name permitted",
            "critical,permitted;dirName:dirs"),
        row("cert.invalid", "directory name not permitted",
            "critical,permitted;dirName:elsewhere"),
        row("cert.invalid", "a sip URI has no authority to compare",
            "critical,permitted;URI:" + NAME, "URI:sip:" + NAME),
        row("", "of DNS names, a sip URI", "critical,permitted;DNS:" + NAME,
            "URI:sip:" + NAME),
        Row("cert.invalid", "name constraints: in the root", [leaf(nc_root)],
            [nc_root]),
    ]


def strength():
    def key(want, kind, **kw):
        return Row(want, "key " + kind, [leaf(ROOT, key=kind + "/leaf")],
                   [ROOT], **kw)

    def under(want, what, root, md="sha256", sigopt=(), **kw):
        return Row(want, what, [leaf(root, md=md, sigopt=sigopt, cn=md)],
                   [root], **kw)
    rsa = ca("RSA", key="rsa2048/root")
    weak_inter = ca("Weak", ROOT, key="rsa1024/inter")
    weak_root = ca("Weak", key="rsa1024/root")
    p224 = ca("Weak", ROOT, key="p224/inter")
    sha1_inter = ca("Old", rsa, md="sha1")
    pss = ["rsa_padding_mode:pss", "rsa_pss_saltlen:digest"]
    ed = ca("Ed", key="ed25519/root", md="default")
    p384, p521 = ca("P-384", key="p384/root"), ca("P-521", key="p521/root")
    rsa4096 = ca("RSA 4096", key="rsa4096/root")
    return [
        key("", "rsa2048"), key("", "rsa3072"), key("", "rsa4096"),
        key("", "p384"), key("", "p521"), key("", "ed25519"),
        key("cert.weak_key", "rsa1024"),
        key("", "rsa1024", set="sip.tls.allow=rsa1024"),
        key("cert.weak_key", "rsa512"),
        key("cert.weak_key", "rsa512", set="sip.tls.allow=rsa1024"),
        key("cert.weak_key", "p224"),
        key("cert.weak_key", "p224", set="sip.tls.allow=rsa1024"),
        key("cert.weak_key", "p192"),
        Row("cert.weak_key", "intermediate RSA 1024",
            [leaf(weak_inter), weak_inter], [ROOT]),
        Row("cert.weak_key", "intermediate P-224", [leaf(p224), p224],
            [ROOT]),
        Row("cert.weak_key", "root RSA 1024", [leaf(weak_root)],
            [weak_root]),
        under("", "RSA and SHA-256", rsa),
        under("", "RSA and SHA-384", rsa, "sha384"),
        under("", "RSA and SHA-512", rsa, "sha512"),
        under("cert.weak_sig", "RSA and SHA-1", rsa, "sha1"),
        under("", "RSA and SHA-1, allowed", rsa, "sha1",
              set="sip.tls.allow=sha1"),
        under("cert.weak_sig", "RSA and MD5", rsa, "md5"),
        under("cert.weak_sig", "RSA and MD5, SHA-1 allowed", rsa, "md5",
              set="sip.tls.allow=sha1"),
        under("cert.weak_sig", "ECDSA and SHA-1", ROOT, "sha1"),
        under("", "ECDSA and SHA-384", ROOT, "sha384"),
        under("", "ECDSA and SHA-512", ROOT, "sha512"),
        Row("cert.weak_sig", "intermediate signed with SHA-1",
            [leaf(sha1_inter), sha1_inter], [rsa]),
        Row("", "intermediate signed with SHA-1, as anchor",
            [leaf(sha1_inter), sha1_inter], [sha1_inter]),
        under("", "root signed with SHA-1", ca("Old", key="rsa2048/root",
                                               md="sha1")),
        under("", "RSA-PSS and SHA-256", rsa, "sha256", pss),
        under("", "RSA-PSS and SHA-384", rsa, "sha384", pss),
        under("", "RSA-PSS and SHA-512", rsa, "sha512", pss),
        under("cert.weak_sig", "RSA-PSS and SHA-1", rsa, "sha1", pss),
        under("", "root Ed25519", ed, "default"),
        under("", "root P-384", p384, "sha384"),
        under("", "root P-521", p521, "sha512"),
        under("", "root RSA 4096", rsa4096),
    ]


def damaged():
    """Signatures that are wrong, and extensions nobody knows."""
    critical = {UNKNOWN: "critical,DER:0500"}
    bad_inter = ca("Inter", ROOT, alter=bad_signature)
    odd_inter, odd_root = ca("Inter", ROOT, ext=critical), \
        ca("Root", ext=critical)
    bad_root = ca("Root", alter=bad_signature)
    return [
        Row("cert.bad_signature", "a bit of the leaf's signature",
            [leaf(ROOT, alter=bad_signature)], [ROOT]),
        Row("cert.bad_signature", "the leaf's name was changed",
            [leaf(ROOT, alter=other_name)], [ROOT], name="zz.test"),
        Row("cert.bad_signature", "a bit of the intermediate's signature",
            [GOOD, bad_inter], [ROOT]),
        Row("cert.bad_signature", "signed by another of the same name",
            [leaf(ca("Root", key="p256/false"), aki=None)], [ROOT]),
        Row("", "nobody relies on a root's own signature", [DIRECT],
            [bad_root]),
        Row("cert.invalid", "unknown critical extension in the leaf",
            [leaf(ROOT, ext=critical)], [ROOT]),
        Row("cert.invalid", "unknown critical extension above",
            [leaf(odd_inter), odd_inter], [ROOT]),
        # RFC 5280 6.1: an anchor is a name and a key.
        Row("", "unknown critical extension in an uploaded root",
            [leaf(odd_root)], [odd_root]),
        Row("", "unknown extension, not critical",
            [leaf(ROOT, ext={UNKNOWN: "DER:0500"})], [ROOT]),
        Row("", "critical certificatePolicies",
            [leaf(ROOT, policies="critical,2.23.140.1.2.1")], [ROOT]),
        Row("cert.invalid", "subjectAltName twice",
            [leaf(ROOT, alter=san_twice, ext={
                "2.5.29.99": "DER:" + san_der(b"\x82" + NAME.encode())})],
            [ROOT]),
        Row("cert.eku", "version 1", [leaf(ROOT, cn=NAME, raw=True)],
            [ROOT]),
        Row("", "version 1, all of it allowed",
            [leaf(ROOT, cn=NAME, raw=True)], [ROOT],
            set=["sip.tls.allow=no-eku,no-san"]),
    ]


def san_der(*names):
    """A subjectAltName from (tag byte + content) each, in hex."""
    body = b"".join(n[:1] + bytes([len(n) - 1]) + n[1:] for n in names)
    return (b"\x30" + bytes([len(body)]) + body).hex()


@bb.test(120)
def chains(t):
    """Issue 3, row 4: what path building and the floor of strength say."""
    rows = paths() + uploads() + twins() + times() + purposes() \
        + authorities() + constraints() + strength() + damaged()
    rows_hold(t, rows)
    t.ok(len(rows) >= 100, "at least 100 chains: %d" % len(rows))


# ---- the names --------------------------------------------------------------

def named(use, rows):
    out = []
    for want, what, san, name, more in rows:
        more = dict(more)
        out.append(Row(
            want, "%s: %s" % ("RFC 5922" if use == "sip" else "RFC 9525",
                              what),
            [leaf(ROOT, san=san, cn=more.pop("cn", "server"),
                  dn=more.pop("dn", None))], [ROOT], name=name, use=use,
            **more))
    return out


MISS, IP_MISS = "cert.name_mismatch", "cert.ip_mismatch"
CN_ONLY, WILD = "cert.cn_only", "cert.wildcard_sip"
CN1 = {"set": "sip.tls.cn=1"}
WILD1 = {"set": "sip.tls.wildcard=1"}
NUL_DNS = "DER:" + san_der(b"\x82bb.test\0.evil.test")
NUL_URI = "DER:" + san_der(b"\x86sip:bb.test\0.evil.test")

SIP_NAMES = [
    # 7.1: what counts as an identity of a SIP domain
    ("", "URI:sip", "URI:sip:bb.test", NAME, {}),
    ("", "DNS, no URI", "DNS:bb.test", NAME, {}),
    ("", "URI and DNS agree", "URI:sip:bb.test,DNS:bb.test", NAME, {}),
    ("", "URI counts, DNS says something else",
     "DNS:other.test,URI:sip:bb.test", NAME, {}),
    (MISS, "DNS does not count beside a URI:sip",
     "URI:sip:other.test,DNS:bb.test", NAME, {}),
    (MISS, "the same, DNS first", "DNS:bb.test,URI:sip:other.test", NAME,
     {}),
    ("", "one URI of several", "URI:sip:other.test,URI:sip:bb.test", NAME,
     {}),
    ("", "one DNS name of several", "DNS:a.test,DNS:bb.test,DNS:c.test",
     NAME, {}),
    ("", "scheme in capitals", "URI:SIP:bb.test", NAME, {}),
    (MISS, "sips does not count", "URI:sips:bb.test", NAME, {}),
    ("", "DNS beside sips counts", "URI:sips:other.test,DNS:bb.test", NAME,
     {}),
    (MISS, "https does not count", "URI:https://bb.test", NAME, {}),
    ("", "DNS beside https counts", "URI:https://other.test,DNS:bb.test",
     NAME, {}),
    (MISS, "user part: names a person", "URI:sip:alice@bb.test", NAME, {}),
    ("", "DNS beside a person counts",
     "URI:sip:alice@other.test,DNS:bb.test", NAME, {}),
    ("", "host part of a URI with port", "URI:sip:bb.test:5061", NAME, {}),
    ("", "host part of a URI with parameter",
     "URI:sip:bb.test;transport=tls", NAME, {}),
    (MISS, "no host in the URI", "URI:sip:", NAME, {}),
    (MISS, "name as a parameter", "URI:sip:other.test;x=bb.test", NAME, {}),
    (MISS, "neither", "DNS:other.test", NAME, {}),
    (MISS, "mail address", "email:x@bb.test", NAME, {}),
    # the common name
    (CN_ONLY, "CN without the setting", None, NAME, {"cn": NAME}),
    ("", "CN with sip.tls.cn", None, NAME, dict(CN1, cn=NAME)),
    ("", "CN with no-san allowed", None, NAME,
     {"cn": NAME, "set": "sip.tls.allow=no-san"}),
    (MISS, "CN is another", None, NAME, dict(CN1, cn="other.test")),
    (MISS, "CN beside a DNS name", "DNS:other.test", NAME,
     dict(CN1, cn=NAME)),
    (MISS, "CN beside a URI", "URI:sip:other.test", NAME,
     dict(CN1, cn=NAME)),
    (MISS, "CN beside an address", "IP:192.0.2.1", NAME,
     dict(CN1, cn=NAME)),
    (MISS, "CN beside a sips URI", "URI:sips:other.test", NAME,
     dict(CN1, cn=NAME)),
    (MISS, "CN beside a mail address", "email:x@other.test", NAME,
     dict(CN1, cn=NAME)),
    (MISS, "CN with a wildcard", None, NAME,
     {"cn": "*.test", "set": ["sip.tls.cn=1", "sip.tls.wildcard=1"]}),
    ("", "the last CN of several", None, NAME,
     dict(CN1, dn="/O=Bellbird Test/CN=other.test/CN=bb.test")),
    (MISS, "no name at all", None, NAME, {"cn": None}),
    # 7.2: comparing
    ("", "case in a URI", "URI:sip:BB.Test", NAME, {}),
    ("", "case in a DNS name", "DNS:BB.Test", NAME, {}),
    ("", "case in what is wanted", "DNS:bb.test", "BB.TEST", {}),
    ("", "dot at the end of what is wanted", "DNS:bb.test", "bb.test.", {}),
    ("", "dot at the end of the DNS name", "DNS:bb.test.", NAME, {}),
    (MISS, "a name below (DNS)", "DNS:sip.bb.test", NAME, {}),
    (MISS, "a name above (DNS)", "DNS:test", NAME, {}),
    (MISS, "a name below (URI)", "URI:sip:sip.bb.test", NAME, {}),
    (MISS, "a name above (URI)", "URI:sip:bb.test", "sip.bb.test", {}),
    (MISS, "dot at the start", "DNS:.bb.test", "sip.bb.test", {}),
    (MISS, "only the tail is the same", "DNS:evilbb.test", NAME, {}),
    (WILD, "wildcard", "DNS:*.bb.test", "sip.bb.test", {}),
    ("", "wildcard with sip.tls.wildcard", "DNS:*.bb.test", "sip.bb.test",
     WILD1),
    (MISS, "wildcard is one label, not two", "DNS:*.bb.test",
     "a.sip.bb.test", WILD1),
    (MISS, "wildcard is not no label", "DNS:*.bb.test", NAME, WILD1),
    (MISS, "wildcard in the middle", "DNS:sip.*.test", "sip.bb.test",
     WILD1),
    (MISS, "wildcard is a part of a label", "DNS:s*.bb.test", "sip.bb.test",
     WILD1),
    (MISS, "two wildcards", "DNS:*.*.test", "sip.bb.test", WILD1),
    (MISS, "nothing but a wildcard", "DNS:*", "localhost", WILD1),
    (MISS, "wildcard in a URI", "URI:sip:*.bb.test", "sip.bb.test", {}),
    (MISS, "wildcard beside a URI:sip", "URI:sip:other.test,DNS:*.bb.test",
     "sip.bb.test", WILD1),
    ("", "A-label", "DNS:xn--bcher-kva.test", "xn--bcher-kva.test", {}),
    ("", "A-label, case", "DNS:XN--Bcher-KVA.test", "xn--bcher-kva.test",
     {}),
    (MISS, "a NUL in the DNS name", NUL_DNS, NAME, {}),
    (MISS, "a NUL in the URI", NUL_URI, NAME, {}),
    (MISS, "a space behind the DNS name", "DER:" + san_der(b"\x82bb.test "),
     NAME, {}),
    # addresses
    ("", "address", "IP:192.0.2.1", "192.0.2.1", {}),
    ("", "one address of several", "IP:192.0.2.7,IP:192.0.2.1", "192.0.2.1",
     {}),
    ("", "address beside a URI:sip", "URI:sip:bb.test,IP:192.0.2.1",
     "192.0.2.1", {}),
    (IP_MISS, "another address", "IP:192.0.2.2", "192.0.2.1", {}),
    (IP_MISS, "address as a DNS name", "DNS:192.0.2.1", "192.0.2.1", {}),
    (IP_MISS, "address as a URI", "URI:sip:192.0.2.1", "192.0.2.1", {}),
    ("", "IPv6 address", "IP:2001:db8::1", "2001:db8::1", {}),
    ("", "IPv6 address, written out", "IP:2001:db8::1",
     "2001:DB8:0:0:0:0:0:1", {}),
    (IP_MISS, "another IPv6 address", "IP:2001:db8::2", "2001:db8::1", {}),
    (IP_MISS, "IPv4 mapped to IPv6", "IP:::ffff:192.0.2.1", "192.0.2.1",
     {}),
    (IP_MISS, "address wanted, wildcard there", "DNS:*.0.2.1", "192.0.2.1",
     WILD1),
]

PROV_NAMES = [
    ("", "DNS", "DNS:bb.test", NAME, {}),
    ("", "one DNS name of several", "DNS:a.test,DNS:bb.test", NAME, {}),
    ("", "DNS counts beside a URI:sip", "URI:sip:other.test,DNS:bb.test",
     NAME, {}),
    (MISS, "URI:sip does not count", "URI:sip:bb.test", NAME, {}),
    (MISS, "URI:https does not count", "URI:https://bb.test/", NAME, {}),
    (MISS, "another name", "DNS:other.test", NAME, {}),
    (MISS, "a name below", "DNS:www.bb.test", NAME, {}),
    (MISS, "a name above", "DNS:bb.test", "www.bb.test", {}),
    ("", "case", "DNS:BB.test", "bb.TEST", {}),
    ("", "dot at the end of what is wanted", "DNS:bb.test", "bb.test.", {}),
    (CN_ONLY, "CN never counts (6.3)", None, NAME, {"cn": NAME}),
    (MISS, "CN beside a DNS name", "DNS:other.test", NAME, {"cn": NAME}),
    ("", "wildcard", "DNS:*.bb.test", "www.bb.test", {}),
    ("", "wildcard, case", "DNS:*.BB.test", "www.bb.test", {}),
    ("", "wildcard for an A-label", "DNS:*.bb.test",
     "xn--bcher-kva.bb.test", {}),
    (MISS, "wildcard is one label, not two", "DNS:*.bb.test",
     "a.www.bb.test", {}),
    (MISS, "wildcard is not no label", "DNS:*.bb.test", NAME, {}),
    (MISS, "wildcard in the middle", "DNS:www.*.test", "www.bb.test", {}),
    (MISS, "wildcard before letters", "DNS:*w.bb.test", "www.bb.test", {}),
    (MISS, "wildcard behind letters", "DNS:w*.bb.test", "www.bb.test", {}),
    (MISS, "wildcard in an A-label", "DNS:xn--*.bb.test",
     "xn--bcher-kva.bb.test", {}),
    (MISS, "two wildcards", "DNS:*.*.test", "www.bb.test", {}),
    (MISS, "nothing but a wildcard", "DNS:*", "localhost", {}),
    ("", "A-label", "DNS:xn--bcher-kva.test", "xn--bcher-kva.test", {}),
    (MISS, "a NUL in the DNS name", NUL_DNS, NAME, {}),
    ("", "address", "IP:192.0.2.1", "192.0.2.1", {}),
    ("", "IPv6 address", "IP:2001:db8::1", "2001:db8::1", {}),
    (IP_MISS, "another address", "IP:192.0.2.2", "192.0.2.1", {}),
    (IP_MISS, "address as a DNS name", "DNS:192.0.2.1", "192.0.2.1", {}),
    (IP_MISS, "address as CN", None, "192.0.2.1", {"cn": "other.test"}),
    (IP_MISS, "address wanted, wildcard there", "DNS:*.0.2.1", "192.0.2.1",
     {}),
]


@bb.test(60)
def sip_names(t):
    """Issue 3, row 3: RFC 5922, each rule of 7.1 and 7.2."""
    rows = named("sip", SIP_NAMES)
    results = rows_hold(t, rows)
    first = results[0].json if not isinstance(results[0], bb.Failure) else {}
    t.ok(first.get("matched") == "URI:sip:bb.test"
         and first.get("use") == "sip" and first.get("name") == NAME,
         "the verdict says which name matched", json.dumps(first))


@bb.test(60)
def prov_names(t):
    """Issue 3, row 3: RFC 9525."""
    rows_hold(t, named("prov", PROV_NAMES))
