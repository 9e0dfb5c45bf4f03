# SPDX-License-Identifier: ISC
"""The real programs of the peer tests, one class each; a constructor returns
when the program is ready."""
import csv
import json
import os
import re
import socket
import ssl
import subprocess
import threading

import bb

ADDRESS = "198.18.0.1"  # of this namespace's interface (run.py)
SRV_PORT = 5061         # where the SRV record of bb.test points

KAMAILIO = """#!KAMAILIO
# TLS registrar and proxy: a client certificate is required, digest, no database
debug=1
log_stderror=yes
memdbg=5
memlog=5
fork=yes
children=1
tcp_children=2
disable_tcp=no
enable_tls=yes
%(listen)s
auto_aliases=no
alias="%(domain)s"
alias="localhost"
server_signature=no
tcp_connection_lifetime=3605
tcp_accept_no_cl=no
mpath="%(modules)s"
loadmodule "tls.so"
loadmodule "kex.so"
loadmodule "ctl.so"
loadmodule "corex.so"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "sanity.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "nathelper.so"
loadmodule "path.so"
modparam("tls", "config", "%(dir)s/tls.cfg")
modparam("ctl", "binrpc", "unix:%(dir)s/ctl")
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 3600)
modparam("registrar", "min_expires", 10)
modparam("registrar", "gruu_enabled", 1)
modparam("registrar", "use_path", 1)
modparam("nathelper", "received_avp", "$avp(RECEIVED)")
modparam("registrar", "received_avp", "$avp(RECEIVED)")
modparam("auth", "nonce_expire", 60)
modparam("auth", "qop", "auth")
modparam("auth", "algorithm", "%(algorithm)s")
modparam("rr", "enable_full_lr", 1)

request_route {
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483","Too Many Hops"); exit; }
  if (!sanity_check("17895", "7")) { xlog("L_WARN","BB insane $rm\\n"); exit; }
  if (is_method("INVITE")) xlog("L_WARN","BB-SDP offer $fU $ci\\n$rb\\nBB-END\\n");
  if (is_method("OPTIONS") && uri==myself && $rU==$null) { sl_send_reply("200","Keepalive"); exit; }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  if (has_totag()) {
%(indialog)s    if (is_method("INVITE|UPDATE|REFER|NOTIFY")) add_contact_alias();
    t_on_reply("2");
    if (loose_route()) {
      handle_ruri_alias();
      # who grants a GRUU routes requests to it (RFC 5627 5.1)
      if (is_gruu()) lookup("location");
      t_relay(); exit;
    }
    if (is_method("ACK")) { if (t_check_trans()) t_relay(); exit; }
    sl_send_reply("404","Not here"); exit;
  }
  t_check_trans();
  xlog("L_WARN","BB $rm user=$fU proto=$proto tls=$tls_version verified=$tls_peer_verified cn=$tls_peer_subject_cn issuer=$tls_peer_issuer_cn alg=$adu expires=$hdr(Expires)\\n");
  force_rport();
  # Back over the connection that a request came by (as save() does).
  if (is_method("INVITE|SUBSCRIBE")) add_contact_alias();
  # the rule of passwords: user NNNN has "secretNNNN"
  $var(pw) = "secret" + $fU;
  if (is_method("REGISTER")) {
    if (!pv_www_authenticate("%(domain)s", "$var(pw)", "0")) { www_challenge("%(domain)s", "1"); exit; }
    if ($au != $tU) { sl_send_reply("403","Bad auth id"); exit; }
    xlog("L_WARN","BB authenticated $au contact=$ct algorithm=$(hdr(Authorization))\\n");
    fix_nated_register();
    save("location"); exit;
  }
  if (!pv_proxy_authenticate("%(domain)s", "$var(pw)", "0")) { proxy_challenge("%(domain)s", "1"); exit; }
  consume_credentials();
  if (is_method("INVITE|SUBSCRIBE")) record_route();
  if (!lookup("location")) { sl_send_reply("404","Not Found"); exit; }
  t_on_reply("1");
  t_relay();
}
onreply_route[2] {
  add_contact_alias();
}
onreply_route[1] {
  add_contact_alias();
  if (is_method("INVITE") && status=="200") xlog("L_WARN","BB-SDP answer $fU $ci\\n$rb\\nBB-END\\n");
}
"""

