"""The parts of ./bench: subjects, measurements, figures, report."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
BUILT = os.path.join(ROOT, "build", "linux", "benchmarks")
