"""./package: contents, sums, bill of materials, installer, signatures, vendor's name, and the same bytes from two folders."""
import glob
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import zipfile

from results import PACKAGING, ROOT, check

import make_inf
import signing
import strip_dwarf

ARCHITECTURES = ("x64", "arm64", "x86")
SECONDS = "1790000000"
ENVIRONMENT = {**os.environ, "SOURCE_DATE_EPOCH": SECONDS}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def command(*words, cwd=ROOT, timeout=600):
    # A compiler cache makes paths below its base relative: then it has to do the same in the other folder.
    cache = {"CCACHE_BASEDIR": cwd} if "CCACHE_BASEDIR" in os.environ else {}
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, timeout=timeout, env={**ENVIRONMENT, **cache})


def package(*options, root=ROOT):
    return command("/usr/bin/python3", os.path.join(root, "packaging", "package.py"), *options, cwd=root)


def version():
    return re.search(r"project\(wyrm VERSION ([\d.]+)", read(os.path.join(ROOT, "CMakeLists.txt")).decode()).group(1)


def fixed_version(data):
    """The numbers in the version resource: VS_FIXEDFILEINFO begins with 0xFEEF04BD."""
    at = data.find(struct.pack("<II", 0xFEEF04BD, 0x10000))
    if at < 0:
        return "none"
    high, low = struct.unpack_from("<II", data, at + 8)
    return f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"


