#!/usr/bin/python3
"""The scenarios of the Linux kernel's own WireGuard self-test, with the driver in verify mode, in network namespaces.  In the
order of that list; each makes its own world and takes it away."""

import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import self_test_config  # noqa: E402
import self_test_routing  # noqa: E402
import self_test_sources  # noqa: E402
import self_test_traffic  # noqa: E402
from netlab import DRIVER, NTHOST, LabError, Tests, require  # noqa: E402

SCENARIOS = {**self_test_traffic.SCENARIOS, **self_test_routing.SCENARIOS, **self_test_sources.SCENARIOS,
             **self_test_config.SCENARIOS}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", default="verify", choices=("verify", "fast"))
    parser.add_argument("--list", action="store_true", help="the scenarios")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all")
    options = parser.parse_args()
    if options.list:
        print(*SCENARIOS, sep="\n")
        return 0
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"unknown scenario {unknown[0]} (see --list)")
    tests = Tests()
    try:
        require("nft", "tcpdump", NTHOST, DRIVER, "wireguard-go")
        for name in options.scenarios or SCENARIOS:
            began = time.monotonic()
            print(f"-- {name}", flush=True)
            try:
                SCENARIOS[name](options, tests)
            except LabError as error:
                tests.check(False, f"{name}: {error}")
            print(f"   {time.monotonic() - began:.1f} s", flush=True)
    except LabError as error:
        tests.check(False, str(error))
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
