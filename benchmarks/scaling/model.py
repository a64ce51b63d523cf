#!/usr/bin/env python3
"""Throughput of the driver's pipeline on 1 to 64 processors, by discrete-event simulation.

The model is the driver's transmit path as it is (src/driver/transmit_batch.c, worker.c, order.c): a call brings a
burst of a flow to the processor that the flow is hashed to; each batch is classified there and takes a ticket of
its peer; it is sealed and sent there while nothing of the peer is before it and the budget of the call lasts, else
by a worker from one queue; who finishes the peer's next ticket delivers it and all finished ones behind it.  Costs
are those that bench_pipeline has measured (--costs FILE), times are cycles of its clock.

A processor that waits for a lock spins.  A cache line that another processor wrote last costs --line cycles; that
is what shared counters, the queue's lock and the ticket cost beyond one processor.  Memory bandwidth is a server
that all processors share.

    model.py --costs pipeline.json [--json FILE] [--seed N] [--check]
"""
import argparse
import heapq
import json
import random
import sys

BATCH_PACKETS = 64      # batch.h
BATCH_BYTES = 65487
BUDGET_BYTES = 320 * 1024
ORDER_SLOTS = 128       # order.h
DELIVER_MAX = 16
CALL_BYTES = 512 * 1024  # what a busy stack hands down at once
MESSAGE_OVERHEAD = 32
# Used without --costs: bench_pipeline on the machine of docs/performance.md, AVX-512, cycles per packet.
DEFAULT_COSTS = {
    64: {"aead": 96, "classify": 36, "batch": 38, "order": 6, "socket": 1, "host": 27},
    576: {"aead": 306, "classify": 36, "batch": 30, "order": 4, "socket": 1, "host": 30},
    1420: {"aead": 626, "classify": 32, "batch": 25, "order": 8, "socket": 1, "host": 32},
}
DEFAULT_HERTZ = 2.1e9


class Lock:
    """Held for a known time; those who come meanwhile spin in turn."""

    def __init__(self, line):
        self.line, self.free_at, self.last = line, 0.0, None
        self.waited = self.held = 0.0

    def take(self, now, cpu, hold):
        """When `cpu`, asking at `now`, is through with it."""
        if self.last is not None and self.last != cpu:
            hold += self.line
        self.last = cpu
        start = max(now, self.free_at)
        self.waited += start - now
        self.held += hold
        self.free_at = start + hold
        return self.free_at


class Memory:
    """Bytes that cross the memory bus; a leaky bucket, as caches and prefetch smooth short peaks."""

    def __init__(self, bytes_per_cycle):
        self.rate, self.free_at = bytes_per_cycle, 0.0

    def move(self, now, done, count):
        """When work that would end at `done` really ends, if it moves `count` bytes."""
        if not self.rate:
            return done
        self.free_at = max(self.free_at, now) + count / self.rate
        return max(done, self.free_at)


class Peer:
    def __init__(self, line):
        self.ticket = Lock(line)
        self.next_ticket = self.head = 0
        self.finished = set()
        self.delivering = False


