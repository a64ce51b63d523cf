"""Levels without Linux's input and output: cycles of the crypto, of the driver's pipeline in memory, and the scaling model."""

import json
import os
import subprocess
import sys
import tempfile

from netlab import DRIVER, LabError

from . import BUILT, ROOT

CRYPTO = os.path.join(BUILT, "crypto", "bench_crypto")
PIPELINE = os.path.join(BUILT, "pipeline", "bench_pipeline")
SCALING = os.path.join(ROOT, "benchmarks", "scaling", "model.py")
CRYPTO_BATCH = 32
POINTS_OF_A_RESPONSE = 3  # es, ee, se; the static-static one is precomputed. And the ephemeral public key


def finished(command, timeout=180):
    """Its standard output."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{os.path.basename(command[0])}: no end within {timeout} s") from error
    if done.returncode != 0:
        raise LabError(f"{os.path.basename(command[0])}: status {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


def rows_from(program, *arguments):
    text = finished([program, "--json", *arguments])
    try:
        return json.loads(text)
    except ValueError as error:
        raise LabError(f"{os.path.basename(program)}: not JSON: {text[:200]}") from error


def crypto(values, number):
    """Seal and open, in batches of 32, of every core that this processor has, and of libcrypto in the same run."""
    result = rows_from(CRYPTO, "--rounds", "51")
    for row in result["rows"]:
        if row["batch"] == CRYPTO_BATCH:
            metric = row["metric"] + ("" if row["operation"] == "seal" else "_open")
            values.add(number, row["subject"], row["test"], {metric: row["median"]})
    cycles = {"cycles": result["x25519"], "cycles_base": result["x25519_base"]}
    if result["x25519_wide"]:
        cycles["cycles_wide"] = result["x25519_wide"]
    values.add(number, "wyrm", "x25519", cycles)


def pipeline(values, number):
    """The driver with memory at both edges; the way back has metrics of its own."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "rows.json")
        finished([PIPELINE, DRIVER, "--rounds", "5", "--json", path])
        with open(path, encoding="utf-8") as file:
            values.costs = file.read()
    for row in json.loads(values.costs)["rows"]:
        metric = "crypto_cycles_per_packet" if row["metric"] == "aead_alone_cycles" else row["metric"]
        values.add(number, row["subject"], row["test"],
                   {metric + ("_receive" if row["operation"] == "receive" else ""): row["median"]})


def scaling(values):
    """The model, with the costs that the pipeline was just measured to have, or else its own."""
    with tempfile.TemporaryDirectory() as directory:
        path, costs = os.path.join(directory, "rows.json"), os.path.join(directory, "costs.json")
        if values.costs:
            with open(costs, "w", encoding="utf-8") as file:
                file.write(values.costs)
        finished([sys.executable, SCALING, "--json", path] + (["--costs", costs] if values.costs else []), 600)
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["rows"]
    for row in rows:
        scenario = row["scenario"].replace(",", "").replace(" ", "-")
        values.add_ready({"subject": "wyrm", "test": f"scale-{scenario}-{row['size']}-cpus-{row['cpus']}", "metric": "pps",
                          "median": row["pps"]})


def handshakes_against_x25519(values, tsc_hz):
    """Of the rounds that measured both: the time that the X25519 of a response take alone, one by one with the verified field and
    eight together, in all CPU time of a response.  Above 1: the driver does them together."""
    def cycles(metric):
        return values.numbers.get(("wyrm", "x25519", metric), {})
    for number, spent in list(values.numbers.get(("wyrm", "handshakes", "cpu_us"), {}).items()):
        if tsc_hz and number in cycles("cycles"):
            point = cycles("cycles")[number]
            alone = POINTS_OF_A_RESPONSE * point + cycles("cycles_base").get(number, point)
            parts = {"of_x25519": alone / tsc_hz * 1e6 / spent}
            if number in cycles("cycles_wide"):
                together = (POINTS_OF_A_RESPONSE + 1) * cycles("cycles_wide")[number]
                parts["of_x25519_wide"] = together / tsc_hz * 1e6 / spent
            values.add(number, "wyrm", "handshakes", parts)
