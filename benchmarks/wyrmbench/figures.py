"""Values of rounds become rows (median, extremes) and ratios, which are formed within each round: only those can be trusted on
a machine that others use as well."""

import re
import statistics

HIGHER, LOWER = "higher", "lower"

# metric: (unit, which direction is better)
METRICS = {
    "mbps": ("Mbit/s", HIGHER),
    "mbps_reverse": ("Mbit/s", HIGHER),
    "kept": ("of the rate without", HIGHER),
    "pps": ("packets/s", HIGHER),
    "flood_pps": ("initiations/s sent", HIGHER),
    "loss_percent": ("%", LOWER),
    "cpu_s_per_gb": ("s/GB, both processes", LOWER),
    "cpu_s_per_gb_sender": ("s/GB", LOWER),
    "cpu_s_per_gb_receiver": ("s/GB", LOWER),
    "cpu_s_per_mpkt": ("s/million packets, both processes", LOWER),
    "cpu_s_per_mpkt_sender": ("s/million packets", LOWER),
    "cpu_s_per_mpkt_receiver": ("s/million packets", LOWER),
    "p50_us": ("us", LOWER),
    "p99_us": ("us", LOWER),
    "p50_alone_us": ("us", LOWER),
    "p99_alone_us": ("us", LOWER),
    "p50_outside_us": ("us", LOWER),
    "p99_outside_us": ("us", LOWER),
    "p50_times_alone": ("times that with nothing else", LOWER),
    "p99_times_alone": ("times that with nothing else", LOWER),
    "p50_times_outside": ("times that beside a stream outside", LOWER),
    "p99_times_outside": ("times that beside a stream outside", LOWER),
    "rss_mb": ("MB", LOWER),
    "peak_rss_mb": ("MB", LOWER),
    "per_second": ("answered/s", HIGHER),
    "per_second_cookies": ("answered/s", HIGHER),
    "cpu_us": ("us of CPU each", LOWER),
    "cpu_us_cookies": ("us of CPU each", LOWER),
    "of_x25519": ("of what X25519 alone allows, one by one", HIGHER),
    "of_x25519_wide": ("of what X25519 alone allows, eight together", HIGHER),
    "set_ms": ("ms", LOWER),
    "show_ms": ("ms", LOWER),
    "cycles": ("TSC cycles", LOWER),
    "cycles_base": ("TSC cycles", LOWER),
    "cycles_wide": ("TSC cycles", LOWER),
    "cycles_per_packet": ("TSC cycles", LOWER),
    "cycles_per_packet_open": ("TSC cycles", LOWER),
    "cycles_per_packet_with_host": ("TSC cycles", LOWER),
    "crypto_cycles_per_packet": ("TSC cycles", LOWER),
    "beside_times_alone": ("times that with nothing else", LOWER),
    "beside_p99_times_alone": ("times that with nothing else", LOWER),
    "ratio_to_crypto": ("of the crypto alone", LOWER),
    "ratio_to_crypto_with_host": ("of the crypto alone", LOWER),
}
NOT_COMPARED = ("kept", "flood_pps", "loss_percent", "of_x25519", "of_x25519_wide")
CRYPTO_BASELINE = "libcrypto"


def unit_of(metric):
    """(unit, better direction); the pipeline's way back and its stages follow their names."""
    metric = metric.removesuffix("_receive")
    if metric.endswith("_cycles"):
        return METRICS["cycles"]
    return METRICS["pps"] if metric.startswith("pps_") else METRICS.get(metric, ("", HIGHER))


class Values:
    """What the rounds gave: numbers by (subject, test, metric) and round, pooled samples, rows that came ready, and failures."""

    def __init__(self):
        self.numbers, self.samples, self.ready, self.failures = {}, {}, [], []
        self.costs = None  # what the pipeline wrote, for the model

    def add(self, number, subject, test, metrics):
        for metric, value in metrics.items():
            if isinstance(value, list):
                self.samples.setdefault((subject, test), []).extend(value)
            elif value is not None:
                self.numbers.setdefault((subject, test, metric), {})[number] = value

    def fail(self, text):
        self.failures.append(text)

    def add_ready(self, row):
        """A row of a program that forms its own medians."""
        unit = unit_of(row["metric"])[0]
        median = row["median"]
        self.ready.append({"subject": row["subject"], "test": row["test"], "metric": row["metric"],
                           "unit": row.get("unit") or unit, "median": median, "min": row.get("min", median),
                           "max": row.get("max", median), "n": row.get("n", 1)})


def significant(value, digits=5):
    return float(f"{value:.{digits}g}")


