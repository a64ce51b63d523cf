#!/usr/bin/python3
"""The suite other-architectures: src/crypto and src/protocol compiled as the drivers for x86 and arm64 have them, their
tests that need no other library, and a transcript of all primitives that must equal that of x64.  i386 runs on the
processor where the kernel lets it, else in qemu-i386; arm64 in qemu-aarch64."""
import glob
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SCRATCH = os.path.join(ROOT, "build", "tests-other")
SOURCES = ["-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-I" + os.path.join(ROOT, "src")]
# Undefined behaviour ends the program; no run-time library is needed for that.
TRAPS = ["-fsanitize=undefined", "-fsanitize-trap=undefined"]
TESTS = {"crypto": ("vectors",),
         "protocol": ("allowed_ips", "index_table", "noise_vector", "packet", "replay_window", "session", "simulation",
                      "timer_policy", "transport")}
COMPARE_X25519 = "100"
counts = {"passed": 0, "failed": 0, "skipped": 0}


class Architecture:
    def __init__(self, name, target, product_flags, emulator, unused, common_flags=()):
        self.name, self.target, self.product_flags, self.emulator = name, target, product_flags, emulator
        self.unused = unused # sources that its driver does not have
        self.directory = os.path.join(SCRATCH, name)
        self.runner = []
        self.common_flags = list(common_flags) # also for the tests

    def compiler(self):
        return ["clang-19", "--target=" + self.target] + self.common_flags


