"""Runs the native handshake load generator (tests/load) in a namespace of the laboratory.

Its source addresses are those of a network that a `local` route makes the namespace's own; the other end of the link needs a
route back.  A seed stands for the known peers' private keys, and goes through a pipe."""

import json
import os
import secrets
import subprocess

from netlab import ROOT, LabError

PROGRAM = os.path.join(ROOT, "build", "linux", "tests", "load", "handshake_load")
NETWORK, FIRST = "198.18.0.0/15", "198.18.0.1"  # RFC 2544: for benchmarks


class HandshakeLoad:
    """Load from namespace `there` on `destination` ("address:port") with public key `key` (base64) in `here`."""

    def __init__(self, lab, here, there, gateway, destination, key):
        self.lab, self.there, self.destination, self.key = lab, there, destination, key
        self.seed = secrets.token_hex(16) + "\n"
        lab.command(["ip", "route", "replace", "local", NETWORK, "dev", "lo"], there)
        lab.command(["ip", "route", "replace", NETWORK, "via", gateway], here)

    def keys(self, count):
        """Public keys of the known peers."""
        return self.lab.command([PROGRAM, "keys", str(count)], input_text=self.seed).stdout.split()

    def _command(self, verb, **arguments):
        command = [PROGRAM, verb, "--to", self.destination, "--key", self.key, "--first", FIRST]
        for name, value in arguments.items():
            command += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        return command

    def answered(self, timeout=180, **arguments):
        """A list with the figures of each round: see the program."""
        done = self.lab.command(self._command("answered", **arguments), self.there, self.seed, timeout)
        return json.loads(done.stdout)

    def flood(self, **arguments):
        return Flood(self, self._command("flood", **arguments))


class Flood:
    """A running flood; `result` waits for its end, leaving the block ends it."""

    def __init__(self, load, command):
        self.process = subprocess.Popen(load.lab._in(load.there, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, start_new_session=True)
        load.lab.processes.append(self.process)
        self.process.stdin.write(load.seed)
        self.process.stdin.close()
        if self.process.stdout.readline() != "started\n":
            raise LabError(f"{command[0]}: status {self.process.wait()}")

    def running(self):
        return self.process.poll() is None

    def wait_until_sent(self):
        """All is sent; answers are counted for another 200 ms."""
        if self.process.stdout.readline() != "sent\n":
            raise LabError(f"handshake_load: status {self.process.wait()}")

    def result(self, timeout=120):
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            raise LabError("handshake_load: no end") from error
        return json.loads(self.process.stdout.read().splitlines()[-1])

    def stop(self):
        """Ends it early; its figures so far."""
        if self.running():
            self.process.terminate()
        return self.result(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.running():
            self.process.terminate()
            self.process.wait(20)