KAMAILIO_TLS = """[server:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = %(key)s
certificate = %(crt)s
ca_list = %(ca)s
[client:default]
method = TLSv1.2+
verify_certificate = yes
private_key = %(key)s
certificate = %(crt)s
ca_list = %(ca)s
"""


# Requests in a dialog that have to be authenticated, too.
CHALLENGE_IN_DIALOG = """    $var(pw) = "secret" + $fU;
    if (is_method("INVITE|UPDATE|REFER")) {
      if (!pv_proxy_authenticate("%(domain)s", "$var(pw)", "0")) {
        xlog("L_WARN","BB challenges $rm $fU\\n");
        proxy_challenge("%(domain)s", "1"); exit;
      }
      xlog("L_WARN","BB accepts $rm $fU\\n");
      consume_credentials();
    }
"""


def password(user):
    return "secret" + user


class Kamailio:
    """Registrar and proxy over TLS that demands a certificate of the device
    CA; digest with one algorithm at a time.  With `certs` also one port for
    each of these: `ports`.  `tls`: the text of tls.cfg.  `more`: sockets in
    clear, "udp:127.0.0.1:5060"."""

    def __init__(self, bench, cert=None, algorithm="SHA-256",
                 domain="localhost", host="127.0.0.1", name="kamailio",
                 port=None, certs=None, device_ca=None, tls=None,
                 challenge_in_dialog=False, more=()):
        bb.need("kamailio")
        modules = "/usr/lib/x86_64-linux-gnu/kamailio/modules/"
        if not os.path.isdir(modules):
            import glob
            found = glob.glob("/usr/lib/*/kamailio/modules/tls.so")
            if not found:
                raise bb.Failure("apt-get install kamailio-tls-modules")
            modules = os.path.dirname(found[0]) + "/"
        if not os.path.exists(modules + "tls.so"):
            raise bb.Failure("apt-get install kamailio-tls-modules")
        cert = cert or bench.pki.server
        self.dir = d = os.path.join(bench.dir, name)
        os.makedirs(d)
        self.host = host
        self.tls = port or bb.free_port(host=host)
        self.ports = {n: bb.free_port(host=host) for n in certs or {}}
        listen = ["listen=tls:%s:%d" % (host, p)
                  for p in [self.tls] + list(self.ports.values())]
        listen += ["listen=" + m for m in more]
        values = {"key": cert.key, "crt": cert.chain,
                  "ca": device_ca or bench.pki.device_ca.crt}
        tls = tls or KAMAILIO_TLS % values
        for n, p in self.ports.items():
            values.update(key=certs[n].key, crt=certs[n].chain)
            tls += (KAMAILIO_TLS.split("[client")[0] % values).replace(
                "default", "%s:%d" % (host, p))
        bb.write(os.path.join(d, "tls.cfg"), tls)
        conf = bb.write(os.path.join(d, "kamailio.cfg"), KAMAILIO % {
            "listen": "\n".join(listen),
            "domain": domain, "modules": modules, "dir": d,
            "algorithm": algorithm,
            "indialog": CHALLENGE_IN_DIALOG % {"domain": domain}
            if challenge_in_dialog else ""})
        self.proc = bb.Proc(bench, name, ["kamailio", "-f", conf, "-DD", "-E",
                                          "-m", "32", "-M", "8", "-Y", d], cwd=d)
        bb.wait_until(lambda: bb.listening(self.tls), 10, "kamailio listens",
                      alive=self.proc)

    def text(self):
        return self.proc.text()

    def reload(self, cert, cas):
        """Another certificate and other CAs of clients, for new connections
        (tls.reload)."""
        ca = bb.write(os.path.join(self.dir, "cas.pem"),
                      "".join(bb.read(c.crt) for c in cas))
        bb.write(os.path.join(self.dir, "tls.cfg"), KAMAILIO_TLS % {
            "key": cert.key, "crt": cert.chain, "ca": ca})
        r = subprocess.run(["kamcmd", "-s", "unix:%s/ctl" % self.dir,
                            "tls.reload"], capture_output=True, text=True)
        if r.returncode != 0 or "error" in (r.stdout + r.stderr).lower():
            raise bb.Failure("tls.reload: %s %s" % (r.stdout, r.stderr))

    def sdp(self, kind):
        """The SDP bodies that went through ("offer", "answer"), in order."""
        hits = re.findall(r"BB-SDP %s (\S+) \S+\r?\n(.*?)BB-END" % kind,
                          self.text(), re.S)
        return [re.sub(r"(?m)^.*?\b(?=[a-z]=)", "", body.replace("\r", ""))
                for _, body in hits]

    def stop(self):
        return self.proc.stop()