WIDE = r"(ssse3|avx2|avx512)\.c$"
X64 = Architecture("x64", "x86_64-linux-gnu", [], None, None)
# 64-bit integers are aligned to 8 bytes on Windows for x86, to 4 on Linux without being asked.
I386 = Architecture("i386", "i686-linux-gnu", ["-mno-sse", "-mno-mmx", "-mno-80387"], "qemu-i386", WIDE, ["-malign-double"])
ARM64 = Architecture("arm64", "aarch64-linux-gnu", [], "qemu-aarch64", WIDE)
FLAGS_OF = (("ssse3.c", ["-mssse3"]), ("core_avx2.c", ["-mavx2", "-mbmi2"]),
            ("avx512.c", ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512ifma", "-mbmi2"]))


def check(condition, name, explanation=""):
    counts["passed" if condition else "failed"] += 1
    if not condition:
        print(f"FAIL {name}" + (f": {explanation}" if explanation else ""))
    return condition


def command(words, timeout=300):
    run = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    if run.returncode:
        print(f"{shlex.join(words[:3])} ...: exit status {run.returncode}\n{run.stdout[-500:]}{run.stderr[-1500:]}")
    return run


def fiat():
    return ["-isystem", os.path.join(ROOT, "build", "cache", "fiat-crypto", "include")]


def compile_product(architecture, pool):
    """The object files of crypto and protocol, as a list; None when one does not compile."""
    jobs, objects = [], []
    for source in sorted(glob.glob(os.path.join(ROOT, "src", "crypto", "*.c")) +
                         glob.glob(os.path.join(ROOT, "src", "protocol", "*.c"))):
        if architecture.unused and re.search(architecture.unused, source):
            continue
        flags = next((f for end, f in FLAGS_OF if source.endswith(end)), []) if architecture is X64 else []
        output = os.path.join(architecture.directory, os.path.basename(source)[:-2] + ".o")
        objects.append(output)
        jobs.append(pool.submit(command, architecture.compiler() + SOURCES + architecture.product_flags + flags + fiat() +
                                ["-c", source, "-o", output]))
    return objects if all(job.result().returncode == 0 for job in jobs) else None


def link(architecture, name, sources, objects, extra=()):
    output = os.path.join(architecture.directory, name)
    run = command(architecture.compiler() + SOURCES + list(extra) +
                  ["-I" + os.path.join(ROOT, "tests", "lib"), "-static", "-fuse-ld=lld", "-pthread"] +
                  list(sources) + objects + ["-o", output])
    return output if run.returncode == 0 else None


def choose_runner(architecture):
    """How programs of this architecture run here; the program is one that was just linked."""
    if architecture.emulator is None:
        return
    probe = link(architecture, "probe", [os.path.join(architecture.directory, "probe.c")], [])
    try:
        native = subprocess.run([probe], timeout=30, capture_output=True).returncode == 42
    except OSError:
        native = False
    architecture.runner = [] if native else [architecture.emulator]
    print(f"{architecture.name}: runs " + ("on the processor" if native else "in " + architecture.emulator))


def run_test(architecture, name, program, arguments=()):
    if not check(program, f"{architecture.name}: {name} compiles"):
        return
    run = subprocess.run(architecture.runner + [program, *arguments], capture_output=True, text=True, timeout=300)
    summary = re.search(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", run.stdout, re.M)
    if check(summary and run.returncode == 0, f"{architecture.name}: {name}",
             f"exit status {run.returncode}; {run.stdout[-200:]}{run.stderr[-500:]}"):
        for key, value in zip(counts, summary.groups()):
            counts[key] += int(value)
        print(f"{architecture.name}: {name}: {summary.group(0)}")


def transcript(architecture, objects):
    program = link(architecture, "transcript", [os.path.join(ROOT, "tests", "other-architectures", "transcript.c")], objects)
    if not program:
        return "it does not compile"
    return subprocess.run(architecture.runner + [program, COMPARE_X25519], capture_output=True, text=True,
                          timeout=300).stdout


def main():
    expected = None
    with ThreadPoolExecutor(2) as pool:
        for architecture in (X64, I386, ARM64):
            os.makedirs(architecture.directory, exist_ok=True)
            with open(os.path.join(architecture.directory, "probe.c"), "w", encoding="ascii") as file:
                file.write("int main(void)\n{\n    return 42;\n}\n")
            objects = compile_product(architecture, pool)
            if not check(objects, f"{architecture.name}: crypto and protocol compile"):
                continue
            choose_runner(architecture)
            lines = transcript(architecture, objects)
            if architecture is X64:
                expected = lines
                check(len(lines.splitlines()) == 4, "x64: there is a transcript", lines)
                continue
            check(lines == expected, f"{architecture.name}: every primitive gives the results of x64",
                  f"{sorted(set(lines.splitlines()) ^ set(expected.splitlines()))}")
            jobs = []
            for part, tests in TESTS.items():
                folder = os.path.join(ROOT, "tests", "unit", part)
                for test in tests:
                    sources = [os.path.join(folder, f"test_{test}.c")]
                    if test == "simulation":
                        sources.append(os.path.join(folder, "simulated_world.c"))
                    jobs.append((f"{part} {test}", pool.submit(link, architecture, f"{part}_{test}", sources, objects,
                                                               TRAPS)))
            if architecture is I386:
                jobs.append(("division", pool.submit(
                    link, architecture, "division", [os.path.join(ROOT, "tests", "other-architectures", "division_test.c"),
                                                     os.path.join(ROOT, "nt", "runtime", "int64_x86.c")], [])))
            memory = os.path.join(architecture.directory, "memory.o")
            command(architecture.compiler() + ["-std=gnu17", "-O2", "-ffreestanding", "-fno-builtin",
                                               *architecture.product_flags] +
                    [f"-D{n}=rt_{n}" for n in ("memcpy", "memmove", "memset", "memcmp")] +
                    ["-c", os.path.join(ROOT, "nt", "runtime", "memory.c"), "-o", memory])
            jobs.append(("memory functions", pool.submit(
                link, architecture, "memory", [os.path.join(ROOT, "tests", "nt-abi", "runtime_test.c")], [memory])))
            runs = [pool.submit(run_test, architecture, name, job.result()) for name, job in jobs]
            for run in runs:
                run.result()
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
