"""The report's plots, each with the sentence of what it says.  A section whose figures are missing is left out."""

import re

from . import charts
from .svg import number, times

TUNNELS = ("wyrm", "wyrm-engine", "wireguard-go", "floor-aead", "floor-io")
SIZES = (64, 512, 1280, 1400)
MODELLED_BYTES = 1420
MODEL_COLOURS = ("wyrm", "wireguard-go", "batch-avx2", "floor-aead", "libcrypto-rekeyed")
CORES = ("batch-avx512", "batch-avx2", "batch-ssse3", "batch-sse2", "libcrypto")


class Data:
    """Rows and ratios by name."""

    def __init__(self, result):
        self.result = result
        self.rows = {(row["subject"], row["test"], row["metric"]): row for row in result["rows"]}
        self.ratios = {(row["subject"], row["against"], row["test"], row["metric"]): row for row in result["ratios"]}
        names = dict.fromkeys(row["subject"] for row in result["rows"])
        others = [name for name in names if name not in TUNNELS and name not in CORES and not name.startswith(("batch", "lib"))]
        self.tunnels = [name for name in TUNNELS if name in names] + others
        self.palette = charts.Palette(names)

    def median(self, subject, test, metric):
        row = self.rows.get((subject, test, metric))
        return row["median"] if row else None

    def ratio(self, against, test, metric, subject="wyrm"):
        row = self.ratios.get((subject, against, test, metric))
        return row["median"] if row else None

    def of(self, test, metric):
        """[(subject, row)] of the tunnels that have it."""
        return [(name, self.rows[name, test, metric]) for name in self.tunnels if (name, test, metric) in self.rows]


def sentence(*parts):
    """The parts whose figures there are."""
    return " ".join(part for part in parts if part)


def say(text, *figures):
    return text.format(*figures) if all(figure is not None for figure in figures) else ""


def throughput(data):
    wanted = (("One stream", "tcp1", "mbps"), ("One stream back", "tcp1", "mbps_reverse"), ("Four streams", "tcp4", "mbps"),
              ("Four back", "tcp4", "mbps_reverse"), ("Wire cannot segment", "tcp1-wire-off", "mbps"),
              ("Under a flood", "tcp1-flood", "mbps"), ("10,000 peers", "tcp1-10000-peers", "mbps"))
    groups = [(name, data.of(test, metric)) for name, test, metric in wanted if data.of(test, metric)]
    if not groups:
        return None
    io, aead = data.ratio("floor-io", "tcp1", "mbps"), data.ratio("floor-aead", "tcp1", "mbps")
    return ("Throughput", sentence(
        say("One TCP stream through Wyrm runs at {0} Mbit/s.", number(data.median("wyrm", "tcp1", "mbps")) if data.median("wyrm", "tcp1", "mbps") else None),
        say("That is {0:.0%} of what moving the packets alone allows,", io),
        say("and {0:.2f} times a tunnel that pays one libcrypto pass per packet and has no protocol.", aead),
        say("The native path moves {0:.2f} times what the same protocol does as a process of its own, the user-space engine.",
            data.ratio("wyrm-engine", "tcp1", "mbps"))),
        charts.bars("TCP throughput", data.palette, groups, "Mbit/s"))


def cpu(data):
    groups = []
    for name, test in (("One stream", "tcp1"), ("Four streams", "tcp4"), ("Wire cannot segment", "tcp1-wire-off")):
        entries = []
        for subject in data.tunnels:
            sender = data.median(subject, test, "cpu_s_per_gb_sender")
            receiver = data.median(subject, test, "cpu_s_per_gb_receiver")
            if sender is not None and receiver is not None:
                entries.append((subject, [("sender", sender), ("receiver", receiver)]))
        if entries:
            groups.append((name, entries))
    if not groups:
        return None
    mine, theirs = data.median("wyrm", "tcp1", "cpu_s_per_gb"), data.median("wireguard-go", "tcp1", "cpu_s_per_gb")
    return ("CPU time per GB", sentence(
        say("A gigabyte costs both Wyrm processes together {0:.2g} seconds of CPU", mine) + (say(", wireguard-go {0:.2g}", theirs) + "." if mine else ""),
        "Full colour: the sending process; pale: the receiving one."),
        charts.stacked("CPU seconds per GB", data.palette, groups, "s/GB"))