def spread(numbers):
    return {"median": significant(statistics.median(numbers)), "min": significant(min(numbers)),
            "max": significant(max(numbers)), "n": len(numbers)}


def rows_of(values):
    rows = [{"subject": subject, "test": test, "metric": metric, "unit": unit_of(metric)[0], **spread(list(rounds.values()))}
            for (subject, test, metric), rounds in values.numbers.items()]
    return rows + values.ready


def ratios_of(values, pairs, minimum=1):
    """For each pair (subject, other): subject's value divided by other's, of the rounds that have both."""
    ratios = []
    for subject, other in pairs:
        for (name, test, metric), mine in values.numbers.items():
            theirs = values.numbers.get((other, test, metric))
            if name != subject or not theirs or metric in NOT_COMPARED:
                continue
            quotients = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
            if len(quotients) >= minimum:
                ratios.append({"subject": subject, "against": other, "test": test, "metric": metric,
                               "better": unit_of(metric)[1], **spread(quotients)})
    return ratios


def pairs_of(values, names):
    """The first tunnel subject against every other; every crypto core against libcrypto."""
    pairs = [(names[0], other) for other in names[1:]] if names else []
    cores = dict.fromkeys(subject for subject, test, _ in values.numbers if test.startswith("aead-"))
    return pairs + [(core, CRYPTO_BASELINE) for core in cores if core != CRYPTO_BASELINE]


def percentiles_of(values, points=200):
    """{subject: {test: [value at 0, 1/points ... 1]}} of the pooled samples."""
    result = {}
    for (subject, test), sample in values.samples.items():
        ordered = sorted(sample)
        last = len(ordered) - 1
        result.setdefault(subject, {})[test] = [round(ordered[round(last * i / points)], 1) for i in range(points + 1)]
    return result


def check_complete(values, rounds):
    """Whoever gave something in one round has to give it in all."""
    for (subject, test, metric), numbers in values.numbers.items():
        if len(numbers) != rounds and len(numbers) < rounds:
            values.fail(f"{subject} {test} {metric}: {rounds - len(numbers)} of {rounds} rounds gave nothing")


def document(machine, values, names, rounds):
    """The whole result, as --json writes it and the report draws it."""
    check_complete(values, rounds)
    return {"machine": machine, "rows": rows_of(values), "ratios": ratios_of(values, pairs_of(values, names)),
            "percentiles": percentiles_of(values), "failures": values.failures}


# ---- on the terminal ----
LEVELS = ("aead", "x25519", "pipeline")
MODEL = "scale-"  # many rows that only a plot makes readable
DETAILS = ("_sender", "_receiver", "_with_host")  # in the JSON, not on the terminal


def table(lines, alignment):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(width) if side == "l" else cell.rjust(width)
                 for cell, width, side in zip(line, widths, alignment)]
        print("  ".join(cells).rstrip())


def detail(metric):
    return metric.removesuffix("_receive").endswith(DETAILS) or metric.startswith("stage_")


def natural(text):
    """Sorts the numbers in names as numbers."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def matrix(rows, ratios):
    """One line for each test and metric, a column of medians for each subject, then the ratios with their spread."""
    subjects = list(dict.fromkeys(row["subject"] for row in rows))
    against = list(dict.fromkeys((row["subject"], row["against"]) for row in ratios))
    medians = {(row["test"], row["metric"], row["subject"]): row["median"] for row in rows}
    quotients = {(row["test"], row["metric"], row["subject"], row["against"]): row for row in ratios}
    units = {(row["test"], row["metric"]): row["unit"] for row in rows}
    lines = [("test", "metric", *subjects, *(f"{one}/{other}" for one, other in against), "unit")]
    for test, metric in sorted(units, key=lambda key: (natural(key[0]), key[1])):
        line = [test, metric]
        for subject in subjects:
            value = medians.get((test, metric, subject))
            line.append("-" if value is None else f"{value:.4g}" if value < 1000 else f"{value:.0f}")
        for one, other in against:
            row = quotients.get((test, metric, one, other))
            line.append(f"{row['median']:.2f} ({row['min']:.2f}-{row['max']:.2f})" if row else "-")
        lines.append((*line, units[test, metric]))
    table(lines, "ll" + "r" * (len(subjects) + len(against)) + "l")


def show(result):
    """Medians side by side; everything else is in the JSON."""
    for level in (False, True):
        rows = [row for row in result["rows"]
                if not row["test"].startswith(MODEL) and row["test"].startswith(LEVELS) == level and not detail(row["metric"])]
        if rows:
            matrix(rows, [row for row in result["ratios"]
                          if row["test"].startswith(LEVELS) == level and not detail(row["metric"])])
            print()
