#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Takes each rule out of a C file, one at a time, and runs its unit test: a
mutant that passes is a rule no row of the test looks at.

    make -C build mutants

which is CC=.. FLAGS=.. LIBS=.. tests/mutants.py FILE.c TEST.o.  What is taken
out: every condition is made true and made false, every operand of && and || is
left out, every choice of ?: is fixed, every statement that assigns to or calls
something is dropped.  Exit 0 if the test fails for each; those that nothing
can tell from the original are listed in EQUAL with the reason.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORKERS = 2
TIMEOUT_S = 20

# The text, what it becomes, and why that changes nothing.
EQUAL = [
    ("s->profile = TLS_PROFILE_INTERMEDIATE", "dropped", "it is 0, as memset "
     "left it"),
    ("p->name_rule = TLS_NAME_NONE", "dropped", "the same"),
    ("s.n > 0", "1", "before an empty name stands its bracket, no dot"),
]


def masked(text):
    """The text with comments, strings and directives blanked, same length."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m[0])
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\''
                  r'|^#[^\n]*', blank, text, flags=re.S | re.M)


def match(text, at, step):
    """The bracket that belongs to the one at `at`."""
    depth = 0
    while True:
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1,
                  "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
        at += step


def operand(text, at, step, stops):
    """Where the operand that ends (or begins) at `at` begins (or ends)."""
    opening, closing = ("([{", ")]}") if step > 0 else (")]}", "([{")
    while True:
        if text[at] in opening:
            at = match(text, at, step)
        elif text[at] in closing + ";{}":
            return at
        else:
            two = text[at:at + 2]
            if any(two.startswith(s) for s in stops) \
                    and two not in ("==", "!=", "<=", ">=") \
                    and text[at - 1:at + 1] not in ("==", "!=", "<=", ">="):
                return at
        at += step


def bodies(text):
    """(from, to) of each function's body."""
    return [(m.end() - 1, match(text, m.end() - 1, 1))
            for m in re.finditer(r"^\{", text, re.M)]


def conditions(text, begin, end):
    for m in re.compile(r"\b(?:if|while) \(").finditer(text, begin, end):
        a, b = m.end() - 1, match(text, m.end() - 1, 1)
        for value in ("0", "1"):
            if m[0].startswith("while") and value == "1":
                continue  # never ends
            yield a + 1, b, value


def operands(text, begin, end):
    for m in re.compile(r"&&|\|\|").finditer(text, begin, end):
        stops = ["&&", "||", "?", ",", "=", ":"]
        neutral = "1" if m[0] == "&&" else "0"
        a = operand(text, m.start() - 1, -1, stops)
        a += 2 if text[a:a + 2] in ("&&", "||") else 1
        b = operand(text, m.end(), 1, stops)
        word = re.match(r"\s*(return)\b", text[a:m.start()])
        yield a + (word.end() if word else 0), m.start(), " %s " % neutral
        yield m.end(), b, " %s" % neutral


def choices(text, begin, end):
    for m in re.compile(r"\?").finditer(text, begin, end):
        a = operand(text, m.start() - 1, -1, ["?", ":", ",", "="]) + 1
        word = re.match(r"\s*(return)\b", text[a:m.start()])
        if word:
            a += word.end()
        for value in ("0", "1"):
            yield a, m.start(), " %s " % value


def statements(text, begin, end):
    simple = re.compile(
        r"(?:(?<=[;{})])|(?<=else))\s*\n\s*("
        r"\*?[a-z_](?:->|\.|\[\w*\]|\w)*\s*(?:[-+|&]?=[^=]|\(|\+\+|--))")
    for m in simple.finditer(text, begin, end):
        a = m.start(1)
        b = text.index(";", a)
        if re.match(r"(if|for|while|switch|return|va_\w+)\b", text[a:b]):
            continue
        yield a, b, ""


def mutants(source):
    text = masked(source)
    for begin, end in bodies(text):
        for how in (conditions, operands, choices, statements):
            for a, b, new in how(text, begin, end):
                yield how.__name__, a, b, new


def survivors(source, name, objects):
    """Builds and runs each mutant; yields what became of it."""
    cc, flags, libs = (os.environ[k].split() for k in ("CC", "FLAGS", "LIBS"))
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
    with tempfile.TemporaryDirectory() as tmp:
        def run(k, text):
            path = os.path.join(tmp, "%s.c" % k)
            with open(path, "w") as f:
                f.write(text)
            # What a dropped assignment leaves must not be zero by luck.
            if subprocess.run(
                    cc + flags + ["-w", "-O0", "-std=gnu11",
                                  "-ftrivial-auto-var-init=pattern",
                                  "-iquote", os.path.dirname(name), "-o",
                                  path[:-2], path] + objects + libs,
                    stderr=subprocess.PIPE).returncode != 0:
                return "does not compile"
            try:
                return "passes" if subprocess.run(
                    [path[:-2]], stdout=subprocess.DEVNULL, env=env,
                    stderr=subprocess.DEVNULL,
                    timeout=TIMEOUT_S).returncode == 0 else "fails"
            except subprocess.TimeoutExpired:
                return "fails"
            finally:
                os.unlink(path[:-2])

        as_is = run("original", source)
        if as_is != "passes":
            raise SystemExit("the test as it is: " + as_is)
        todo = list(mutants(source))
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            yield from zip(todo, pool.map(
                lambda k: run(k, source[:todo[k][1]] + todo[k][3]
                              + source[todo[k][2]:]), range(len(todo))))


def main(name, *objects):
    with open(name) as f:
        source = f.read()
    count, bad, equal = {}, 0, list(EQUAL)
    for (how, a, b, new), end in survivors(source, name, list(objects)):
        count[end] = count.get(end, 0) + 1
        was = " ".join(source[a:b].split())
        now = " ".join(new.split()) or "dropped"
        if end == "fails":
            continue
        known = [e for e in equal if e[:2] == (was, now)]
        if end == "passes" and known:
            equal.remove(known[0])
            continue
        print("%s:%d: %s: '%s' -> '%s': %s" % (
            os.path.relpath(name, TOP), source.count("\n", 0, a) + 1, how,
            was, now, end))
        bad += 1
    for was, now, _ in equal:
        print("tests/mutants.py: no mutant '%s' -> '%s' passes" % (was, now))
    print("%d mutants: %d fail, %d pass, %d do not compile; %d to look at"
          % (sum(count.values()), count.get("fails", 0),
             count.get("passes", 0), count.get("does not compile", 0),
             bad + len(equal)))
    return 1 if bad or equal else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
