"""A handshake with a cookie, seen on the wire: one side is put under load by bursts of strangers' initiations, the other begins
handshakes until it is given a cookie and comes through with it."""

import os
import signal
import socket
import struct
import threading
import time

import wgpeer
from netlab import LabError

# Initiations, and how many a second: what makes load without losing everything depends on machine and implementation.
BURSTS = ((800, 20000), (1600, 20000), (3200, 20000), (6400, 40000), (12800, 80000))
# Wyrm's process, stopped while they arrive, finds them all at once, however fast it is: enough for load (512) and fewer than its
# queue (4096).  In verify mode it is given datagrams more slowly than it answers them: only fast mode will do.
BURSTS_STOPPED = ((2000, 100000),) * 3
BURST_PAUSE = 0.6
FLOOD_SECONDS, PATIENCE_SECONDS = 20, 4


class Capture:
    """tcpdump on an interface."""

    def __init__(self, lab, namespace, interface, expression):
        self.lab = lab
        self.path = os.path.join(lab.directory, f"capture-{len(lab.processes)}.pcap")
        self.process = lab.start(["tcpdump", "-n", "-U", "-i", interface, "-w", self.path, expression], namespace)
        lab.wait_for(lambda: "listening" in lab.output_of(self.process), "tcpdump", 20, self.process)

    def messages(self):
        """(source address, WireGuard message) of the IPv4 datagrams so far, in order."""
        with open(self.path, "rb") as file:
            data = file.read()
        found, at = [], 24
        while at + 16 <= len(data):
            length, = struct.unpack_from("<I", data, at + 8)
            packet = data[at + 16 + 14:at + 16 + length]
            at += 16 + length
            if len(packet) > 28 and packet[0] == 0x45 and packet[9] == 17:
                found.append((socket.inet_ntoa(packet[12:16]), packet[28:]))
        return found

    def stop(self):
        self.lab.stop(self.process)


def cookie_handshake(messages, initiator, initiator_public, responder_public):
    """Is there an initiation without mac2, its cookie reply, an initiation whose mac2 that cookie makes, and a response to it?
    ("yes", or how far it went)."""
    sent, cookies, confirmed, reached = {}, [], set(), "no initiation"
    for source, message in messages:
        kind = wgpeer.message_type(message)
        if source == initiator and kind == wgpeer.INITIATION:
            sent[message[4:8]] = message
            if any(wgpeer.mac2_is_valid(message, cookie) for cookie in cookies):
                confirmed.add(message[4:8])
                reached = "an initiation with the cookie"
            elif message[-16:] != bytes(16) and cookies:
                return "an initiation whose mac2 is of no cookie that was sent"
        elif source != initiator and kind == wgpeer.COOKIE_REPLY and message[4:8] in sent:
            cookies.append(wgpeer.open_cookie_reply(message, sent[message[4:8]], responder_public))
            reached = "a cookie reply"
        elif source != initiator and kind == wgpeer.RESPONSE:
            if not wgpeer.mac1_is_valid(message, initiator_public):
                return "a response with a wrong mac1"
            if message[8:12] in confirmed:
                return "yes"
            reached = "a response without a cookie" if not cookies else reached
    return reached


class Bursts:
    """Bursts of initiations with pauses: each fills the queue enough for a second of load, and the pause empties it, so that
    an honest initiation is neither lost nor late.  `stopped`: a process that has to stand still during a burst."""

    def __init__(self, load, count, rate, stopped=None):
        self.load, self.count, self.rate, self.stopped = load, count, rate, stopped
        self.sum = {"sent": 0, "cookies": 0, "responses": 0}
        self.ending, self.error = threading.Event(), None
        self.thread = threading.Thread(target=self.work)

    def burst(self):
        if not self.stopped:
            return self.load.flood(count=self.count, rate=self.rate, sources=200, ports=4).result()
        self.stopped.send_signal(signal.SIGSTOP)
        try:
            flood = self.load.flood(count=self.count, rate=self.rate, sources=200, ports=4)
            flood.wait_until_sent()
        finally:
            self.stopped.send_signal(signal.SIGCONT)
        return flood.result()

    def work(self):
        try:
            while not self.ending.is_set():
                result = self.burst()
                for name in self.sum:
                    self.sum[name] += result[name]
                self.ending.wait(BURST_PAUSE)
        except (LabError, OSError, ValueError) as error:
            self.error = error

    def running(self):
        return self.thread.is_alive()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        if self.error:
            raise LabError(f"flood: {self.error}")


def attempt(flood, capture, handshake, begin):
    """Within one flood: begins handshakes until one meets load, then waits for its end.  How far it went."""
    since = len(capture.messages())
    begin()
    began, reached = time.monotonic(), "no initiation"
    end, impatient = began + FLOOD_SECONDS, began + PATIENCE_SECONDS
    while flood.running() and time.monotonic() < end:
        messages = capture.messages()
        reached = handshake(messages[since:])
        if reached == "yes":
            break
        if reached in ("a cookie reply", "an initiation with the cookie"):
            end = max(end, began + 2 * FLOOD_SECONDS)  # the next initiation comes after five seconds
        elif reached == "a response without a cookie" or time.monotonic() > impatient:
            # It met a moment without load, or was lost in the flood.
            since = len(messages)
            begin()
            impatient = time.monotonic() + PATIENCE_SECONDS
        time.sleep(0.3)
    return reached


def cookie_under_load(who, load, capture, initiator, keys, begin, stopped=None):
    """Puts `who` under `load` and calls `begin`, which makes the side at address `initiator` begin a handshake, until one came
    through with a cookie: ("yes", or how far it went; the sums of the load's results).  `keys`: public, the initiator's first.
    `stopped`: the process of `who` when it has to stand still during a burst."""
    reached, total = None, {"sent": 0, "cookies": 0, "responses": 0}
    for count, rate in BURSTS_STOPPED if stopped else BURSTS:
        with Bursts(load, count, rate, stopped) as flood:
            reached = attempt(flood, capture, lambda messages: cookie_handshake(messages, initiator, *keys), begin)
        for name in total:
            total[name] += flood.sum[name]
        print(f"   {who}: bursts of {count}, {flood.sum['sent']} initiations, {flood.sum['cookies']} cookie replies: {reached}",
              flush=True)
        if reached == "yes":
            break
    capture.stop()
    return reached, total
