# SPDX-License-Identifier: ISC
"""docs/TLS.md does what it says: its commands are run, and its configurations
of Kamailio, nginx and Apache are those of the servers here, which accept the
device certificate that the commands made and refuse others.

Paths of the text become paths of a folder of the test; nothing else changes.
"""
import os
import re
import shlex
import subprocess

import bb
import peers

DOC = os.path.join(bb.HERE, "..", "..", "docs", "TLS.md")

NGINX = """user root;
daemon off;
pid %(dir)s/nginx.pid;
error_log %(dir)s/nginx-error.log info;
events { }
http {
  access_log %(dir)s/access.log;
  client_body_temp_path %(dir)s/t1; proxy_temp_path %(dir)s/t2;
  fastcgi_temp_path %(dir)s/t3; uwsgi_temp_path %(dir)s/t4;
  scgi_temp_path %(dir)s/t5;
%(text)s
}
"""
APACHE = """ServerRoot %(dir)s
ServerName localhost
PidFile %(dir)s/apache.pid
ErrorLog %(dir)s/apache-error.log
%(modules)s
User www-data
Group www-data
Listen 443
CustomLog %(dir)s/access.log "%%r %%>s"
<Directory />
  Require all granted
</Directory>
%(text)s
"""
APACHE_MODULES = ("mpm_event", "authz_core", "unixd", "log_config",
                  "socache_shmcb", "ssl")

# What stands for something in a command.
WORDS = {"HOST": "example.org", "KEY": "sip.tls.trust",
         "VALUE": "builtin+trusted", "MAC": bb.MAC}
# Commands on files alone: they run first, in this order of the text.
FILES = re.compile(r"(bellbird cert (ca-init|mint|show \S|verify)|sudo )")
# Sections whose commands need servers of their own: their test runs them;
# here, that the keys they set exist.
ELSEWHERE = {"Keys in tokens": "test_pkcs11",
             "The owner's certificate by EST": "test_est"}
# Not run either: forms with a choice, and what would end the test.  That
# the verb exists is what is looked at.
FORM = re.compile(r"[|]|\.\.\.|^bellbird (reset|restart|run|phone)\b")
# What a command says of this site, where that is not exit 0: its device has
# no issuer between it and the root, which the text says is told.
ANSWERS = {"bellbird cert export-ca --slot factory":
           (7, "holds no certificate of its issuer")}
# Keys that the sections on provisioning and SIP set.
SETTING = re.compile(r"([a-z0-9.]+) = (.*)$")


def parts():
    """(heading, lines) of each block of code, indented or fenced, and
    (heading, line) of each line of text between them."""
    heading, code, text, cur = "", [], [], None
    fence, blank = False, True
    for line in bb.read(DOC).splitlines():
        indented = line.startswith("    ") and (blank or cur is not None)
        if line.startswith("```"):
            fence = not fence
            cur = [] if fence else None
            if fence:
                code.append((heading, cur))
        elif fence or indented:
            if cur is None:
                cur = []
                code.append((heading, cur))
            cur.append(line if fence else line[4:])
        elif line.strip() or cur is None:
            cur = None
            if line.startswith("#"):
                heading = line.strip("# ")
            text.append((heading, line))
        blank = not line.strip()
    return code, text


def commands():
    """(heading, words) of every command of ours, once, in its order."""
    code, text = parts()
    out = []
    for heading, lines in code:
        for line in lines:
            argv = shlex.split(line, comments=True) if re.match(
                r"(sudo|bellbird) ", line) else None
            if argv and argv not in [o for _, o in out]:
                out.append((heading, argv))
    for heading, line in text:
        for hit in re.findall(r"`(bellbird [^`]+)`", line):
            argv = shlex.split(hit, comments=True)
            # "bellbird cert mint" in a sentence speaks of a command above.
            if not any(argv == o[:len(argv)] for _, o in out):
                out.append((heading, argv))
    return out


def on_files(argv):
    return FILES.match(" ".join(argv)) and "FILE" not in argv


def block_of(word):
    hits = ["\n".join(b) for _, b in parts()[0] if word in "\n".join(b)]
    if len(hits) != 1:
        raise bb.Failure("%d blocks of TLS.md have %r" % (len(hits), word))
    return hits[0]


