#!/usr/bin/python3
"""Every test that docs/attack-matrix.md names exists: the suite as a file, each further word in a test's source."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from netlab import Tests  # noqa: E402


def sources():
    """All test sources as one text."""
    texts = []
    for folder, _, names in os.walk(os.path.join(ROOT, "tests")):
        for name in names:
            if name.endswith((".py", ".c", ".h", ".txt")) and name != "matrix.py":
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                    texts.append(name + "\n" + file.read())
    return "\n".join(texts)


def main():
    tests = Tests()
    with open(os.path.join(ROOT, "docs", "attack-matrix.md"), encoding="utf-8") as file:
        text = file.read()
    suites, known = set(os.listdir(os.path.join(ROOT, "tests", "suites"))), sources()
    named = re.findall(r"`(\d\d-[a-z0-9-]+)((?: [A-Za-z0-9_-]+)*)`", text)
    for suite, words in sorted(set(named)):
        tests.check(suite in suites, f"{suite}: no such suite")
        for word in words.split():
            tests.check(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", known), f"{suite}: nothing is called {word}")
    for number in range(1, 26):
        tests.check(re.search(rf"^\| A{number} ", text, re.M), f"row A{number} is missing")
    tests.check(len(named) > 100, f"{len(named)} tests are named")
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
