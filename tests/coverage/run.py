#!/usr/bin/python3
"""Line coverage of the driver and of the protocol: ./test --coverage [SUITE...]

A copy of the tree in build/coverage/tree is built with an instrumented wyrm.sys, so that suites find it where they
expect the real one; the suites run there; nthost writes what the driver executed into build/coverage/profiles
(nthost/loader/profile.h).  src/protocol also counts what its own unit tests execute.  Without arguments all suites run
that load the driver; `fuzz` stands for the kept inputs of the fuzz targets."""
import collections
import glob
import os
import shutil
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
HERE = os.path.join(ROOT, "build/coverage")
TREE = os.path.join(HERE, "tree")
PROFILES = os.path.join(HERE, "profiles")
IMAGE = os.path.join(TREE, "build/bin/wyrm.sys")
PROFDATA, COV = "llvm-profdata-19", "llvm-cov-19"

# At least so many percent of the lines.
GOALS = {"src/protocol": 95.0, "src/driver": 90.0}

# These load no wyrm.sys, or check bytes of the image that is shipped.
WITHOUT_DRIVER = {"10-nt-abi", "11-pe-checks", "20-crypto", "21-crypto-constant-time", "22-protocol",
                  "23-protocol-threads", "24-protocol-coverage", "26-fuzz", "30-nthost-core", "31-nthost-loader",
                  "32-nthost-net", "40-verify-rules", "40-wg-front", "41-config"}


def synchronize_tree():
    """Makes TREE a copy of the sources.  Files that have not changed keep their time, so that builds are incremental."""
    wanted = set()
    for folder, folders, files in os.walk(ROOT):
        relative = os.path.relpath(folder, ROOT)
        folders[:] = [name for name in folders if name != "__pycache__"
                      and not (relative == "." and name in (".git", "build"))]
        for name in files:
            path = os.path.normpath(os.path.join(relative, name))
            source, copy = os.path.join(ROOT, path), os.path.join(TREE, path)
            wanted.add(path)
            status = os.stat(source)
            if (not os.path.exists(copy) or os.stat(copy).st_mtime_ns != status.st_mtime_ns
                    or os.stat(copy).st_size != status.st_size):
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copy2(source, copy)
    for folder, folders, files in os.walk(TREE):
        relative = os.path.relpath(folder, TREE)
        if relative == ".":
            folders[:] = [name for name in folders if name != "build"]
        for name in files:
            path = os.path.normpath(os.path.join(relative, name))
            if path not in wanted and "__pycache__" not in path:
                os.remove(os.path.join(TREE, path))
    cache = os.path.join(ROOT, "build/cache")
    if os.path.isdir(cache):  # what the configuration would fetch again
        shutil.copytree(cache, os.path.join(TREE, "build/cache"), dirs_exist_ok=True)


def merge(inputs, output):
    subprocess.run([PROFDATA, "merge", "-sparse", "-o", output, *inputs], check=True)


def covered_lines(program, profile, others=()):
    """{file: {line: executed}} of all files below src/."""
    objects = [argument for other in others for argument in ("-object", other)]
    text = subprocess.run([COV, "export", "-format=lcov", f"-instr-profile={profile}", program, *objects], check=True,
                          capture_output=True, text=True, cwd=TREE).stdout
    files = collections.defaultdict(dict)
    current = None
    for line in text.splitlines():
        if line.startswith("SF:"):
            path = line[3:]
            path = os.path.relpath(path, TREE) if os.path.isabs(path) else path
            current = files[path] if path.startswith("src/") else None
        elif line.startswith("DA:") and current is not None:
            number, count = line[3:].split(",")[:2]
            current[int(number)] = current.get(int(number), False) or int(count) > 0
    return files


def unit_test_lines():
    """What the protocol's unit tests execute (the programs of the suite protocol-coverage)."""
    programs = sorted(path for path in glob.glob(os.path.join(TREE, "build/linux/tests/unit/protocol/protocol_*_coverage"))
                      if os.path.isfile(path))
    raw = []
    for program in programs:
        raw.append(os.path.join(PROFILES, os.path.basename(program) + ".unit"))
        subprocess.run([program], env={**os.environ, "LLVM_PROFILE_FILE": raw[-1]}, stdout=subprocess.DEVNULL,
                       timeout=300, check=False)  # whether it passes is for the suite to say
    raw = [path for path in raw if os.path.exists(path)]
    if not raw:
        return {}
    profile = os.path.join(HERE, "unit.profdata")
    merge(raw, profile)
    return covered_lines(programs[0], profile, programs[1:])


