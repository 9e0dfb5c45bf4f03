/* SPDX-License-Identifier: ISC */
/* THE table of verbs: help, completion and the parser of the command line
 * come from it. */
#include "internal.h"

static const struct ctl_opt opts_call[] = {
	{ "wait", "answered|ended",
	    "return when answered (the default) or when it is over" },
	{ "play", "FILE.wav", "send this file instead of the audio device" },
	{ "record", "FILE.wav", "write what is received to this file" },
	{ "dtmf", "DIGITS", "send these digits once it is answered" },
	{ "duration", "TIME", "hang up this long after the answer" },
	{ "expect", "CODE",
	    "exit 0 only if the call ends with this SIP code; 200: answered" },
	{ "timeout", "TIME", "give up, and hang up, after this long" },
	{ "srtp", "MODE",
	    "disabled, optional or standard; overrides sip.srtp" },
	{ "account", "ID",
	    "go by this account (u1, u2, alert1); else the first that is set "
	    "up" },
	{ "late-offer", NULL, "send no offer; the callee makes it" },
	{ "header", "LINE...",
	    "one more header of the INVITE, \"Name: value\"" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_events[] = {
	{ "since", "SEQ", "first what happened after event number SEQ" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_wait[] = {
	{ "where", "KEY=VALUE...",
	    "only an event with this field (media.codec=opus)" },
	{ "timeout", "TIME", "exit 4 after this long; for ever if not given" },
	{ "since", "SEQ", "look first at what came after event number SEQ" },
	{ "or-status", NULL, "be content if the status says so already" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_export[] = {
	{ "secrets", NULL, "show passwords instead of a mask" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_prov_run[] = {
	{ "dry", NULL, "fetch and judge, change nothing" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_doctor[] = {
	{ "as", "USE", "sip (default) or prov: the settings that count" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_keylog[] = {
	{ "out", "FILE", "append to this file (NSS key log format)" },
	{ "for", "TIME", "for so long; 15m at most, and if not given" },
	{ "stop", NULL, "end it now" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_capture[] = {
	{ "out", "FILE", "write this new file (pcapng, for Wireshark)" },
	{ "events", NULL, "tell each message as an event sip.message" },
	{ "past", NULL, "begin with what capture show would print" },
	{ "peer", "ADDRESS[:PORT]", "only messages to and from this address" },
	{ "call-id", "ID", "only messages with this Call-ID" },
	{ "for", "TIME", "for so long; 15m if not given, 24h at most" },
	{ "size", "MIB", "until the file has so many MiB; 16 if not given" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_show[] = {
	{ "last", "N", "the newest N messages" },
	{ "peer", "ADDRESS[:PORT]", "only messages to and from this address" },
	{ "call-id", "ID", "only messages with this Call-ID" },
	{ "full", NULL, "with the text of each message" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_ca_init[] = {
	{ "dir", "DIR", "where ca.pem and ca.key go (default: here)" },
	{ "cn", "NAME", "common name of the CA" },
	{ "tiers", "N", "1 (default); 2: a root above; 3: root and policy CA" },
	{ "key", "KEY", "p256 (default), p384, rsa2048, rsa3072 or rsa4096" },
	{ "days", "N", "how long it is valid; no end if not given" },
	{ "years", "N", "the same in years" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_mint[] = {
	{ "ca", "DIR", "folder of the CA; self-signed if not given" },
	{ "kind", "KIND", "device (default), server, both or intermediate" },
	{ "mac", "MAC", "MAC address of a device" },
	{ "macs", "FILE", "many devices: a MAC address a line" },
	{ "cn", "NAME", "name of a server, or MAC address of a device" },
	{ "san", "LIST", "DNS:a.example,URI:sip:a.example,IP:192.0.2.1" },
	{ "days", "N",
	    "how long it is valid; not given: devices without end (9999-12-31),"
	    " servers 825 days" },
	{ "years", "N", "the same in years" },
	{ "rsa", "BITS", "an RSA key instead of EC P-256" },
	{ "out", "FILE", "certificate, chain and key go there" },
	{ "out-dir", "DIR", "with --macs: a file MAC.pem for each" },
	{ "force", NULL, "write over a file that exists" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_export_ca[] = {
	{ "slot", "SLOT", "factory (default) or sip-owner" },
	{ "ca", "DIR", "instead of a slot: the CA that ca-init made there" },
	{ "out", "FILE.pem", "all of them go there" },
	{ "der", "FILE.der", "the last one, in DER" },
	{ "force", NULL, "write over files that exist" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_import[] = {
	{ "slot", "SLOT", "factory, sip-owner, server or trusted" },
	{ "key", "FILE", "the key, if it is not in the same file" },
	{ "password-file", "FILE", "the password of a PKCS #12 file" },
	{ "force", NULL,
	    "replace (factory: at the console only, and trusted)" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_csr[] = {
	{ "mac", "MAC", "for the device certificate of this MAC address" },
	{ "cn", "NAME", "for the owner's certificate: its common name" },
	{ "san", "LIST", "more names: DNS:a.example,URI:sip:a.example" },
	{ "key", "FILE", "use this key; without it, a new one (EC P-256)" },
	{ "out", "FILE", "the request goes there" },
	{ "key-out", "FILE", "the new key goes there" },
	{ "force", NULL, "write over files that exist" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_verify[] = {
	{ "use", "USE", "sip or prov: the settings and the name rule" },
	{ "name", "NAME", "whom to expect: domain, host or address" },
	{ "trust", "FILE...",
	    "trust these files alone instead of the endpoint's own sets" },
	{ "inter", "FILE...",
	    "more intermediates, as if they had been sent too" },
	{ "at", "TIME", "judge as if it were then: 2026-11-24T13:37:54Z" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_enroll[] = {
	{ "now", NULL, "ask although nothing is due, or it is pending" },
	{ "cacerts", NULL,
	    "fetch the CA's own certificates instead, to be looked at" },
	{ "out", "FILE", "with --cacerts: they go there (PEM)" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_lab[] = {
	{ "break", "WHAT",
	    "let one thing be wrong, to see what is said of it" },
	{ NULL, NULL, NULL },
};

static const struct ctl_opt opts_dtmf[] = {
	{ "by", "WAY",
	    "rtp (RFC 4733), info (application/dtmf-relay) or dtmf "
	    "(application/dtmf); not given: as phone.dtmf.src says" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_message[] = {
	{ "account", "ID", "by this account instead of the first one" },
	{ NULL, NULL, NULL },
};
static const struct ctl_opt opts_transfer[] = {
	{ "call", "CALL",
	    "the call that is transferred (default: the oldest)" },
	{ "with", "CALL",
	    "attended: its peer takes our place in this other call" },
	{ "no-report", NULL, "do not ask how it went (RFC 4488)" },
	{ NULL, NULL, NULL },
};

static const struct ctl_verb verbs[] = {
	{ "run", CTL_LOCAL, "", NULL,
	    "be the endpoint, in the foreground, until TERM or INT" },
	{ "lab", CTL_LOCAL, "", opts_lab,
	    "an endpoint with its own CA, provisioning server and registrar, "
	    "all on loopback" },
	{ "call", CTL_REMOTE, "URI", opts_call, "call somebody" },
	{ "answer", CTL_REMOTE, "[CALL]", NULL,
	    "answer a call (the oldest that rings)" },
	{ "hangup", CTL_REMOTE, "[CALL]", NULL, "end one call, or all" },
	{ "hold", CTL_REMOTE, "[CALL]", NULL,
	    "put a call on hold (the first that is not)" },
	{ "resume", CTL_REMOTE, "[CALL]", NULL,
	    "take it back (the first that is held)" },
	{ "dtmf", CTL_REMOTE, "DIGITS [CALL]", opts_dtmf, "send DTMF digits" },
	{ "message", CTL_REMOTE, "URI TEXT", opts_message,
	    "send a text (SIP MESSAGE)" },
	{ "transfer", CTL_REMOTE, "[URI]", opts_transfer,
	    "have the peer of a call call somebody else, or put the peers of "
	    "two calls together" },
	{ "status", CTL_REMOTE, "", NULL,
	    "accounts, calls, connections, certificates, warnings" },
	{ "events", CTL_REMOTE, "", opts_events,
	    "print every event, one a line, until interrupted" },
	{ "wait", CTL_REMOTE, "EVENT", opts_wait,
	    "wait for one event (call.ended, call.*) and print it" },
	{ "config check", CTL_LOCAL, "[FILE...]", NULL,
	    "judge settings files without using them" },
	{ "config get", CTL_REMOTE, "KEY", NULL, "the value in force" },
	{ "config set", CTL_REMOTE, "KEY VALUE", NULL,
	    "change a setting; VALUE - reads it from standard input" },
	{ "config unset", CTL_REMOTE, "KEY", NULL,
	    "take back what config set did" },
	{ "config explain", CTL_REMOTE, "KEY", NULL,
	    "what a setting means, and which file and line its value is from" },
	{ "config export", CTL_REMOTE, "", opts_export,
	    "all settings that are set, as a settings file" },
	{ "prov run", CTL_REMOTE, "", opts_prov_run,
	    "fetch the settings from the provisioning server now" },
	{ "prov status", CTL_REMOTE, "", NULL,
	    "how the last provisioning went" },
	{ "tls last", CTL_REMOTE, "[PEER]", NULL,
	    "the connections of late, newest first; PEER: a name or address" },
	{ "tls keylog", CTL_REMOTE, "[PEER]", opts_keylog,
	    "write the secrets of connections with one peer to a file, for "
	    "reading a capture; whoever has it reads the calls" },
	{ "capture show", CTL_REMOTE, "", opts_show,
	    "the newest SIP messages as a ladder, secrets masked" },
	{ "capture start", CTL_REMOTE, "", opts_capture,
	    "record SIP messages for a time, decrypted, secrets masked" },
	{ "capture stop", CTL_REMOTE, "", NULL, "end the recording" },
	{ "doctor", CTL_LOCAL, "HOST[:PORT]", opts_doctor,
	    "connect to a server as the endpoint would, and find out what is "
	    "wrong" },
	{ "cert ca-init", CTL_LOCAL, "", opts_ca_init,
	    "make a CA for devices, a site or a lab" },
	{ "cert csr", CTL_LOCAL, "", opts_csr,
	    "make a key and the request for its certificate" },
	{ "cert export-ca", CTL_LOCAL, "", opts_export_ca,
	    "what to install on servers so that they accept our certificate" },
	{ "cert import", CTL_LOCAL, "[FILE...]", opts_import,
	    "install a certificate with its key, or CAs to trust" },
	{ "cert mint", CTL_LOCAL, "", opts_mint,
	    "issue a certificate with its key" },
	{ "cert enroll", CTL_REMOTE, "", opts_enroll,
	    "have the owner's certificate issued or renewed by EST" },
	{ "cert expiry", CTL_REMOTE, "", NULL,
	    "when the certificates of this device, its anchors and its peers "
	    "end" },
	{ "cert show", CTL_LOCAL, "[FILE...]", NULL,
	    "show certificates of files, or those of this device" },
	{ "cert verify", CTL_LOCAL, "CHAIN", opts_verify,
	    "judge a server's certificates as the endpoint would" },
	{ "reload", CTL_REMOTE, "", NULL,
	    "read settings and certificates again" },
	{ "reset", CTL_REMOTE, "", NULL,
	    "factory reset: settings, uploads and history go, the device "
	    "certificate stays; the endpoint ends with exit code 75" },
	{ "version", CTL_LOCAL, "", NULL, "print the version" },
	{ "help", CTL_LOCAL, "[VERB...]", NULL, "explain a verb" },
};

const struct ctl_verb *
ctl_verb_at(size_t i)
{
	return i < sizeof(verbs) / sizeof(verbs[0]) ? &verbs[i] : NULL;
}
