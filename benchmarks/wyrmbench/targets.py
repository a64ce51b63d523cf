"""What was set out to be reached, as ratios of medians within rounds."""

# subject, against, test, metric, ratio, what the comparison is called
TARGETS = (
    ("wyrm", "wireguard-go", "tcp1", "mbps", 8, "TCP, one stream"),
    ("wyrm", "wireguard-go", "tcp1", "mbps_reverse", 8, "TCP, one stream, other way"),
    ("wyrm", "wireguard-go", "tcp4", "mbps", None, "TCP, four streams"),
    ("wyrm", "wireguard-go", "tcp1", "cpu_s_per_gb", None, "CPU time per GB"),
    ("wyrm", "wireguard-go", "udp64-paced", "pps", 1.5, "64-byte packets, 1 % loss"),
    ("wyrm", "wireguard-go", "udp64-gso-paced", "pps", 4, "the same, sender segments"),
    ("wyrm", "wireguard-go", "ping-idle", "p50_us", 0.45, "ping, idle, median"),
    ("wyrm", "wireguard-go", "ping-loaded", "p99_us", 0.6, "ping, loaded, 99th percentile"),
    ("wyrm", "wireguard-go", "handshakes", "per_second", None, "handshakes answered"),
    ("wyrm", "wireguard-go", "config-10000", "set_ms", None, "configuring 10,000 peers"),
    ("wyrm", "wireguard-go", "memory", "peak_rss_mb", None, "memory, peak"),
    ("wyrm", "wyrm-engine", "tcp1", "mbps", None, "TCP, one stream"),
    ("wyrm", "wyrm-engine", "tcp1", "cpu_s_per_gb", None, "CPU time per GB"),
    ("wyrm", "wyrm-engine", "udp64-paced", "pps", None, "64-byte packets, 1 % loss"),
    ("wyrm", "wyrm-engine", "ping-idle", "p50_us", None, "ping, idle, median"),
    ("wyrm", "floor-aead", "tcp1", "mbps", 1.15, "TCP, one stream"),
    ("wyrm", "floor-aead", "tcp1", "mbps_reverse", 1.15, "TCP, one stream, other way"),
    ("wyrm", "floor-aead", "tcp1", "cpu_s_per_gb", 1.0, "CPU time per GB"),
    ("wyrm", "floor-aead", "tcp1-wire-off", "mbps", 1.1, "wire without segmentation"),
    ("wyrm", "floor-io", "tcp1", "mbps", 0.72, "TCP, one stream"),
    ("wyrm", "floor-io", "tcp1", "mbps_reverse", 0.72, "TCP, one stream, other way"),
    ("batch-avx512", "libcrypto", "aead-1420", "cycles_per_packet", 1 / 3.3, "AVX-512, 1420 bytes"),
    ("batch-avx512", "libcrypto", "aead-64", "cycles_per_packet", 1 / 9, "AVX-512, 64 bytes"),
    ("batch-avx2", "libcrypto", "aead-1420", "cycles_per_packet", 1 / 1.25, "AVX2, 1420 bytes"),
    ("batch-avx2", "libcrypto", "aead-64", "cycles_per_packet", 1 / 5, "AVX2, 64 bytes"),
    ("batch-sse2", "libcrypto", "aead-1420", "cycles_per_packet", 1 / 0.7, "SSE2, 1420 bytes"),
    ("batch-sse2", "libcrypto", "aead-64", "cycles_per_packet", 1 / 3, "SSE2, 64 bytes"),
)

# subject, test, metric, at least or at most, value, what it is called
LIMITS = (
    ("wyrm", "tcp1-flood", "kept", "least", 0.85, "of its TCP rate is kept while 20,000 replayed initiations/s arrive"),
    ("wyrm", "tcp1-10000-peers", "kept", "least", 0.95, "of its TCP rate is kept with 10,000 configured peers"),
    ("wyrm", "ping-beside", "p50_times_alone", "most", 2, "times its own ping is what a peer has while another one's TCP is at full rate, median"),
    ("wyrm", "memory", "peak_rss_mb", "most", 25, "MB of resident memory at most, one peer under load"),
    ("wyrm", "pipeline-1420", "ratio_to_crypto", "most", 1.35, "times the crypto alone is what the driver spends to send 1420 bytes"),
    ("wyrm", "pipeline-1420", "ratio_to_crypto_receive", "most", 1.35, "times the crypto alone to receive them"),
    ("wyrm", "pipeline-64", "ratio_to_crypto", "most", 3, "times the crypto alone to send 64 bytes"),
    ("wyrm", "pipeline-64", "ratio_to_crypto_receive", "most", 3, "times the crypto alone to receive them"),
    ("wyrm", "handshakes", "of_x25519", "least", 0.9, "of the handshakes that their X25519 alone allow, done one by one"),
)


def better(ratio, direction):
    """A ratio as `times better`: above 1 is good whichever direction the metric has."""
    return ratio if direction == "higher" else 1 / ratio


def compared(result):
    """[(subject, against, label, median, worst, best, target or None)] in `times better`, of what was measured."""
    found = {(row["subject"], row["against"], row["test"], row["metric"]): row for row in result["ratios"]}
    lines = []
    for subject, against, test, metric, target, label in TARGETS:
        row = found.get((subject, against, test, metric))
        if row and row["min"] > 0:
            ends = sorted(better(row[key], row["better"]) for key in ("min", "max"))
            lines.append((subject, against, label, better(row["median"], row["better"]), *ends,
                          better(target, row["better"]) if target else None))
    return lines


def limits(result):
    """[(row, kind, limit, what, whether it holds)]"""
    found = {(row["subject"], row["test"], row["metric"]): row for row in result["rows"]}
    lines = []
    for subject, test, metric, kind, limit, what in LIMITS:
        row = found.get((subject, test, metric))
        if row:
            lines.append((row, kind, limit, what, row["median"] >= limit if kind == "least" else row["median"] <= limit))
    return lines
