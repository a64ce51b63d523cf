#!/usr/bin/python3
"""Measures tunnels between two network namespaces joined by a veth pair, the same implementation on both ends, and the levels
below: the driver's pipeline in memory, the crypto.

All subjects are set up at once and measured in turn, round by round, so that what else the machine does hits all of
them.  Absolute figures move with the machine; the ratios, taken within each round, are what counts.
"""

import argparse
import json
import os
import sys

from wyrmbench import figures, machine, runner, subjects
from netlab import LabError  # found by way of wyrmbench

# rounds, then seconds of one TCP run, of one UDP run, of one step of the paced search, echo requests, handshakes of each peer
LENGTHS = {"quick": (5, 1, 0.6, 0.3, 150, 1), "full": (9, 4, 2, 0.6, 400, 2)}
PACED_LIMIT, PACED_LIMIT_GSO = 400_000, 4_000_000  # packets/s, above what one sender manages
FEW_ROUNDS = 5


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="NAME=COMMAND measures another implementation: COMMAND makes the interface that {} in it stands for (if there is "
               "no {}, its last word), stays in the foreground until SIGTERM, and serves /var/run/wireguard/INTERFACE.sock as "
               "wireguard-go does.  Example: --subject 'mine=/opt/mine/wg-userspace --foreground {}'")
    parser.add_argument("length", nargs="?", choices=list(LENGTHS), default="full",
                        help="quick: shorter runs, under fifteen minutes; full (default): about an hour")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5 (quick), 9 (full)")
    parser.add_argument("--seconds", type=int, metavar="N", help="of each TCP run; default 1 (quick), 4 (full)")
    parser.add_argument("--subject", action="append", metavar="NAME[=COMMAND]",
                        help="may be repeated; ratios are the first one's; default: wyrm wyrm-engine wireguard-go floor-io floor-aead")
    parser.add_argument("--test", action="append", metavar="NAME", help="may be repeated; default: all; see --list")
    parser.add_argument("--list", action="store_true", help="names of subjects and tests, and what they are")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--html", metavar="FILE", help="write the report there: one file with plots, nothing else needed")
    parser.add_argument("--from-json", metavar="FILE", help="measure nothing, show and draw the figures of an earlier --json")
    options = parser.parse_args()
    rounds, seconds, udp_seconds, paced_seconds, pings, passes = LENGTHS[options.length]
    options.rounds = rounds if options.rounds is None else options.rounds
    seconds = seconds if options.seconds is None else options.seconds
    if options.rounds < 1 or seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    try:
        options.subjects = [subjects.parse(text) for text in dict.fromkeys(options.subject or subjects.BUILT_IN)]
    except ValueError as error:
        parser.error(f"--subject: {error}")
    if len({one.name for one in options.subjects}) != len(options.subjects):
        parser.error("--subject: each name once")
    options.chosen = list(dict.fromkeys(options.test or []))
    for test in options.chosen:
        if test not in runner.TESTS:
            parser.error(f"--test: unknown test '{test}' (see --list)")
    options.tests = [test for test in runner.TESTS if test in options.chosen or not options.chosen]
    options.settings = {"seconds": seconds, "udp_seconds": udp_seconds, "paced_seconds": paced_seconds, "pings": pings,
                        "handshake_passes": passes,
                        "paced_limit": PACED_LIMIT, "paced_limit_gso": PACED_LIMIT_GSO}
    return parser, options


def open_output(parser, option, path):
    """Opened now: a name that cannot be written must not cost the whole run."""
    try:
        return open(path, "a", encoding="utf-8") if path else None
    except OSError as error:
        return parser.error(f"{option} {path}: {error.strerror}")


def write(file, text):
    with file:
        file.truncate(0)
        file.write(text)


def measure(options):
    about = machine.describe()
    values = runner.run(options.subjects, options.tests, options.chosen, options.rounds, options.settings)
    about["load_after"] = round(os.getloadavg()[0], 2)
    about["rounds"], about["seconds"] = options.rounds, options.settings["seconds"]
    return figures.document(about, values, [one.name for one in options.subjects], options.rounds)


def main():
    parser, options = arguments()
    if options.list:
        print("subjects:", ", ".join(subjects.BUILT_IN), "and NAME=COMMAND")
        figures.table([(f"  {name}", what) for name, what in runner.TESTS.items()], "ll")
        return 0
    output = open_output(parser, "--json", options.json)
    page = open_output(parser, "--html", options.html)
    if os.environ.get("ONLY_CHECK_ARGUMENTS"):
        return 0
    try:
        if options.from_json:
            with open(options.from_json, encoding="utf-8") as file:
                result = json.load(file)
        else:
            result = measure(options)
    except KeyboardInterrupt:
        return 130
    except (LabError, OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(machine.sentence(result["machine"]) + "\n")
    if result["rows"]:
        figures.show(result)
    for failure in result["failures"]:
        print(f"bench: {failure}")
    if result["machine"]["rounds"] < FEW_ROUNDS:
        print(f"bench: fewer than {FEW_ROUNDS} rounds: take the figures as a first look only")
    if output:
        write(output, json.dumps(result, indent=1) + "\n")
    if page:
        from wyrmbench import report  # pylint: disable=import-outside-toplevel
        write(page, report.page(result))
    return 1 if result["failures"] or not result["rows"] else 0


if __name__ == "__main__":
    sys.exit(main())