def latency(data):
    plots = []
    for test, name in (("ping-idle", "Nothing else in the tunnel"), ("ping-loaded", "Beside a TCP stream"),
                       ("ping-beside", "Beside a TCP stream to another peer")):
        curves = data.result.get("percentiles", {})
        series = [(subject, curves[subject][test]) for subject in data.tunnels if test in curves.get(subject, {})]
        if series:
            plots.append(f"<div><h3>{name}</h3>{charts.percentiles('Latency: ' + name, data.palette, series, 'µs', 540)}</div>")
    if not plots:
        return None
    idle, idle_ratio = data.median("wyrm", "ping-idle", "p50_us"), data.ratio("wireguard-go", "ping-idle", "p50_us")
    loaded, loaded_ratio = data.median("wyrm", "ping-loaded", "p99_us"), data.ratio("wireguard-go", "ping-loaded", "p99_us")
    return ("Latency", sentence(
        say("Idle, half of all echo requests are back within {0} µs", number(idle) if idle else None) + (say(", {0:.2f} of wireguard-go's time", idle_ratio) + "." if idle else ""),
        say("Beside a TCP stream 99 of 100 are back within {0} ms", number(loaded / 1000) if loaded else None) + (say(", {0:.2f} of wireguard-go's", loaded_ratio) + "." if loaded else ""),
        "Lower is better; every step to the right is a rarer, slower answer."),
        f'<div class="pair">{"".join(plots)}</div>')


def packet_rate(data):
    series = []
    for subject in data.tunnels:
        points = [(size, data.rows[subject, f"udp{size}", "pps"]) for size in SIZES if (subject, f"udp{size}", "pps") in data.rows]
        if len(points) > 1:
            series.append((subject, subject, points))
    groups = [(name, data.of(test, "pps")) for name, test in (
        ("64 B, ≤ 1 % loss", "udp64-paced"), ("sender segments", "udp64-gso-paced"), ("flat out, segments", "udp64-gso"))
        if data.of(test, "pps")]
    if not series and not groups:
        return None
    ratio, gso = data.ratio("wireguard-go", "udp64-paced", "pps"), data.ratio("wireguard-go", "udp64-gso-paced", "pps")
    plot = (charts.lines("Packets per second by size", data.palette, series, "packets/s received", SIZES, "bytes of UDP", even=True)
            if series else "")
    plot += charts.bars("Packets per second of 64 bytes", data.palette, groups, "packets/s") if groups else ""
    return ("Packet rate by size", sentence(
        say("With at most 1 % loss Wyrm carries {0:.1f} times as many 64-byte packets as wireguard-go,", ratio),
        say("and {0:.1f} times as many when the sender lets the kernel segment, as QUIC servers do.", gso),
        "The curves are a sender that never waits; the bars below a rate that the tunnel keeps up with."), plot)


def peers(data):
    plots = []
    for metric, name in (("set_ms", "Configuring"), ("rss_mb", "Memory")):
        series = []
        for subject in data.tunnels:
            points = sorted((int(test[7:]), row) for (who, test, what), row in data.rows.items()
                            if who == subject and what == metric and test.startswith("config-"))
            if len(points) > 1:
                series.append((subject, subject, points))
        if series:
            ticks = [x for x, _ in series[0][2]]
            unit = "milliseconds" if metric == "set_ms" else "MB resident"
            plots.append(f"<div><h3>{name} 1 to {max(ticks):,} peers</h3>"
                         f"{charts.lines(name, data.palette, series, unit, ticks, 'configured peers', 540)}</div>")
    kept, mine = data.median("wyrm", "tcp1-10000-peers", "kept"), data.median("wyrm", "config-10000", "set_ms")
    if not plots:
        return None
    return ("Scaling by peers", sentence(
        say("10,000 peers are configured in {0} ms,", number(mine) if mine else None),
        say("and with them one TCP stream keeps {0:.0%} of its rate.", kept)), f'<div class="pair">{"".join(plots)}</div>')


def streams_and_cpus(data):
    plots = []
    series = []
    for subject in data.tunnels:
        points = [(n, data.rows[subject, f"tcp{n}", "mbps"]) for n in (1, 4) if (subject, f"tcp{n}", "mbps") in data.rows]
        if len(points) == 2:
            series.append((subject, subject, points))
    if series:
        plots.append(f"<div><h3>TCP streams, measured</h3>"
                     f"{charts.lines('Scaling by streams', data.palette, series, 'Mbit/s', (1, 4), 'streams', 540)}</div>")
    modelled = model_series(data)
    if modelled:
        plots.append(f"<div><h3>CPUs, modelled, packets of {MODELLED_BYTES} bytes</h3>"
                     f"{charts.lines('Scaling by CPUs', charts.Palette(MODEL_COLOURS), modelled, 'packets/s', cpu_ticks(modelled), 'CPUs', 540)}</div>")
    if not plots:
        return None
    one, four = data.median("wyrm", "tcp1", "mbps"), data.median("wyrm", "tcp4", "mbps")
    said = [f"{label} {points[-1][1]['median'] / points[0][1]['median']:.0f} times" for _, label, points in modelled]
    most = modelled[0][2][-1][0] if modelled else None
    return ("Scaling by streams" + (" and CPUs" if modelled else ""), sentence(
        say("Four streams together reach {0:.0%} of one.", four / one if one and four else None),
        say("In the model, calibrated with measured costs, {0} CPUs carry, of what one carries: {1}.", most, ", ".join(said))),
        f'<div class="pair">{"".join(plots)}</div>')


