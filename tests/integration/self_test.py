#!/usr/bin/python3
"""The scenarios of the Linux kernel's own WireGuard self-test, with the driver in verify mode, in network namespaces.  In the
order of that list; each makes its own world and takes it away."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import self_test_config  # noqa: E402
import self_test_routing  # noqa: E402
import self_test_sources  # noqa: E402
import self_test_traffic  # noqa: E402
from netlab import DRIVER, NTHOST  # noqa: E402
from scenarios import run_scenarios  # noqa: E402

SCENARIOS = {**self_test_traffic.SCENARIOS, **self_test_routing.SCENARIOS, **self_test_sources.SCENARIOS,
             **self_test_config.SCENARIOS}


def arguments(parser):
    parser.add_argument("--mode", default="verify", choices=("verify", "fast"))


def main():
    return run_scenarios(__doc__, SCENARIOS, ("nft", "tcpdump", NTHOST, DRIVER, "wireguard-go"),
                         lambda scenario, tests, options: scenario(options, tests), arguments)


if __name__ == "__main__":
    sys.exit(main())
