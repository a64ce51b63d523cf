#!/usr/bin/python3
"""No command leaves a private or preshared key in its memory when it ends: not in the heap, on the stack, nor where the dynamic
linker saves registers."""

import base64
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import ROOT, Tests, genkey, genpsk  # noqa: E402

BIN = os.path.join(ROOT, "build", "bin")
WYRM = os.path.join(BIN, "wyrm")
SCAN = os.path.join(os.environ.get("WYRM_BUILD_DIR", os.path.join(ROOT, "build", "linux")), "tests", "unit", "cli", "key_scan.so")
NAME = f"wym{os.getpid()}"
SPACE = f"wyrm-memory-{os.getpid()}"


def patterns(*keys):
    """The beginning of each key as bytes, in hexadecimal and in base64, masked (tests/unit/cli/key_scan.c)."""
    out = []
    for text in keys:
        key = base64.b64decode(text)
        out += [key[:14], key.hex()[:24].encode(), text[:20].encode()]
    return ",".join(bytes(byte ^ 0x5A for byte in pattern).hex() for pattern in out)


def run(words, keys=(), text=None):
    variables = [f"LD_PRELOAD={os.path.abspath(SCAN)}", f"WYRM_KEY_SCAN={patterns(*keys)}"] if keys else []
    return subprocess.run(["ip", "netns", "exec", SPACE, "env", *variables, WYRM, *words], capture_output=True, text=True, input=text,
                          timeout=60, check=False)


def main():
    tests = Tests()
    for program in ("wyrm", "nthost", "wyrm-engine"):
        dynamic = subprocess.run(["readelf", "-d", os.path.join(BIN, program)], capture_output=True, text=True, check=True).stdout
        tests.check("NOW" in dynamic, f"{program} is bound when it starts: later the linker would save registers on the stack")
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            private, psk, peer = genkey()[0], genpsk(), genkey()[1]
            body = (f"[Interface]\nPrivateKey = {private}\n%s[Peer]\nPublicKey = {peer}\nPresharedKey = {psk}\n"
                    "AllowedIPs = 10.99.0.0/16, fd99::/64\nEndpoint = 192.0.2.1:5\n")
            tunnel, plain, key = (os.path.join(folder, name) for name in (f"{NAME}.conf", "plain.conf", "key"))
            for path, text in ((tunnel, body % "Address = 10.98.0.1/24\nMTU = 1400\nPostUp = true\n"), (plain, body % ""), (key, private)):
                with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as out:
                    out.write(text)
            run(["up", tunnel])
            seen = run(["pubkey"], (base64.b64encode(b"\0" * 32).decode(),))
            tests.equal(seen.returncode, 99, "the scanner finds what is there")
            for words in (["show"], ["show", NAME, "--show-keys"], ["show", "--json", "--show-keys"], ["showconf", NAME], ["show", NAME, "dump"],
                          ["set", NAME, "private-key", key, "peer", peer, "preshared-key", key], ["setconf", NAME, plain],
                          ["syncconf", NAME, plain], ["addconf", NAME, plain], ["pubkey"], ["down", NAME], ["up", tunnel]):
                done = run(words, (private, psk), private + "\n")
                tests.equal(done.returncode, 0, f"{' '.join(words)}: {done.stderr[-400:]}")
    finally:
        run(["down", NAME])
        subprocess.run(["ip", "netns", "del", SPACE], check=False)
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