def cpu_ticks(series):
    return sorted({x for _, _, points in series for x, _ in points if x & (x - 1) == 0})


def model_series(data):
    """[(stand-in for a colour, scenario, points)] of the model's rows."""
    found = {}
    for (_, test, metric), row in data.rows.items():
        match = re.fullmatch(rf"scale-(.+)-{MODELLED_BYTES}-cpus-(\d+)", test)
        if match and metric == "pps":
            found.setdefault(match.group(1).replace("-", " "), []).append((int(match.group(2)), row))
    return [(MODEL_COLOURS[index % len(MODEL_COLOURS)], scenario, sorted(points, key=lambda point: point[0]))
            for index, (scenario, points) in enumerate(found.items()) if len(points) > 1]


def cycles(data):
    series = []
    for core in CORES:
        points = sorted(((int(test[5:]), row) for (who, test, metric), row in data.rows.items()
                         if who == core and metric == "cycles_per_packet" and test.startswith("aead-")), key=lambda point: point[0])
        if len(points) > 1:
            series.append((core, core, points))
    if not series:
        return None
    best = series[0][0]
    big = data.ratio("libcrypto", "aead-1420", "cycles_per_packet", best)
    small = data.ratio("libcrypto", "aead-64", "cycles_per_packet", best)
    return ("Crypto: cycles for a packet", sentence(
        say("{0} seals 1420 bytes {1} as fast as libcrypto packet by packet", best, times(1 / big) if big else None) + (
            say(", and 64 bytes {0} as fast", times(1 / small) if small else None) + "." if big else ""),
        "Batches of 32 packets; cycles of the time-stamp counter; lower is better."),
        charts.lines("Cycles per packet by size", data.palette, series, "cycles per packet", [x for x, _ in series[0][2]], "bytes", even=True))


def pipeline(data):
    series = []
    for metric, label, stand_in in (("cycles_per_packet", "transmit", "wyrm"), ("cycles_per_packet_receive", "receive", "batch-avx2"),
                                    ("crypto_cycles_per_packet", "crypto alone", "wireguard-go")):
        points = sorted(((int(test[9:]), row) for (_, test, what), row in data.rows.items()
                         if what == metric and re.fullmatch(r"pipeline-\d+", test)), key=lambda point: point[0])
        if len(points) > 1:
            series.append((stand_in, label, points))
    if not series:
        return None
    whole = data.median("wyrm", "pipeline-1420", "cycles_per_packet")
    alone = data.median("wyrm", "pipeline-1420", "crypto_cycles_per_packet")
    palette = charts.Palette([stand_in for stand_in, _, _ in series])
    return ("The driver alone, in memory", sentence(
        say("From the stack's packet to the datagram the driver spends {0} cycles on 1420 bytes,", number(whole) if whole else None),
        say("{0:.2f} times the crypto.", whole / alone if whole and alone else None)),
        charts.lines("Driver pipeline", palette, series, "cycles per packet", [x for x, _ in series[0][2]], "bytes", even=True) +
        stages(data))


def stages(data):
    """Where the driver's time goes, of the smallest and the largest packets."""
    groups = []
    for size in (1420, 64):
        for suffix, way in (("", "sending"), ("_receive", "receiving")):
            parts = [(metric.removesuffix("_receive")[6:-7], row["median"]) for (_, test, metric), row in data.rows.items()
                     if test == f"pipeline-{size}" and metric.startswith("stage_") and metric.endswith("_receive") == bool(suffix) and row["median"] > 0]
            if parts:
                groups.append((f"{way} {size} bytes", parts))
    return charts.profile("Stages of the driver", groups, "cycles") if groups else ""


def handshakes(data):
    groups = [(name, data.of("handshakes", metric)) for name, metric in (
        ("Not under load", "per_second"), ("With cookies", "per_second_cookies")) if data.of("handshakes", metric)]
    if not groups:
        return None
    return ("Handshakes", sentence(
        say("Wyrm answers {0} handshakes a second on this machine, load generator included,", number(data.median("wyrm", "handshakes", "per_second") or 0)),
        say("{0:.1f} times as many as wireguard-go.", data.ratio("wireguard-go", "handshakes", "per_second"))),
        charts.bars("Handshakes answered per second", data.palette, groups, "a second"))


SECTIONS = (throughput, cpu, latency, packet_rate, streams_and_cpus, peers, cycles, pipeline, handshakes)
