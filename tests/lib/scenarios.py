"""The command line of a suite that is made of named scenarios: runs all of them or those asked for, each to its end whatever
became of the one before, and prints the summary line."""

import argparse
import subprocess
import time

import wgpeer
from netlab import LabError, Tests, require
from nthost_control import Refused, StatusError

FAILURES = (LabError, StatusError, Refused, wgpeer.ProtocolError, OSError, subprocess.SubprocessError)


def run_scenarios(description, scenarios, needs, call=None, arguments=None):
    """The exit status.  `scenarios`: functions by name; `needs`: programs and files, for netlab.require(); `call(function, tests,
    options)`: how one is called (default: function(tests)); `arguments(parser)` adds options."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the scenarios' names")
    if arguments:
        arguments(parser)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all, " + ", ".join(scenarios))
    options = parser.parse_args()
    if options.list:
        print(*scenarios, sep="\n")
        return 0
    unknown = [name for name in options.scenarios if name not in scenarios]
    if unknown:
        parser.error(f"unknown scenario {unknown[0]} (there are {', '.join(scenarios)})")
    tests = Tests()
    try:
        require(*needs)
        for name in options.scenarios or scenarios:
            print(f"-- {name}", flush=True)
            began = time.monotonic()
            try:
                if call:
                    call(scenarios[name], tests, options)
                else:
                    scenarios[name](tests)
            except FAILURES as error:
                tests.check(False, f"{name}: {error}" if isinstance(error, LabError) else f"{name}: {error!r}")
            print(f"   {time.monotonic() - began:.1f} s", flush=True)
    except LabError as error:
        tests.check(False, str(error))
    return tests.finish()
