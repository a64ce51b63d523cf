"""Counts of checks, for the suite package."""
import os
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PACKAGING = os.path.join(ROOT, "packaging")
sys.path.insert(0, PACKAGING)
counts = {"passed": 0, "failed": 0, "skipped": 0}


def check(condition, name, explanation=""):
    counts["passed" if condition else "failed"] += 1
    if not condition:
        print(f"FAIL {name}" + (f": {explanation}" if explanation else ""), flush=True)
    return bool(condition)
