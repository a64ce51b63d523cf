"""Counts of a suite under Wine, and the frame around its parts."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import Lab, LabError, require  # noqa: E402


class Results:
    """Counts; a program's own lines and ours."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, text, more=""):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print(("ok " if good else "FAILED ") + text + ("" if good or not more else f": {more}"), flush=True)
        return good

    def program(self, name, output, status):
        """Adds up the counts that a program printed last; without them it has failed."""
        lines = output.split("\n")
        counts = [line.split() for line in lines if line.startswith("counts ")]
        for line in lines:
            if line.startswith("FAILED ") or (line and not counts):
                print(f"{name}: {line}")
        if not counts:
            return self.check(False, f"{name}: no result (status {status})")
        self.passed, self.failed = self.passed + int(counts[-1][1]), self.failed + int(counts[-1][2])
        print(f"{name}: {counts[-1][1]} passed, {counts[-1][2]} failed")
        return status == 0


def run_suite(needed, body):
    """body(lab, results) in a laboratory of its own, when the files that are needed exist; the summary line.  The exit status."""
    results, lab = Results(), None
    try:
        require(*needed)
        lab = Lab()
        body(lab, results)
    except LabError as error:
        results.check(False, str(error))
    finally:
        if lab:
            lab.close()
    print(f"{results.passed} passed, {results.failed} failed, 0 skipped")
    return results.failed != 0