def test_contents(label, name, archive, stage, certificate):
    names = {n.split("/", 1)[1] for n in archive.namelist()}
    wanted = {"README.txt", "SHA256SUMS", "sbom.spdx.json", "LICENSE", "LICENSE.MIT", "LICENSE.GPL-2.0",
              f"driver/{name}.inf", f"driver/{name}.sys", f"driver/{name}.cat", "symbols/wyrm.pdb", "sdk/include/wyrm/control.h"}
    check(wanted <= names, f"{label}: the archive is complete", str(sorted(wanted - names)))
    check(all(n.startswith(label + "/") for n in archive.namelist()), f"{label}: it unpacks into one folder")
    contents = {n: archive.read(f"{label}/{n}") for n in names}
    check(all(read(os.path.join(stage, n)) == data for n, data in contents.items()), f"{label}: it holds what was staged")
    sums = dict(reversed(line.split("  ")) for line in contents["SHA256SUMS"].decode().splitlines())
    check(set(sums) == names - {"SHA256SUMS"} and
          all(hashlib.sha256(contents[n]).hexdigest() == value for n, value in sums.items()), f"{label}: SHA256SUMS")
    check(not any(ROOT.encode() in data for data in contents.values()), f"{label}: no path of this machine",
          str([n for n, data in contents.items() if ROOT.encode() in data]))
    check(all(n.endswith((".cer", ".pdb", ".lib")) or b"PRIVATE KEY" not in data for n, data in contents.items()) and
          not any(n.endswith(".pem") for n in names), f"{label}: no key is packed")

    bill = json.loads(contents["sbom.spdx.json"])
    listed = {f["fileName"][2:]: {c["algorithm"]: c["checksumValue"] for c in f["checksums"]} for f in bill["files"]}
    check(bill["spdxVersion"] == "SPDX-2.3" and set(listed) == names - {"SHA256SUMS", "sbom.spdx.json"} and
          all(hashlib.sha256(contents[n]).hexdigest() == sums_["SHA256"] for n, sums_ in listed.items()),
          f"{label}: the bill of materials lists every file")
    identifiers = {e["SPDXID"] for e in bill["packages"] + bill["files"]} | {"SPDXRef-DOCUMENT"}
    check(all({r["spdxElementId"], r["relatedSpdxElement"]} <= identifiers for r in bill["relationships"]) and
          all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", i) for i in identifiers), f"{label}: its relations name what is in it")
    sha1s = "".join(sorted(hashlib.sha1(contents[n]).hexdigest() for n in listed))
    check(bill["packages"][0]["packageVerificationCode"]["packageVerificationCodeValue"] ==
          hashlib.sha1(sha1s.encode()).hexdigest(), f"{label}: its verification code")
    check(any(p.get("versionInfo") and p["name"] == "clang-19" for p in bill["packages"]), f"{label}: its tools have versions")

    text = contents["README.txt"].decode("ascii")
    missing = [k for k, *_ in make_inf.keywords() if k not in text]
    programs = {n for n in names if "/" not in n and n.endswith((".dll", ".exe"))}
    check(not missing and all(p in text for p in programs) and "@" not in text.replace("@ ", ""),
          f"{label}: the README describes programs and settings", str(missing))
    for program in sorted(programs) + [f"driver/{name}.sys"]:
        check(signing.verify(os.path.join(stage, program), certificate)[0], f"{label}: {program} is signed")
    good, said = signing.verify(os.path.join(stage, f"driver/{name}.sys"), certificate,
                                os.path.join(stage, f"driver/{name}.cat"))
    check(good, f"{label}: the catalogue verifies the driver", said[-300:])
    check(hashlib.sha256(contents[f"driver/{name}.inf"]).digest() in contents[f"driver/{name}.cat"],
          f"{label}: the catalogue holds the INF")
    check(fixed_version(contents[f"driver/{name}.sys"]) == version() + ".0", f"{label}: the driver's version resource")
    for program in programs:
        check(fixed_version(contents[program]) == version() + ".0", f"{label}: the version resource of {program}")
    for pdb, image in (("wyrm.pdb", contents[f"driver/{name}.sys"]),):
        # RSDS, GUID, age; the same GUID is in the .pdb.
        at = image.index(b"RSDS")
        check(image[at + 4:at + 20] in contents["symbols/" + pdb] and b"wyrm.pdb\0" in image[at:at + 64],
              f"{label}: {pdb} belongs to the driver")


def table(msi, name):
    return command("msiinfo", "export", msi, name).stdout


def test_installer(label, name, architecture, msi, stage, certificate, scratch):
    check(signing.verify(msi, certificate)[0], f"{label}.msi is signed")
    out = os.path.join(scratch, "extracted", label)
    check(command("msiextract", "-C", out, msi).returncode == 0, f"{label}.msi is unpacked")
    files = {os.path.relpath(p, out): read(p) for p in glob.glob(out + "/**", recursive=True) if os.path.isfile(p)}
    folders = {os.path.dirname(p) for p in files}
    check(len(folders) == 1 and folders.pop().endswith("Wyrm"), f"{label}.msi has one folder", str(sorted(files)))
    files = {os.path.basename(p): data for p, data in files.items()}
    staged = {os.path.basename(p): read(p) for p in glob.glob(os.path.join(stage, "driver", "*"))}
    check(staged and all(files.get(p) == data for p, data in staged.items()), f"{label}.msi holds the driver package")
    summary = command("msiinfo", "suminfo", msi).stdout
    wanted = {"x64": "x64;1033", "arm64": "Arm64;1033", "x86": "Intel;1033"}[architecture]
    check(f"Template: {wanted}" in summary, f"{label}.msi is for this processor", summary)
    properties = dict(line.split("\t")[:2] for line in table(msi, "Property").splitlines() if "\t" in line)
    properties = {k: v.strip() for k, v in properties.items()}
    check(properties.get("ProductVersion") == version() and properties.get("ALLUSERS") == "1",
          f"{label}.msi: version, for the whole machine", str(properties))
    upgrade = table(msi, "Upgrade")
    check(upgrade.count(properties.get("UpgradeCode", "none")) == 2, f"{label}.msi: older versions are found, newer ones too",
          upgrade)
    check("RemoveExistingProducts" in table(msi, "InstallExecuteSequence"), f"{label}.msi: an older version is removed")
    conditions = table(msi, "LaunchCondition")
    check("VersionNT" in conditions and "NOT WIX_DOWNGRADE_DETECTED" in conditions, f"{label}.msi: conditions", conditions)
    if f"{name}.exe" in files:
        actions = table(msi, "InstallExecuteSequence")
        check("AddDriver" in actions and "RemoveDriver" in actions, f"{label}.msi: the driver comes and goes with it", actions)
    else:
        check("AddDriver" not in table(msi, "InstallExecuteSequence"), f"{label}.msi: no program, no action of it")
    return properties


def test_packages(scratch):
    out = os.path.join(scratch, "out")
    run = package("--test-sign", "--output", out)
    if not check(run.returncode == 0, "packages are made", run.stderr[-500:]):
        return
    certificate = os.path.join(out, "test-certificate", "certificate.pem")
    codes = set()
    for architecture in ARCHITECTURES:
        label = f"wyrm-{version()}-{architecture}"
        stage = os.path.join(out, label)
        with zipfile.ZipFile(stage + ".zip") as archive:
            test_contents(label, "wyrm", archive, stage, certificate)
        properties = test_installer(label, "wyrm", architecture, stage + ".msi", stage, certificate, scratch)
        codes |= {properties.get("ProductCode"), properties.get("UpgradeCode")}
        changed = stage + ".msi.changed"
        data = bytearray(read(stage + ".msi"))
        data[len(data) // 2] ^= 1
        with open(changed, "wb") as file:
            file.write(data)
        check(not signing.verify(changed, certificate)[0], f"{label}.msi: a changed one is refused")
    check(len(codes) == 6 and None not in codes, "every installer has codes of its own", str(codes))
    before = {p: read(p) for p in glob.glob(out + "/*.zip") + glob.glob(out + "/*.msi")}
    package("--test-sign", "--output", out)
    again = {p: read(p) for p in before}
    check(before == again, "signed again with the same certificate, the packages are the same",
          str([os.path.basename(p) for p in before if before[p] != again[p]]))


def test_vendor(scratch):
    out = os.path.join(scratch, "vendor")
    run = package("--no-build", "--architecture", "x64", "--vendor", "Example", "--output", out)
    check(run.returncode == 0, "a vendor's package is made", run.stderr[-500:])
    stage = os.path.join(out, f"example-{version()}-x64")
    inf = read(os.path.join(stage, "driver", "example.inf")).decode("ascii")
    check("wyrm" not in inf.lower(), "a vendor's INF does not have our name")
    check(", Example" in inf and 'Service,    0, "example"' in inf, "it has the vendor's hardware id and service")
    check(b"e\0x\0a\0m\0p\0l\0e\0.\0s\0y\0s" in read(os.path.join(stage, "driver", "example.cat")),
          "and so has the catalogue")
    check("Nothing in this package is signed" in read(os.path.join(stage, "README.txt")).decode(),
          "the README of an unsigned package says so")
    for options, what in ((("--vendor", "../x"), "a vendor's name with a path"), (("--vendor", "Abcdefghij"), "a vendor's name that is too long"),
                          (("--certificate", "c.pem"), "a certificate without its key"),
                          (("--certificate", "/nonexistent", "--key", "/nonexistent"), "a certificate that is not there")):
        run = package("--no-build", "--architecture", "x64", "--output", os.path.join(scratch, "refused"), *options)
        check(run.returncode != 0 and "Traceback" not in run.stderr and run.stderr.startswith("package: "),
              f"{what} is refused", run.stderr[-300:])


def test_other_folder(scratch):
    """A copy of the sources in another folder, built anew, gives the same bytes."""
    copy = os.path.join(scratch, "copy")
    listed = command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout.split("\0")
    for name in filter(None, listed):
        if os.path.exists(os.path.join(ROOT, name)) and not name.startswith(("docs/", "benchmarks/")):
            target = os.path.join(copy, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), target)
    shutil.copytree(os.path.join(ROOT, "build", "cache"), os.path.join(copy, "build", "cache"))
    for preset, targets in (("windows-x64", ("wyrm",)), ("user-x64", ("wyrm_dll", "wyrm", "wyrm_service", "wyrm_tunnel", "wyrm_engine"))):
        for words in (("cmake", "--preset", preset), ("cmake", "--build", "--preset", preset, "-j2", "--target", *targets)):
            run = command(*words, cwd=copy)
            if not check(run.returncode == 0, f"{' '.join(words)} in another folder", run.stdout[-600:] + run.stderr[-300:]):
                return
    out = os.path.join(scratch, "same")
    for root, part in ((ROOT, "one"), (copy, "other")):
        run = package("--no-build", "--architecture", "x64", "--output", os.path.join(out, part), root=root)
        check(run.returncode == 0, f"a package of the {part} build", run.stderr[-500:])
    label = f"wyrm-{version()}-x64"
    names = [os.path.relpath(p, os.path.join(out, "one")) for p in glob.glob(out + "/one/**", recursive=True)
             if os.path.isfile(p)]
    different = [n for n in names if not os.path.exists(os.path.join(out, "other", n)) or
                 read(os.path.join(out, "one", n)) != read(os.path.join(out, "other", n))]
    check(len(names) > 12 and f"{label}.zip" in names and f"{label}.msi" in names and not different,
          "two builds in different folders give the same bytes", str(different))


def test_released_driver():
    """The image that is packed, in the simulation: tunnels come up and pass packets in virtual time."""
    run = command("build/bin/nthost", "sim", "build/bin/release/wyrm.sys", "--scenario", "build/bin/wyrm-scenario.so",
                  "--first", "1", "--seeds", "5", timeout=300)
    check(run.returncode == 0, "the packed driver passes simulated tunnels", run.stdout[-300:] + run.stderr[-300:])
    data = read(os.path.join(ROOT, "build", "bin", "wyrm.sys"))
    check(len(strip_dwarf.strip_dwarf(data)) < len(data) // 3, "debug information is taken out")
    header = struct.unpack_from("<I", data, 60)[0]
    swapped = bytearray(data)
    table_at = header + 24 + struct.unpack_from("<H", data, header + 20)[0]
    swapped[table_at:table_at + 8] = b".debug_x"
    try:
        strip_dwarf.strip_dwarf(bytes(swapped))
        check(False, "debug information before code is refused")
    except strip_dwarf.Unexpected:
        check(True, "debug information before code is refused")


def test_versions():
    major, minor = (re.search(rf"WYRM_VERSION_{part} (\d+)", read(os.path.join(ROOT, "src/driver/version.h")).decode())[1]
                    for part in ("MAJOR", "MINOR"))
    check(version().split(".")[:2] == [major, minor], "the project's version is the driver's")


def run():
    scratch = tempfile.mkdtemp(prefix="wyrm-package-")
    try:
        test_versions()
        test_packages(scratch)
        test_vendor(scratch)
        test_released_driver()
        test_other_folder(scratch)
    finally:
        shutil.rmtree(scratch)
    check(os.path.exists(os.path.join(PACKAGING, "wyrm.inf.in")), "the sources are untouched")