NGINX = """
user root;
daemon off;
worker_processes 1;
pid %(dir)s/pid;
error_log %(dir)s/error.log info;
events { worker_connections 64; }
http {
  access_log %(dir)s/access.log;
  client_body_temp_path %(dir)s/t1; proxy_temp_path %(dir)s/t2;
  fastcgi_temp_path %(dir)s/t3; uwsgi_temp_path %(dir)s/t4;
  scgi_temp_path %(dir)s/t5;
  default_type text/plain;
  # The MAC check: a device reads its own files and the common ones.
  map $ssl_client_s_dn $cert_mac {
    default                                  "";
    "~*(?:^|,)CN=(?<m>[0-9a-f]{12})(?:,|$)"  $m;
  }
  map $uri $file_mac {
    default                                  "";
    "~*/algom(?<f>[0-9a-f]{12})"             $f;
  }
  map "$file_mac:$cert_mac" $mac_refused {
    default                                  1;
    "~^:"                                    0;
    "~*^([0-9a-f]{12}):\\1$"                 0;
  }
%(servers)s
}
"""

NGINX_SERVER = """
  server {
    listen 127.0.0.1:%(port)d ssl;
    server_name localhost;
    ssl_certificate         %(crt)s;
    ssl_certificate_key     %(key)s;
    ssl_protocols           TLSv1.2 TLSv1.3;
    ssl_verify_client       on;
    ssl_client_certificate  %(ca)s;
    ssl_verify_depth        2;
    root %(root)s;
    location / { if ($mac_refused) { return 403; } }
  }
"""


class Nginx:
    """Provisioning server: mutual TLS and the MAC check; one port for each
    certificate, the same files on all of them."""

    def __init__(self, bench, certs, device_ca=None):
        bb.need("nginx")
        self.dir = os.path.join(bench.dir, "nginx")
        self.root = os.path.join(self.dir, "root")
        os.makedirs(self.root)
        self.ports, servers = {}, ""
        for name, cert in certs.items():
            self.ports[name] = bb.free_port()
            servers += NGINX_SERVER % {
                "port": self.ports[name], "crt": cert.chain, "key": cert.key,
                "ca": device_ca or bench.pki.device_ca.crt,
                "root": self.root}
        conf = bb.write(os.path.join(self.dir, "nginx.conf"),
                        NGINX % {"dir": self.dir, "servers": servers})
        bench.logs += [os.path.join(self.dir, "error.log"),
                       os.path.join(self.dir, "access.log")]
        self.proc = bb.Proc(bench, "nginx", [
            "nginx", "-p", self.dir, "-c", conf, "-e",
            os.path.join(self.dir, "error.log")])
        for port in self.ports.values():
            bb.wait_until(lambda: bb.listening(port), 10, "nginx listens",
                          alive=self.proc)

    def put(self, path, text):
        full = os.path.join(self.root, path.lstrip("/"))
        os.makedirs(os.path.dirname(full), exist_ok=True)
        return bb.write(full, text)

    def access(self):
        return bb.read(os.path.join(self.dir, "access.log"))