class Site:
    """The folder that stands for the machines of the text."""

    def __init__(self, t):
        self.t, self.dir = t, t.dir
        os.chmod(t.dir, 0o755)  # Apache serves as another user
        settings = {}
        for heading, lines in parts()[0]:
            if heading.startswith(("HTTPS prov", "SIP over")):
                settings.update(m.groups() for m in map(SETTING.match, lines)
                                if m)
        t.ok({"sip.proxy", "sip.srtp", "prov.server.static"}
             <= set(settings), "settings of the text: %s" % settings)
        settings.update({"sip.u1.pwd": peers.password(settings["sip.u1.user"]),
                         "audio.device": "null"})
        self.settings = settings
        self.e = t.endpoint(conf=settings)
        self.paths = [("/var/lib/bellbird", self.e.state),
                      ("/etc/bellbird/identity", self.e.identity),
                      ("/etc/bellbird/bellbird.conf", self.e.conf),
                      ("/etc/kamailio", self.dir), ("/etc/nginx", self.dir),
                      ("/etc/apache2", self.dir),
                      ("/srv/prov", os.path.join(self.dir, "srv"))]
        os.makedirs(os.path.join(self.dir, "srv", "cfg"))
        for name, text in (("algopbellbird", "call.max = 6\n"),
                           ("algom" + bb.MAC, "call.max = 7\n"),
                           ("algom" + bb.OTHER_MAC, "call.max = 8\n")):
            bb.write(os.path.join(self.dir, "srv", "cfg", name + ".conf"),
                     text)

    def here(self, text):
        for a, b in self.paths:
            text = text.replace(a, b)
        return text

    def run(self, argv):
        """One command of the text; its exit and output."""
        v = [self.here(WORDS.get(w, w)) for w in argv]
        v = [self.e.conf if w == "FILE" and "config" in v else
             "site-ca/ca.pem" if w == "FILE" else w for w in v]
        if v[0] == "sudo":
            v = v[1:]
            if "-o" in v:  # the user of the service is not needed here
                del v[v.index("-o"):v.index("-o") + 2]
        if v[0] == "bellbird":
            v[0] = bb.binary()
        if "doctor" in v or "export-ca" in v:
            v += ["--state", self.e.state, "--conf", self.e.conf,
                  "--identity", self.e.identity]
        p = subprocess.run(v, capture_output=True, text=True, timeout=40,
                           cwd=self.dir, env=dict(
                               os.environ, BELLBIRD_SOCKET=self.e.socket))
        code, word = ANSWERS.get(" ".join(argv), (0, ""))
        self.t.ok(p.returncode == code and word in p.stdout + p.stderr,
                  " ".join(argv),
                  "exit %d: %s %s" % (p.returncode, p.stdout[-600:],
                                      p.stderr[-600:]))

    def prepare(self):
        """The commands on files; what they made is put where it belongs."""
        for heading, argv in commands():
            if on_files(argv) and heading not in ELSEWHERE:
                self.run(argv)
        read = lambda f: bb.read(os.path.join(self.dir, f))
        bb.write(os.path.join(self.dir, "device-ca.pem"),
                 read("device-ca/ca.pem"))
        bb.write(os.path.join(self.e.identity, "device.pem"),
                 read("device.pem"), 0o600)

    def another(self, name, mac=None):
        """A device with the wrong identity: of another CA, or of the right
        one and another MAC."""
        e = self.t.endpoint(name, conf=dict(self.settings, **{
            "device.mac": bb.MAC}),
            identity=None if mac else self.t.pki.foreign_device)
        bb.write(os.path.join(e.state, "certs", "trusted", "ca.pem"),
                 bb.read(os.path.join(self.dir, "site-ca", "ca.pem")))
        if mac is not None:
            r = e.verb("cert", "mint", "--ca",
                       os.path.join(self.dir, "device-ca"), "--kind",
                       "device", "--cn", mac, "--out",
                       os.path.join(e.identity, "device.pem"))
            self.t.ok(r.code == 0, "a device with the MAC %s" % mac, r)
        return e.start()

    def nginx(self):
        bb.need("nginx")
        conf = bb.write(os.path.join(self.dir, "nginx.conf"), NGINX % {
            "dir": self.dir, "text": self.here(block_of("ssl_verify_client"))})
        base = ["nginx", "-p", self.dir, "-c", conf, "-e",
                os.path.join(self.dir, "nginx-error.log")]
        # The user of the file may be root only where root is all there is.
        p = bb.Proc(self.t, "nginx", base)
        bb.wait_until(lambda: bb.listening(443), 10, "nginx listens", alive=p)
        for more in (["-t"], ["-s", "reload"]):
            r = subprocess.run(base + more, capture_output=True, text=True)
            self.t.ok(r.returncode == 0, "nginx " + " ".join(more), r.stderr)
        return p

    def apache(self):
        bb.need("apache2")
        modules = "/usr/lib/apache2/modules/mod_%s.so"
        conf = bb.write(os.path.join(self.dir, "apache.conf"), APACHE % {
            "dir": self.dir, "modules": "\n".join(
                "LoadModule %s_module %s" % (m, modules % m)
                for m in APACHE_MODULES
                if os.path.exists(modules % m)),  # else it is built in
            "text": self.here(block_of("<VirtualHost"))})
        base = ["apache2", "-f", conf]
        p = bb.Proc(self.t, "apache2", base + ["-DFOREGROUND"])
        bb.wait_until(lambda: bb.listening(443), 10, "Apache listens", alive=p)
        for more in (["-t"], ["-k", "graceful"]):
            r = subprocess.run(base + more, capture_output=True, text=True)
            self.t.ok(r.returncode == 0, "apache2 " + " ".join(more), r.stderr)
        return p

    def provision(self, what, wrong, other):
        """Our device gets its file; another CA and another MAC do not."""
        r = self.e.verb("prov", "run")
        t = self.t
        t.ok(r.code == 0 and self.e.get("call.max") == "7",
             "%s: our device gets its file" % what, r)
        r = wrong.verb("prov", "run")
        t.ok(r.code == 10 and wrong.get("call.max") == "4"
             and str(r.find("class")).startswith(("http.client", "mtls.")),
             "%s: a device of another CA is refused: %s"
             % (what, r.find("class")), r)
        r = other.verb("prov", "run")
        t.ok(r.code == 10 and other.get("call.max") == "4"
             and "403" in r.out,
             "%s: a device with another MAC is refused: %s"
             % (what, r.find("class")), r)


