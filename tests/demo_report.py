# SPDX-License-Identifier: ISC
"""What ./demo prints: the table of what happened, or why it did not."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "peer"))


def load(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def row(what, text):
    print(f"  {what:<22} {text}")


def tls_rows(what, v):
    """One connection: version, names, who proved what."""
    cert = v["client_cert"]
    row(what, f"{v['remote']}  {v['version']}  {v['cipher']}  {v['group']}")
    row("", f"server is {v['matched'] or 'not checked'}"
        f" (asked for {v['expected_name']}), anchor: "
        f"{v['chain_built'][-1]['subject'] if v['chain_built'] else 'none'}")
    if cert["asked"]:
        row("", f"we proved {cert['subject']} (slot {cert['slot']})")
    t = v["timings"]
    row("", f"TCP {t['tcp_ms']} ms, TLS {t['tls_ms']} ms")


def call_rows(what, c, wav, hz):
    """One call: media, loss, and whether the tone is in the recording."""
    import bb
    m = c["media"]
    row(what, f"{m['codec']}  {m['suite'] or 'CLEAR'}  "
        f"{m['local']} <-> {m['remote']}")
    row("", f"sent {m['tx_packets']}, received {m['rx_packets']}, "
        f"lost {m['lost']}, refused {m['auth_failures']}; "
        f"first audio after {m['first_rx_ms']} ms")
    snr = bb.tone_find(wav, hz).snr
    row("", f"{hz} Hz tone in the recording: {snr:.0f} dB above all else")
    return m["suite"] != "" and m["rx_packets"] > 50 and snr >= 20


def table(folder):
    status = load(folder, "status.json")
    prov = load(folder, "prov.json")["report"]
    acc = status["accounts"][0]
    print("What happened")
    row("provisioning", prov["server"])
    for f in prov["files"]:
        row("", f"{f['name']}: {f['state']}, {f['settings']} settings")
    # The first connection: later ones resume it and prove nothing anew.
    first = [v for v in status["tls"] if v["use"] == "prov"][-1:]
    for v in first or [prov["verdict"]]:
        tls_rows("  over", v)
    row("registration", f"{acc['aor']}  {acc['state']} for "
        f"{acc['expires_s']} s, digest {acc['digest']}")
    tls_rows("  over", acc["tls"])
    ok = call_rows("call to the lab", load(folder, "call-out.json"),
                   os.path.join(folder, "call.wav"), 440)
    ok &= call_rows("call from the lab", load(folder, "call-in.json"),
                    os.path.join(folder, "call-in.wav"), 1000)
    print("\n  all as it should be" if ok else "\n  NOT as it should be")
    return 0 if ok else 8


def failure(folder):
    """One sentence, its class, and the exit code that goes with it."""
    status = load(folder, "status.json")
    prov = load(folder, "prov.json")
    if not status:
        report = prov.get("report") or {"text": "no report of provisioning"}
        text, cls = report["text"], report.get("class")
        code = 10
    else:
        acc = status["accounts"][0]
        tls = acc.get("tls") or {}
        text, cls = tls.get("text") or acc["reason"], tls.get("class", "")
        code = 7 if cls else 6
    print("\n  It stops here:")
    print(f"  {text}")
    if cls and f"[{cls}]" not in (text or ""):
        print(f"  [{cls}]")
    return code


if __name__ == "__main__":
    sys.exit({"table": table, "failure": failure}[sys.argv[1]](sys.argv[2]))
