"""Levels without Linux's input and output: cycles of the crypto, of the driver's pipeline in memory, and the scaling model."""

import json
import os
import subprocess

from netlab import LabError

from . import BUILT

CRYPTO = os.path.join(BUILT, "crypto", "bench_crypto")
PIPELINE = os.path.join(BUILT, "pipeline", "bench_pipeline")
SCALING = os.path.join(BUILT, "pipeline", "bench_scaling")
CRYPTO_BATCH = 32
X25519_OF_A_RESPONSE = 4  # ephemeral key, es, ee, se; the static-static one is precomputed


def rows_from(program, *arguments, timeout=180):
    done = subprocess.run([program, "--json", *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise LabError(f"{os.path.basename(program)}: status {done.returncode}: {done.stderr.strip()[-400:]}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise LabError(f"{os.path.basename(program)}: not JSON: {done.stdout[:200]}") from error


def crypto(values, number):
    """Seal and open, in batches of 32, of every core that this processor has, and of libcrypto in the same run."""
    result = rows_from(CRYPTO, "--rounds", "51")
    for row in result["rows"]:
        if row["batch"] == CRYPTO_BATCH:
            metric = row["metric"] + ("" if row["operation"] == "seal" else "_open")
            values.add(number, row["subject"], row["test"], {metric: row["median"]})
    values.add(number, "wyrm", "x25519", {"cycles": result["x25519"]})


def pipeline(values, number):
    for row in rows_from(PIPELINE)["rows"]:
        values.add(number, row["subject"], row["test"], {row["metric"]: row["median"]})


def scaling(values):
    for row in rows_from(SCALING)["rows"]:
        values.add_ready(row)


def handshakes_against_x25519(values, tsc_hz):
    """Of the rounds that measured both: X25519 time of a response as a part of all CPU time of a response."""
    cycles = values.numbers.get(("wyrm", "x25519", "cycles"), {})
    for number, spent in list(values.numbers.get(("wyrm", "handshakes", "cpu_us"), {}).items()):
        if tsc_hz and number in cycles:
            alone = X25519_OF_A_RESPONSE * cycles[number] / tsc_hz * 1e6
            values.add(number, "wyrm", "handshakes", {"of_x25519": alone / spent})