class Model:
    """One run. `settings`: cpus, peers, flows, size, costs, line, socket, bandwidth, seed, per_cpu_queues."""

    def __init__(self, settings):
        self.s = settings
        size, costs = settings["size"], settings["costs"]
        message = (size + 15) // 16 * 16 + MESSAGE_OVERHEAD
        self.packets = min(BATCH_PACKETS, BATCH_BYTES // message)
        self.batch_bytes = self.packets * message
        n = self.packets
        self.front = n * (costs["classify"] + 0.5 * costs["batch"])            # arriving processor
        self.seal = n * (costs["aead"] + 0.5 * costs["batch"] + costs["host"])  # anywhere
        self.ticket_hold = n * costs["order"] * 0.5
        self.deliver = n * (costs["order"] * 0.5 + costs["socket"])              # in order, one at a time a peer
        line = settings["line"]
        self.queue_lock = Lock(line)
        self.socket_lock = Lock(line)
        self.memory = Memory(settings["bandwidth"])
        self.peers = [Peer(line) for _ in range(settings["peers"])]
        rng = random.Random(settings["seed"])
        # A flow belongs to a peer; the adapter's hash puts it on a processor.
        self.flows = [[] for _ in range(settings["cpus"])]
        order = list(range(settings["cpus"]))
        rng.shuffle(order)
        for flow in range(settings["flows"]):
            cpu = order[flow % len(order)] if settings["spread"] else rng.randrange(settings["cpus"])
            self.flows[cpu].append(self.peers[flow % settings["peers"]])
        self.turn = [0] * settings["cpus"]
        self.call = [None] * settings["cpus"]  # [peer, batches left, budget] of the call that runs there
        self.queue, self.idle = [], set()
        self.events, self.sequence = [], 0
        self.sent = 0
        self.busy = [0.0] * settings["cpus"]
        self.inline = self.pooled = 0

    def at(self, time, function, *arguments):
        self.sequence += 1
        heapq.heappush(self.events, (time, self.sequence, function, arguments))

    # ---- a processor looks for work: the call that runs, the pool's queue, the next call ----
    def look(self, now, cpu):
        call = self.call[cpu]
        if call and call[1] > 0:
            self.arrive(now, cpu, call)
            return
        self.call[cpu] = None
        if self.queue:
            peer, ticket = self.queue.pop(0)
            self.at(self.queue_lock.take(now, cpu, 40), self.seal_begin, cpu, peer, ticket)
            return
        for _ in self.flows[cpu]:
            peer = self.flows[cpu][self.turn[cpu] % len(self.flows[cpu])]
            self.turn[cpu] += 1
            if peer.next_ticket - peer.head < ORDER_SLOTS - CALL_BYTES // self.batch_bytes:
                self.call[cpu] = [peer, max(1, CALL_BYTES // self.batch_bytes), BUDGET_BYTES]
                self.arrive(now, cpu, self.call[cpu])
                return
        self.idle.add(cpu)

    def arrive(self, now, cpu, call):
        call[1] -= 1
        done = now + self.front
        done = call[0].ticket.take(done, cpu, self.ticket_hold)
        self.at(done, self.ticketed, cpu, call)

    def ticketed(self, now, cpu, call):
        peer = call[0]
        ticket = peer.next_ticket
        peer.next_ticket += 1
        if ticket == peer.head and not peer.delivering and call[2] >= self.batch_bytes:
            call[2] -= self.batch_bytes
            self.inline += 1
            self.seal_begin(now, cpu, peer, ticket)
            return
        self.pooled += 1
        self.queue.append((peer, ticket))
        done = self.queue_lock.take(now, cpu, 60)
        if self.idle:
            self.at(done, self.look, self.idle.pop())
        self.at(done, self.look, cpu)

    def seal_begin(self, now, cpu, peer, ticket):
        done = self.memory.move(now, now + self.seal, self.s["passes"] * self.batch_bytes)
        self.at(done, self.seal_end, cpu, peer, ticket)

    def seal_end(self, now, cpu, peer, ticket):
        peer.finished.add(ticket)
        self.deliver_next(now, cpu, peer, DELIVER_MAX)

    def deliver_next(self, now, cpu, peer, left):
        """Who finds the head finished and nobody delivering delivers."""
        if peer.delivering or peer.head not in peer.finished or not left:
            self.wake(now)
            self.at(now, self.look, cpu)
            return
        peer.delivering = True
        peer.finished.discard(peer.head)
        done = now + self.deliver
        if self.s["socket"]:
            done = self.socket_lock.take(done, cpu, self.s["socket"])
        self.at(done, self.delivered, cpu, peer, left - 1)

    def delivered(self, now, cpu, peer, left):
        peer.head += 1
        peer.delivering = False
        self.sent += self.packets
        self.deliver_next(now, cpu, peer, max(left, 1))

    def wake(self, now):
        """Processors whose flows had no room may have some now."""
        for cpu in [c for c in self.idle if self.flows[c]]:
            self.idle.discard(cpu)
            self.at(now, self.look, cpu)

    def run(self, cycles):
        for cpu in range(self.s["cpus"]):
            self.at(0.0, self.look, cpu)
        warm, sent = cycles / 5, 0
        while self.events:
            time, _, function, arguments = heapq.heappop(self.events)
            if time > cycles:
                break
            if warm and time > warm:
                sent, warm = self.sent, 0
            function(time, *arguments)
        seconds = cycles * 0.8 / self.s["hertz"]
        share = self.inline + self.pooled
        return {
            "pps": (self.sent - sent) / seconds,
            "gbps": (self.sent - sent) / seconds * self.s["size"] * 8 / 1e9,
            "pooled": self.pooled / share if share else 0,
            "queue_lock_busy": self.queue_lock.held / cycles,
            "socket_lock_busy": self.socket_lock.held / cycles,
            "spinning": (self.queue_lock.waited + self.socket_lock.waited + sum(p.ticket.waited for p in self.peers))
            / cycles / self.s["cpus"],
        }


def costs_from(path):
    """Of bench_pipeline's report: {size: {stage: cycles}}, hertz."""
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    costs = {}
    for row in report["rows"]:
        if row["operation"] == "transmit" and row["metric"].startswith("stage_") and "large" not in row["test"]:
            stage = row["metric"][len("stage_"):-len("_cycles")]
            costs.setdefault(int(row["test"].split("-")[1]), {})[stage] = row["median"]
    return costs, report["tsc_hertz"]


def limit(result, linear, settings):
    """Why it is not `linear` times one processor."""
    if result["pps"] > 0.85 * linear:
        return "processors"
    reasons = {"queue lock": result["queue_lock_busy"], "socket lock": result["socket_lock_busy"]}
    name, share = max(reasons.items(), key=lambda item: item[1])
    if share > 0.8:
        return name
    message = settings["passes"] * ((settings["size"] + 15) // 16 * 16 + MESSAGE_OVERHEAD)
    if settings["bandwidth"] and result["pps"] * message > 0.8 * settings["bandwidth"] * settings["hertz"]:
        return "memory"
    return "arriving processors" if settings["flows"] < settings["cpus"] else "flows' spread"


def sweep(options, costs, hertz):
    rows = []
    base = {"line": options.line, "hertz": hertz, "seed": options.seed, "passes": options.passes, "spread": True,
            "bandwidth": options.bandwidth * 1e9 / hertz}
    scenarios = [("one flow", 1, 1, 0), ("one peer, 64 flows", 1, 64, 0), ("64 peers", 64, 64, 0),
                 ("64 peers, one socket", 64, 64, options.socket)]
    for size in sorted(costs):
        for name, peers, flows, socket in scenarios:
            one = None
            for cpus in (1, 2, 4, 8, 16, 32, 64):
                settings = dict(base, cpus=cpus, peers=peers, flows=flows, size=size, costs=costs[size], socket=socket)
                result = Model(settings).run(options.milliseconds * hertz / 1e3)
                one = one or result["pps"]
                result.update(size=size, scenario=name, cpus=cpus, speedup=result["pps"] / one,
                              limit=limit(result, one * cpus, settings))
                rows.append(result)
    return rows


def show(rows):
    for size in sorted({row["size"] for row in rows}):
        print(f"{size} bytes: speed-up over one processor (million packets/s); what limits at 64")
        for scenario in dict.fromkeys(row["scenario"] for row in rows):
            line = [row for row in rows if row["size"] == size and row["scenario"] == scenario]
            cells = " ".join(f"{r['cpus']}: {r['speedup']:.1f} ({r['pps'] / 1e6:.2f})" for r in line)
            print(f"  {scenario:22s} {cells}  {line[-1]['limit']}")


def check(costs, hertz):
    """What must hold whatever the costs: reproducible, one processor as computed, independent peers linear."""
    size = max(costs)
    base = {"line": 0, "hertz": hertz, "seed": 1, "passes": 0, "spread": True, "bandwidth": 0, "size": size,
            "costs": costs[size], "socket": 0}
    one = Model(dict(base, cpus=1, peers=1, flows=1)).run(hertz / 50)
    again = Model(dict(base, cpus=1, peers=1, flows=1)).run(hertz / 50)
    model = Model(dict(base, cpus=1, peers=1, flows=1))
    whole = model.front + model.seal + model.ticket_hold + model.deliver
    expected = model.packets * hertz / whole
    eight = Model(dict(base, cpus=8, peers=8, flows=8)).run(hertz / 50)
    lock = Model(dict(base, cpus=8, peers=8, flows=8, socket=whole)).run(hertz / 50)
    failures = [text for text, good in (
        ("the same seed gives the same", one == again),
        (f"one processor: {one['pps']:.0f}, computed {expected:.0f}", abs(one["pps"] / expected - 1) < 0.05),
        (f"eight independent: {eight['pps'] / one['pps']:.2f}", 7.5 < eight["pps"] / one["pps"] < 8.5),
        (f"a lock of a whole batch: {lock['pps'] / one['pps']:.2f}", lock["pps"] / one["pps"] < 1.1)) if not good]
    print("\n".join(failures) or "the model agrees with what can be computed")
    return not failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--costs", help="report of bench_pipeline --json")
    parser.add_argument("--json", help="write all rows there")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--milliseconds", type=float, default=20, help="simulated time of a run")
    parser.add_argument("--line", type=float, default=250, help="cycles to get a cache line that another one wrote")
    parser.add_argument("--socket", type=float, default=10000,
                        help="cycles under the socket's lock for a segmented send (the last scenario)")
    parser.add_argument("--bandwidth", type=float, default=100, help="GB/s of memory, 0: without end")
    parser.add_argument("--passes", type=float, default=4, help="how often a byte crosses the memory bus")
    parser.add_argument("--check", action="store_true", help="check the model instead")
    options = parser.parse_args()
    costs, hertz = costs_from(options.costs) if options.costs else (DEFAULT_COSTS, DEFAULT_HERTZ)
    if options.check:
        return 0 if check(costs, hertz) else 1
    rows = sweep(options, costs, hertz)
    show(rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"settings": vars(options), "rows": rows}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
