#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The bench: bellbird beside Debian's baresip, in the same run.

    BELLBIRD=build/src/bellbird tests/bench/run.py

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
    sys.exit(run.outside(["bench_speed"], []))