class Dnsmasq:
    """Name server of the namespace on 127.0.0.1:53: bb.test with NAPTR, SRV
    and A records; more by `extra` lines."""

    def __init__(self, bench, extra=(), port=53):
        bb.need("dnsmasq")
        d = os.path.join(bench.dir, "dnsmasq")
        os.makedirs(d, exist_ok=True)
        conf = bb.write(os.path.join(d, "dnsmasq.conf"), "\n".join([
            "port=%d" % port, "listen-address=127.0.0.1", "bind-interfaces",
            "no-resolv", "no-hosts", "local=/test/", "user=root", "group=root",
            "pid-file=%s/pid" % d, "conf-file=", "log-queries",
            "log-facility=-",
            "host-record=sip.bb.test," + ADDRESS,
            "host-record=prov.bb.test,127.0.0.1",
            "local=/example.org/",  # of docs/TLS.md
            "host-record=example.org,127.0.0.1",
            "host-record=prov.example.org,127.0.0.1",
            "naptr-record=bb.test,10,50,s,SIPS+D2T,,_sips._tcp.bb.test",
            "srv-host=_sips._tcp.bb.test,sip.bb.test,%d,10,60" % SRV_PORT]
            + list(extra)) + "\n")
        self.proc = bb.Proc(bench, "dnsmasq", ["dnsmasq", "-k", "-C", conf])
        bb.wait_until(lambda: bb.listening(port, "udp"), 5,
                      "dnsmasq listens", alive=self.proc)

    def stop(self):
        return self.proc.stop()


class Baresip:
    """baresip 1.0: TLS, SDES-SRTP, Opus; a sine as its microphone, what it
    hears goes to a file.  Needs an address that is not loopback."""

    CONFIG = """
sip_listen %(host)s:0
sip_certificate %(pem)s
sip_cafile %(ca)s
call_local_timeout 30
call_max_calls 2
audio_player aubridge,nil
audio_source ausine,%(hz)d
audio_alert aubridge,nil2
audio_level no
ausrc_srate 48000
auplay_srate 48000
ausrc_channels 2
auplay_channels 2
rtp_stats yes
jitter_buffer_delay 5-10
snd_path %(rec)s
ctrl_tcp_listen 127.0.0.1:%(ctrl)d
module_path %(modules)s
module opus.so
module g711.so
module ausine.so
module aubridge.so
module sndfile.so
module srtp.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
"""

    def __init__(self, bench, user, domain, registrar, cert, hz, name=None,
                 media="srtp-mand"):
        bb.need("baresip")
        modules = "/usr/lib/baresip/modules"
        if not os.path.exists(modules + "/opus.so"):
            raise bb.Failure("apt-get install baresip-core")
        self.bench, self.name = bench, name or "baresip-" + user
        self.dir = os.path.join(bench.dir, self.name)
        self.rec = os.path.join(self.dir, "rec")
        os.makedirs(self.rec)
        self.ctrl = bb.free_port()
        self.user, self.domain = user, domain
        bb.write(os.path.join(self.dir, "config"), self.CONFIG % {
            "host": ADDRESS, "pem": cert.pem, "ca": bench.pki.root.crt,
            "hz": hz, "rec": self.rec, "ctrl": self.ctrl, "modules": modules})
        bb.write(os.path.join(self.dir, "accounts"),
                 "<sip:%s@%s;transport=tls>;auth_pass=%s;outbound=\"sip:%s;"
                 "transport=tls\";mediaenc=%s;audio_codecs=opus/48000/2;"
                 "answermode=auto;regint=600\n" % (
                     user, domain, password(user), registrar, media))
        bb.write(os.path.join(self.dir, "contacts"), "")
        bb.write(os.path.join(self.dir, "uuid"),
                 "00000000-0000-4000-8000-0000000%s" % user.rjust(5, "0"))
        self.proc = bb.Proc(bench, self.name, ["baresip", "-4", "-v", "-f",
                                               self.dir], cwd=self.dir)
        self.proc.wait_log(r"\b200 OK|[Rr]egistered successfully|"
                           r"useragents? registered successfully", 10)
        bb.wait_until(lambda: bb.listening(self.ctrl), 5, "ctrl_tcp listens",
                      alive=self.proc)

    def command(self, command, params=""):
        """One command of ctrl_tcp (JSON in netstrings); returns its reply."""
        msg = json.dumps({"command": command, "params": params,
                          "token": "t"}).encode()
        with socket.create_connection(("127.0.0.1", self.ctrl), 5) as s:
            s.sendall(b"%d:%s," % (len(msg), msg))
            data = b""
            while True:
                more = s.recv(65536)
                if not more:
                    raise bb.Failure("ctrl_tcp closed: %r" % data)
                data += more
                while b":" in data:
                    n, rest = data.split(b":", 1)
                    n = int(n)
                    if len(rest) < n + 1:
                        break
                    o = json.loads(rest[:n])
                    data = rest[n + 1:]
                    if o.get("response"):
                        return o

    def dial(self, uri):
        return self.command("dial", uri)

    def hangup(self):
        return self.command("hangup")

    def listen(self):
        """The digits that it receives from now on."""
        return Digits(self.bench, self.ctrl)

    def recordings(self):
        """What it decoded, newest last."""
        files = [os.path.join(self.rec, f) for f in os.listdir(self.rec)
                 if f.endswith("-dec.wav")]
        return sorted(files, key=os.path.getmtime)



