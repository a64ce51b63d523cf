#!/usr/bin/python3
"""The user-space engine: its unit test, and the driver's interoperability suites with the engine as subject.  The parts mostly
wait, for timers and for ping: they run beside each other."""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, "tests", "integration")
SUBJECT = ["--subject", "wyrm-engine"]
PARTS = {
    "unit test": [os.path.join(ROOT, "build", "linux", "tests", "unit", "engine", "test_engine")],
    "families": [os.path.join(HERE, "interop.py")] + SUBJECT + ["families", "wrong-psk"],
    "changes": [os.path.join(HERE, "interop.py")] + SUBJECT + ["roaming", "listen-port", "down-up", "deleted", "program", "tcp", "many-peers"],
    "load": [os.path.join(HERE, "interop.py")] + SUBJECT + ["wyrm-under-load", "other-under-load"],
    "tools": [os.path.join(HERE, "stock_tools.py")] + SUBJECT,
}
PATIENCE_SECONDS = 400


def finish(name, process, output):
    """[passed, failed, skipped] of a part's last line; a part that ends otherwise has failed."""
    try:
        status = process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()  # its laboratory goes with it
        status = f"no end within {PATIENCE_SECONDS} s, {process.wait(60)}"
    output.seek(0)
    text = output.read()
    print(f"==== {name}\n{text}", end="", flush=True)
    match = re.search(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", text.splitlines()[-1] if text else "")
    counts = [int(number) for number in match.groups()] if match else [0, 1, 0]
    if status != 0 and counts[1] == 0:
        counts[1] = 1
        print(f"{name}: status {status}")
    return counts


def main():
    running = []
    for name, command in PARTS.items():
        output = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        running.append((name, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output), output))
    counts = [finish(*one) for one in running]
    print("{} passed, {} failed, {} skipped".format(*map(sum, zip(*counts))))
    return 1 if any(one[1] for one in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
