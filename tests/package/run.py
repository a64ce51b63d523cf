#!/usr/bin/python3
"""The suite package."""
import sys

from results import counts

import catalogue_tests
import inf_tests
import installer_tests
import package_tests

inf_tests.run()
catalogue_tests.run()
installer_tests.run()
package_tests.run()
print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
sys.exit(0 if counts["passed"] and not counts["failed"] else 1)