class Digits:
    """What baresip says of digits, by the events of ctrl_tcp."""

    def __init__(self, bench, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 5)
        self.data = b""
        bench.closers.append(self.sock.close)

    def digits(self):
        """The digits that began so far."""
        self.sock.settimeout(0.01)
        try:
            while True:
                more = self.sock.recv(65536)
                if not more:
                    break
                self.data += more
        except OSError:
            pass
        out, rest = "", self.data
        while b":" in rest:
            n, rest = rest.split(b":", 1)
            n = int(n)
            if len(rest) < n + 1:
                break
            o, rest = json.loads(rest[:n]), rest[n + 1:]
            if o.get("type") == "CALL_DTMF_START":
                out += o.get("param", "")
        return out


class Linphone:
    """linphonec, driven by its console: TLS with a client certificate, digest,
    SDES-SRTP; answers by itself."""

    RC = """[sip]
sip_port=0
sip_tcp_port=0
sip_tls_port=-2
verify_server_certs=1
verify_server_cn=1
root_ca=%(ca)s
client_cert_chain=%(crt)s
client_cert_key=%(key)s
default_proxy=0
media_encryption=srtp
media_encryption_mandatory=1
use_rfc2833=1
use_info=0
guess_hostname=1
[rtp]
audio_rtp_port=-1
[sound]
playback_dev_id=ALSA: none
capture_dev_id=ALSA: none
echocancellation=0
[proxy_0]
reg_proxy=<sip:%(registrar)s;transport=tls>
reg_route=<sip:%(registrar)s;transport=tls;lr>
reg_identity=sip:%(user)s@%(domain)s
reg_sendregister=1
reg_expires=600
[auth_info_0]
username=%(user)s
passwd=%(password)s
realm=%(domain)s
domain=%(domain)s
algorithm=%(algorithm)s
"""

    def __init__(self, bench, user, domain, registrar, cert,
                 algorithm="SHA-256"):
        bb.need("linphonec")
        self.dir = os.path.join(bench.dir, "linphone-" + user)
        os.makedirs(os.path.join(self.dir, ".local", "share", "linphone"))
        rc = bb.write(os.path.join(self.dir, "rc"), self.RC % {
            "ca": bench.pki.root.crt, "crt": cert.chain, "key": cert.key,
            "registrar": registrar, "user": user, "domain": domain,
            "password": password(user), "algorithm": algorithm})
        read_end, self.pipe = os.pipe()
        self.proc = bb.Proc(
            bench, "linphone-" + user,
            ["linphonec", "-a", "-c", rc, "-d", "5", "-l",
             os.path.join(self.dir, "log")], cwd=self.dir,
            env={"HOME": self.dir, "TERM": "dumb"}, stdin=read_end)
        os.close(read_end)
        bench.closers.append(lambda: os.close(self.pipe))
        bench.logs.append(os.path.join(self.dir, "log"))
        self.user = user

    def wait_registered(self, kamailio):
        bb.wait_until(lambda: "BB authenticated " + self.user in
                      kamailio.text(), 15, "linphone registers", every=0.1,
                      alive=self.proc)
        self.wait(r"Registration .* successful|RegistrationOk", 5)

    def say(self, line):
        os.write(self.pipe, line.encode() + b"\n")

    def text(self):
        return self.proc.text() + bb.read(os.path.join(self.dir, "log"))

    def wait(self, pattern, seconds):
        return bb.wait_until(lambda: re.search(pattern, self.text()), seconds,
                             "linphone says %r" % pattern, every=0.1,
                             alive=self.proc)


