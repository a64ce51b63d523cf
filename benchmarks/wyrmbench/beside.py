"""A second peer of a tunnel's near end, and how its latency fares while the first one is at full rate."""

import contextlib
import statistics
import time

from netlab import IperfServer, LabError, ping

from .subjects import FloorPeer
from .traffic import percentile
from .tunnel import OUTER, PORT, Tunnel

WIRE = ("198.51.100.1", "198.51.100.2")
SHARED_INNER = "10.66.0.3"
FLOOR_INNER = ("10.67.0.1", "10.67.0.2")
RAW_PORT = 5202


class Neighbour:
    """Beside `tunnel` in a namespace and on a wire of its own.  It shares the near end's adapter, but for a floor, which knows
    one peer only: that gets a second process."""

    def __init__(self, tunnel: Tunnel, label):
        self.tunnel, lab, subject = tunnel, tunnel.lab, tunnel.subject
        space = lab.namespace(f"{label}c")
        lab.link(tunnel.here, space, [WIRE[0] + "/24"], [WIRE[1] + "/24"], label=f"{label}n")
        if subject.is_floor:
            self.peers = [FloorPeer(lab, tunnel.here, subject, f"{label}n", FLOOR_INNER[0] + "/24", PORT + 1, WIRE[1]),
                          FloorPeer(lab, space, subject, f"{label}c", FLOOR_INNER[1] + "/24", PORT + 1, WIRE[0])]
            self.address = FLOOR_INNER[1]
        else:
            far = subject.peer(lab, space, f"{label}c", [SHARED_INNER + "/24"], PORT)
            far.setconf([{"public": tunnel.near.public, "allowed": ["10.66.0.1/32"]}], routes=False)
            tunnel.near.setconf([{"public": far.public, "allowed": [SHARED_INNER + "/32"], "endpoint": f"{WIRE[1]}:{PORT}"}],
                                verb="addconf", routes=False)
            self.peers, self.address = [far], SHARED_INNER
        lab.wait_for(lambda: ping(lab, tunnel.here, self.address, 1)["received"] == 1, f"{subject.name}: the second peer", 20)
        self.raw = IperfServer(lab, tunnel.there, OUTER[1], RAW_PORT)

    @contextlib.contextmanager
    def stream_outside(self):
        """The same stream between the same namespaces, but not through the tunnel, while the block runs."""
        lab = self.tunnel.lab
        process = lab.start(["iperf3", "-c", OUTER[1], "-p", str(RAW_PORT), "-t", "600"], self.tunnel.here)
        try:
            time.sleep(0.5)
            yield
            if process.poll() is not None:
                raise LabError(f"the stream outside ended: {lab.output_of(process)[-400:]}")
        finally:
            lab.stop(process, timeout=5)
            lab.processes.remove(process)
            time.sleep(0.3)  # the server takes notice

    def ping(self, count):
        times = ping(self.tunnel.lab, self.tunnel.here, self.address, count, 0.01)["times_us"]
        if not times:
            raise LabError(f"{self.tunnel.subject.name}: no echo reply of the second peer at all")
        return statistics.median(times), percentile(times, 0.99), times


def measure(neighbour, settings):
    """The second peer's latency with nothing else, beside a stream that only keeps the processors busy, and beside one through
    the tunnel to the first peer."""
    time.sleep(0.3)
    alone = neighbour.ping(settings["pings"])
    with neighbour.stream_outside():
        outside = neighbour.ping(settings["pings"])
    with neighbour.tunnel.tcp_beside():
        beside = neighbour.ping(settings["pings"])
    result = {"times_us": beside[2]}
    for index, name in enumerate(("p50", "p99")):
        result.update({f"{name}_us": beside[index], f"{name}_alone_us": alone[index], f"{name}_outside_us": outside[index],
                       f"{name}_times_alone": beside[index] / alone[index], f"{name}_times_outside": beside[index] / outside[index]})
    return result