@bb.test(120)
def the_guide_holds(t):
    s = Site(t)
    s.prepare()
    k = peers.Kamailio(t, port=5061, domain="example.org",
                       tls=s.here(block_of("[server:default]")))
    web = s.nginx()
    s.e.start()
    a = s.e.wait_account("registered", 10)
    t.ok((a.get("tls") or {}).get("matched") and "verified=1 cn=" + bb.MAC
         in k.text(), "Kamailio of the text takes our device", a)
    wrong = s.another("wrong-ca")
    v = wrong.wait_class(10)
    t.ok(str(v.get("class")).startswith("mtls."),
         "Kamailio refuses a device of another CA: %s" % v.get("class"), v)
    other = s.another("other-mac", bb.OTHER_MAC)
    s.provision("nginx", wrong, other)
    rest = [c for c in commands() if not on_files(c[1])]
    t.ok(len(rest) >= 10, "%d commands for a running endpoint" % len(rest))
    for heading, argv in rest:
        if FORM.search(" ".join(argv)):
            verb = [w for w in argv[:3] if re.fullmatch(r"[a-z0-9-]+", w)]
            s.run(verb + ["--help"])
        elif heading not in ELSEWHERE:
            s.run(argv)
        elif argv[1:3] == ["config", "set"]:
            s.run(["bellbird", "config", "explain", argv[3]])
    web.stop()
    bb.wait_until(lambda: not bb.listening(443), 5, "the port is free")
    s.apache()
    bb.write(os.path.join(t.dir, "srv", "cfg", "algom%s.conf" % bb.MAC),
             "call.max = 7\nsip.u1.dname = Apache\n")
    s.provision("Apache", wrong, other)
    t.ok(s.e.get("sip.u1.dname") == "Apache", "it is Apache's file",
         s.e.get("sip.u1.dname"))