class Stunnel:
    """TLS around a TCP peer.  Server: `accept` TLS with a certificate of the
    device CA demanded, `connect` clear.  Client: the other way round."""

    def __init__(self, bench, name, cert, ca, client, connect,
                 check_host=None):
        bb.need("stunnel4")
        self.port = bb.free_port()
        conf = ["foreground = yes", "pid =", "debug = info",
                "socket = a:SO_REUSEADDR=1", "socket = l:TCP_NODELAY=1",
                "socket = r:TCP_NODELAY=1", "[t]",
                "client = %s" % ("yes" if client else "no"),
                "accept = 127.0.0.1:%d" % self.port,
                "connect = 127.0.0.1:%d" % connect,
                "cert = " + cert.pem, "CAfile = " + ca.crt,
                "verifyChain = yes", "TIMEOUTclose = 0"]
        if check_host:
            conf.append("checkHost = " + check_host)
        path = bb.write(os.path.join(bench.dir, name + ".conf"),
                        "\n".join(conf) + "\n")
        self.proc = bb.Proc(bench, name, ["stunnel4", path])
        bb.wait_until(lambda: bb.listening(self.port), 5, name + " listens",
                      alive=self.proc)

    def source_ports(self):
        """From which ports it connected to what is behind it."""
        return {int(p) for p in re.findall(
            r"connected remote server from [\d.]+:(\d+)", self.proc.text())}

    def accepted(self):
        return len(re.findall(r"accepted connection from", self.proc.text()))


class Sipp:
    """SIPp with a scenario of its own (`uac`, `uas`) or a file."""

    def __init__(self, bench, name, scenario, args=(), remote=None, port=None,
                 transport="u1", calls=100, timeout=60):
        bb.need("sipp")
        self.dir = os.path.join(bench.dir, name)
        os.makedirs(self.dir)
        self.port = port or bb.free_port(
            socket.SOCK_DGRAM if transport[0] == "u" else socket.SOCK_STREAM)
        self.media = bb.free_port(socket.SOCK_DGRAM)
        self.stat = os.path.join(self.dir, "stat.csv")
        bench.logs.append(os.path.join(self.dir, "errors.log"))
        how = ["-sf", scenario] if os.path.exists(scenario) \
            else ["-sn", scenario]
        argv = ["sipp"] + how + [
            "-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(self.port),
            "-mp", str(self.media), "-t", transport, "-m", str(calls),
            "-nostdin", "-timeout", "%ds" % timeout, "-timeout_error",
            "-trace_err", "-error_file", os.path.join(self.dir, "errors.log"),
            "-trace_stat", "-stf", self.stat, "-fd", "1"]
        if remote:
            argv.append("127.0.0.1:%d" % remote)
        self.proc = bb.Proc(bench, name, argv + list(args), cwd=self.dir,
                            env={"TERM": "xterm"})
        if remote is None:
            bb.wait_until(lambda: bb.listening(
                self.port, "udp" if transport[0] == "u" else "tcp"), 5,
                name + " listens", alive=self.proc)

    def wait(self, seconds):
        """Exit code: 0 if every call succeeded."""
        return self.proc.wait_exit(seconds)

    def counts(self):
        """(successful, failed) of the last line of statistics."""
        with open(self.stat) as f:
            rows = list(csv.DictReader(f, delimiter=";"))
        if not rows:
            return 0, 0
        return (int(rows[-1]["SuccessfulCall(C)"]),
                int(rows[-1]["FailedCall(C)"]))


class LyingServer:
    """HTTPS server that announces more than it sends, then closes."""

    def __init__(self, bench, cert, announced, sent):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert.chain, cert.key)
        self.context.load_verify_locations(bench.pki.device_ca.crt)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.announced, self.sent = announced, sent
        self.requests = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.stopped = False
        bench.closers.append(self.stop)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while not self.stopped:
            try:
                raw, _ = self.listener.accept()
                raw.settimeout(5)
                with self.context.wrap_socket(raw, server_side=True) as s:
                    self._serve(s)
            except OSError:
                continue

    def _serve(self, s):
        data = b""
        while b"\r\n\r\n" not in data:
            more = s.recv(4096)
            if not more:
                return
            data += more
        self.requests.append(data.split(b"\r\n")[0].decode())
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                  b"Content-Length: %d\r\n\r\n" % self.announced + self.sent)
        # An orderly close_notify: TLS itself has nothing to complain of.
        try:
            s.unwrap()
        except OSError:
            pass

    def stop(self):
        self.stopped = True
        self.listener.close()