def replay_fuzz_inputs():
    """The inputs of tests/fuzz/corpus against the same image; the targets do without the counters that it lacks."""
    subprocess.run(["cmake", "--build", "--preset", "linux", "--target", "fuzzers"], cwd=TREE, check=True,
                   stdout=subprocess.DEVNULL)
    for target in ("handshake", "data", "inner", "control"):
        program = os.path.join(TREE, "build/linux/tests/fuzz/fuzz_" + target)
        subprocess.run([program, "-runs=0", os.path.join(TREE, "tests/fuzz/corpus", target)], cwd=TREE, check=True,
                       env={**os.environ, "NTHOST_PROFILE_DIR": PROFILES, "WYRM_FUZZ_DRIVER": "build/bin/wyrm.sys"},
                       stderr=subprocess.DEVNULL, timeout=1800)


def add_lines(files, more):
    for path, lines in more.items():
        if path in files:
            for number, executed in lines.items():
                if number in files[path]:
                    files[path][number] |= executed


def ranges(numbers):
    """[1, 2, 3, 7] -> "1-3 7" """
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def report(files):
    """Prints the table and writes uncovered.txt; the number of goals that were missed."""
    missed = 0
    with open(os.path.join(HERE, "uncovered.txt"), "w", encoding="utf-8") as uncovered:
        for folder in ("src/crypto", *GOALS):
            total = executed = 0
            for path in sorted(path for path in files if path.startswith(folder + "/")):
                lines = files[path]
                done = sum(lines.values())
                total += len(lines)
                executed += done
                if lines:
                    print(f"{path:40} {done:5} of {len(lines):5} lines {100 * done / len(lines):6.1f} %")
                left = [number for number, is_executed in lines.items() if not is_executed]
                if left:
                    uncovered.write(f"{path}: {ranges(left)}\n")
            percent = 100 * executed / total if total else 0.0
            goal = GOALS.get(folder)
            note = "" if goal is None else f"  (goal {goal:.0f} %{'' if percent >= goal else ': MISSED'})"
            print(f"{folder:40} {executed:5} of {total:5} lines {percent:6.1f} %{note}\n")
            missed += goal is not None and percent < goal
    return missed


def main():
    suites = sys.argv[1:] or [name for name in sorted(os.listdir(os.path.join(ROOT, "tests/suites")))
                              if name not in WITHOUT_DRIVER] + ["26-fuzz"]
    replay = "26-fuzz" in suites or "fuzz" in suites  # with the image of this run instead of its own
    suites = [name for name in suites if name not in ("26-fuzz", "fuzz")]
    os.makedirs(TREE, exist_ok=True)
    synchronize_tree()
    shutil.rmtree(PROFILES, ignore_errors=True)
    os.makedirs(PROFILES)
    subprocess.run(["cmake", "--preset", "windows-x64", "-DWYRM_INSTRUMENT=coverage"], cwd=TREE, check=True,
                   stdout=subprocess.DEVNULL)
    tested = 0
    if suites:
        tested = subprocess.run(["./test", *suites], cwd=TREE, env={**os.environ, "NTHOST_PROFILE_DIR": PROFILES},
                                check=False).returncode
    if replay:
        replay_fuzz_inputs()
    raw = glob.glob(os.path.join(PROFILES, "wyrm.sys-*.profraw"))
    if not raw:
        print("coverage: no suite loaded the driver")
        return 1
    profile = os.path.join(HERE, "wyrm.profdata")
    merge(raw, profile)
    files = covered_lines(IMAGE, profile)
    add_lines(files, unit_test_lines())
    print()
    missed = report(files)
    subprocess.run([COV, "show", "-format=html", f"-output-dir={os.path.join(HERE, 'html')}",
                    f"-instr-profile={profile}", IMAGE], cwd=TREE, check=True)
    print("line by line, without the unit tests: build/coverage/html/index.html")
    print("lines that nothing executed: build/coverage/uncovered.txt")
    if tested:
        print("coverage: suites failed, see above")
    return 1 if tested or missed else 0


if __name__ == "__main__":
    sys.exit(main())
