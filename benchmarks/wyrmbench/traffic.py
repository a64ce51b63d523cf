"""The tests that move packets through a tunnel.  Each gives {metric: value} for one round; a list of values is a sample whose
percentiles are pooled over the rounds."""

import statistics
import time

UDP_SIZES = (64, 512, 1280)
LARGEST_PAYLOAD = 1392  # with its header 1400 bytes, what one packet of 1420 carries: more would measure fragments
LOSS_LIMIT = 0.01
SEARCH_STEPS = 6
LOWEST_RATE = 5000


def percentile(times, fraction):
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]


def tcp(tunnel, settings, streams, **arguments):
    """Both directions; CPU of both processes for each GB (10^9 bytes) of either."""
    seconds = settings["seconds"]
    before = tunnel.cpu()
    there = tunnel.tcp(seconds, streams=streams, **arguments)
    middle = tunnel.cpu()
    back = tunnel.tcp(seconds, streams=streams, reverse=True, **arguments)
    after = tunnel.cpu()
    moved = (there["bytes"] + back["bytes"]) / 1e9
    result = {"mbps": there["mbps"], "mbps_reverse": back["mbps"]}
    if there["bytes"] and back["bytes"]:
        result["cpu_s_per_gb"] = (sum(after) - sum(before)) / moved
        # The near end sends on the way there, the far end on the way back.
        result["cpu_s_per_gb_sender"] = (middle[0] - before[0] + after[1] - middle[1]) / moved
        result["cpu_s_per_gb_receiver"] = (middle[1] - before[1] + after[0] - middle[0]) / moved
    return result


def tcp_wire_off(tunnel, settings):
    with tunnel.wire_offload_off():
        return tcp(tunnel, settings, 1)


def tcp_flood(tunnel, settings):
    """The rate under the flood, and what part that is of the rate just before."""
    quiet = tunnel.tcp(settings["seconds"])["mbps"]
    with tunnel.flood() as flood:
        flooded = tunnel.tcp(settings["seconds"])["mbps"]
        sent = flood.stop()["per_second"]
    time.sleep(1.2)  # nobody is under load any more
    return {"mbps": flooded, "kept": flooded / quiet if quiet else None, "flood_pps": sent}


def udp(tunnel, settings, size, gso=False):
    """As fast as the sender can: what arrives, what is lost, CPU for each million packets that arrived."""
    before = tunnel.cpu()
    run = tunnel.udp(size, settings["udp_seconds"], gso=gso)
    after = tunnel.cpu()
    result = {"pps": run["received"] / run["seconds"], "loss_percent": 100 * (1 - min(1, run["received"] / run["sent"]))}
    if run["received"]:
        spent = [b - a for a, b in zip(before, after)]
        million = run["received"] / 1e6
        result.update({"cpu_s_per_mpkt": sum(spent) / million, "cpu_s_per_mpkt_sender": spent[0] / million,
                       "cpu_s_per_mpkt_receiver": spent[1] / million})
    return result


def udp_paced(tunnel, settings, size, gso=False):
    """The highest rate at which at most one packet in a hundred is lost: bisection on a logarithmic scale between a rate that
    anything should take and one that no sender here manages.  0: even the lowest rate lost more."""
    low, high = LOWEST_RATE, settings["paced_limit_gso" if gso else "paced_limit"]
    best = 0.0
    for _ in range(SEARCH_STEPS):
        rate = int((low * high) ** 0.5)
        run = tunnel.udp(size, settings["paced_seconds"], rate=rate, gso=gso)
        if run["sent"] and run["received"] >= run["sent"] * (1 - LOSS_LIMIT):
            low = rate
            best = max(best, run["received"] / run["seconds"])
        else:
            high = rate
    return {"pps": best}


def ping_idle(tunnel, settings):
    time.sleep(0.5)
    return pings(tunnel.ping(settings["pings"]))


def ping_loaded(tunnel, settings):
    with tunnel.tcp_beside():
        return pings(tunnel.ping(settings["pings"]))


def pings(times):
    return {"p50_us": statistics.median(times), "p99_us": percentile(times, 0.99), "times_us": times}


def memory(tunnel, _settings):
    """After the tests before: now, and at its highest."""
    return {"rss_mb": max(tunnel.near.rss_mb(), tunnel.far.rss_mb()), "peak_rss_mb": tunnel.peak_mb()}


# name: (function, whether floors can take part, what it is)
TESTS = {
    "tcp1": (lambda t, s: tcp(t, s, 1), True, "one TCP stream, there and back, with CPU time"),
    "tcp4": (lambda t, s: tcp(t, s, 4), True, "four TCP streams, there and back"),
    "tcp1-wire-off": (tcp_wire_off, True, "one TCP stream, the wire takes no segmented runs"),
    "tcp1-flood": (tcp_flood, False, "one TCP stream while 20,000 replayed initiations/s arrive"),
    **{f"udp{size}": (lambda t, s, size=size: udp(t, s, size), True, f"UDP of {size} bytes as fast as the sender can")
       for size in UDP_SIZES},
    "udp1400": (lambda t, s: udp(t, s, LARGEST_PAYLOAD), True, "UDP of 1400 bytes with its header, the largest in one packet"),
    "udp64-gso": (lambda t, s: udp(t, s, 64, gso=True), True, "UDP of 64 bytes, sender and receiver let the kernel segment"),
    "udp64-paced": (lambda t, s: udp_paced(t, s, 64), True, "highest rate of 64-byte packets with at most 1 % loss"),
    "udp64-gso-paced": (lambda t, s: udp_paced(t, s, 64, gso=True), True, "the same with segmentation by the kernel"),
    "ping-idle": (ping_idle, True, "echo requests every 10 ms, nothing else"),
    "ping-loaded": (ping_loaded, True, "echo requests every 10 ms beside a TCP stream"),
    "memory": (memory, True, "resident memory of the larger process, after the tests before it"),
}
