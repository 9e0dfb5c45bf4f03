#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The bench: bellbird beside Debian's baresip, in the same run.

    make -C build tests/bench/our_tls tests/bench/raw_tls tests/bench/sip_load
    BELLBIRD=build/src/bellbird tests/bench/run.py [--quick] [bench_speed | bench_back | bench_tls
                                                             | bench_sip]

`make -C build bench` does all.  --quick runs each handshake bench once, with
few handshakes: that it works, not how fast.

Prints medians of 5 and, where baresip does the same, the ratio.  Figures are
reported; none is a gate (docs/TESTING.md).
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "peer"))

import run  # noqa: E402

if __name__ == "__main__":
    os.environ["PYTHONPATH"] = HERE
    words = sys.argv[1:]
    if "--quick" in words:
        words.remove("--quick")
        os.environ["BENCH_QUICK"] = "1"
    sys.exit(run.outside(words or ["bench_speed", "bench_back", "bench_tls", "bench_sip"], []))
