#!/usr/bin/python3
"""Makes the packages out of what ./build.sh has built; ./package calls it and describes the options."""
import argparse
import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile

import catalogue
import check_inf
import installer
import make_inf
import sbom
import signing

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
BIN = {"x64": "build/bin", "arm64": "build/bin/arm64", "x86": "build/bin/x86"}
SDK_HEADERS = ("control.h", "tunnel.h", "wireguard.h", "wireguard_iterate.h")
# {file, with the product's name for "wyrm": what the README says of it}
PROGRAMS = {"wyrm.dll": "the programming interface", "wyrm.exe": "the command-line tool",
            "wyrm-service.exe": "the tunnel service", "wyrm-engine.exe": "the engine in user space, for machines without the driver",
            "wyrm-tunnel.dll": "a tunnel for a program that brings its own service"}
UNSIGNED = ("Nothing in this package is signed: Windows loads the driver only after it has been signed by Microsoft, or signed\n"
            "  with a certificate that the machine trusts while test signing is on.")
TEST_SIGNED = ("This is a test signature, for test machines only.  As an administrator, then restart:\n"
               "      certutil -addstore Root certificate.cer\n"
               "      certutil -addstore TrustedPublisher certificate.cer\n"
               "      bcdedit /set testsigning on                 (Secure Boot has to be off)")
SIGNED = "The programs, the driver and its catalogue are signed."


class PackageFailed(Exception):
    pass


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def project_version():
    text = read(os.path.join(ROOT, "CMakeLists.txt")).decode()
    return re.search(r"project\(wyrm VERSION ([\d.]+)", text).group(1)


def source_seconds():
    """The time that everything in a package bears: SOURCE_DATE_EPOCH, else that of the last commit."""
    if os.environ.get("SOURCE_DATE_EPOCH"):
        return int(os.environ["SOURCE_DATE_EPOCH"])
    run = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        raise PackageFailed("not a git repository: set SOURCE_DATE_EPOCH, the time that the package should bear")
    return int(run.stdout)


def debian_versions(names):
    run = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *names], capture_output=True, text=True)
    return dict(line.split() for line in run.stdout.splitlines() if len(line.split()) == 2)


def readme(product, name, version, architecture, programs, signature):
    descriptions = {file.replace("wyrm", name): text for file, text in PROGRAMS.items()}
    lines = [f"  {file:<30}{descriptions[file]}" for file in programs]
    settings = []
    for keyword, low, high, default, title, texts in make_inf.keywords():
        values = ", ".join(f"{low + i} {text}" for i, text in enumerate(texts)) if texts else f"{low} to {high}"
        settings.append(f"  {keyword:<24} {title}: {values} (default {default})")
    values = {"PRODUCT": product, "NAME": name, "VERSION": version, "ARCHITECTURE": architecture,
              "FILES": "\n".join(lines) or "  (no programs in this build)", "SIGNATURE": signature,
              "KEYWORDS": "\n".join(settings)}
    text = read(os.path.join(ROOT, "packaging", "README.txt.in")).decode()
    return re.sub(r"@([A-Z]+)@", lambda m: values[m.group(1)], text).replace("\n", "\r\n").encode()


class Package:
    def __init__(self, options, architecture, version, seconds):
        self.options, self.architecture, self.version, self.seconds = options, architecture, version, seconds
        self.product = options.vendor or "Wyrm"
        self.name = self.product.lower()
        self.build = os.path.join("build", "vendor", self.name) if options.vendor and not options.no_build else "build"
        self.bin = os.path.join(ROOT, self.build, os.path.relpath(BIN[architecture], "build"))
        self.label = f"{self.name}-{version}-{architecture}"
        self.stage = os.path.join(options.output, self.label)
        self.date = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)

    def path(self, *parts):
        return os.path.join(self.stage, *parts)

    def build_for_vendor(self):
        """Driver and programs once more, with the vendor's name in their resources and where else they bear one."""
        for preset in (f"windows-{self.architecture}", f"user-{self.architecture}"):
            folder = os.path.join(self.build, preset)
            for words in (("cmake", "--preset", preset, "-B", folder, "-DWYRM_VENDOR_NAME=" + self.product,
                           "-DWYRM_BIN_DIR=" + self.bin), ("cmake", "--build", folder)):
                run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
                if run.returncode:
                    raise PackageFailed(f"{' '.join(words)} failed:\n{run.stdout[-3000:]}{run.stderr[-1000:]}")

    def sign(self, path):
        if self.options.certificate:
            signing.sign(path, self.options.certificate, self.options.key, self.seconds)

    def driver(self):
        day = self.date.strftime("%Y-%m-%d")
        inf = make_inf.make_inf(self.architecture, self.version, day, self.product)
        driver = self.path("driver", self.name + ".sys")
        write(driver, read(os.path.join(self.bin, "release", "wyrm.sys")))
        write(self.path("driver", self.name + ".inf"), inf)
        problems = check_inf.Checker(inf, self.path("driver"), self.architecture).problems
        if problems:
            raise PackageFailed("the INF breaks rules: " + "; ".join(f"line {n}: {text}" for n, _, text in problems[:5]))
        self.sign(driver)
        files = {self.name + end: read(self.path("driver", self.name + end)) for end in (".sys", ".inf")}
        list_path = self.path("driver", self.name + ".cat")
        write(list_path, catalogue.make_catalogue(files, self.architecture, self.product, day))
        self.sign(list_path)
        write(self.path("symbols", "wyrm.pdb"), read(os.path.join(self.bin, "release", "wyrm.pdb")))

    def programs(self):
        """[file names], with those that are not built yet left out"""
        out = []
        for file in PROGRAMS:
            target = file.replace("wyrm", self.name)
            # A vendor's build has named them already.
            built = next((path for path in (os.path.join(self.bin, name) for name in (target, file))
                          if os.path.exists(path)), None)
            if not built:
                print(f"{self.label}: no {file} in this build")
                continue
            write(self.path(target), read(built))
            self.sign(self.path(target))
            if os.path.exists(built + ".pdb"):
                write(self.path("symbols", os.path.basename(built) + ".pdb"), read(built + ".pdb"))
            out.append(target)
        for library, target in (("dll/wyrm_dll.lib", self.name), ("service/wyrm_tunnel.lib", self.name + "-tunnel")):
            library = os.path.join(ROOT, self.build, f"user-{self.architecture}/src", library)
            if os.path.exists(library):
                write(self.path("sdk", target + ".lib"), read(library))
        for header in SDK_HEADERS:
            source = os.path.join(ROOT, "include", "wyrm", header)
            if os.path.exists(source):
                write(self.path("sdk", "include", "wyrm", header), read(source))
        return out

    def files(self):
        """{path: bytes} of everything staged"""
        out = {}
        for folder, _, names in os.walk(self.stage):
            for name in names:
                path = os.path.join(folder, name)
                out[os.path.relpath(path, self.stage)] = read(path)
        return out

    def make(self):
        if self.options.vendor and not self.options.no_build:
            self.build_for_vendor()
        shutil.rmtree(self.stage, ignore_errors=True)
        self.driver()
        programs = self.programs()
        certificate = os.path.join(os.path.dirname(self.options.certificate or ""), "certificate.cer")
        if self.options.test_sign:
            write(self.path("certificate.cer"), read(certificate))
        signature = TEST_SIGNED if self.options.test_sign else SIGNED if self.options.certificate else UNSIGNED
        write(self.path("README.txt"),
              readme(self.product, self.name, self.version, self.architecture, programs, signature))
        for licence in ("LICENSE", "LICENSE.MIT", "LICENSE.GPL-2.0"):
            write(self.path(licence), read(os.path.join(ROOT, licence)))
        files = self.files()
        versions = debian_versions([p[0] for p in sbom.PARTS] + list(sbom.TOOLS))
        versions.setdefault("librust-ring-dev", fiat_version())
        write(self.path("sbom.spdx.json"), sbom.make_sbom(self.product, self.version, self.architecture, files,
                                                          self.date.strftime("%Y-%m-%dT%H:%M:%SZ"), versions))
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in sorted(self.files().items()))
        write(self.path("SHA256SUMS"), sums.encode())
        for folder, _, names in os.walk(self.stage):
            for name in names:
                os.utime(os.path.join(folder, name), (self.seconds, self.seconds))
        self.zip()
        self.msi(programs)

    def zip(self):
        path = self.stage + ".zip"
        with zipfile.ZipFile(path + ".new", "w") as archive:
            for name, data in sorted(self.files().items()):
                entry = zipfile.ZipInfo(f"{self.label}/{name}", self.date.timetuple()[:6])
                entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
                archive.writestr(entry, data)
        os.replace(path + ".new", path)

    def msi(self, programs):
        files = [(p, p) for p in programs]
        files += [(f"driver/{self.name}{end}", self.name + end) for end in (".inf", ".sys", ".cat")]
        files += [("README.txt", "README.txt"), ("LICENSE", "LICENSE.txt"), ("LICENSE.MIT", "LICENSE.MIT.txt"),
                  ("LICENSE.GPL-2.0", "LICENSE.GPL-2.0.txt"), ("sbom.spdx.json", "sbom.spdx.json")]
        path = self.stage + ".msi"
        installer.make_installer(self.stage, path, self.product, self.name, self.version, self.architecture, files,
                                 self.seconds)
        self.sign(path)


def fiat_version():
    return re.search(r"_fiat_version (\S+)\)", read(os.path.join(ROOT, "cmake", "FiatCrypto.cmake")).decode()).group(1)


def main():
    parser = argparse.ArgumentParser(prog="package")
    parser.add_argument("--architecture", action="append", choices=BIN)
    parser.add_argument("--vendor")
    parser.add_argument("--test-sign", action="store_true")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--output", default=os.path.join(ROOT, "build", "package"))
    parser.add_argument("--no-build", action="store_true")
    options = parser.parse_args()
    options.output = os.path.abspath(options.output)
    if options.vendor and not re.fullmatch(r"[A-Za-z]{1,9}", options.vendor):
        raise PackageFailed("a vendor's name has one to nine letters")
    if bool(options.certificate) != bool(options.key):
        raise PackageFailed("--certificate and --key belong together")
    if options.test_sign:
        if options.certificate:
            raise PackageFailed("either --test-sign or --certificate")
        options.certificate, options.key = signing.make_test_certificate(os.path.join(options.output, "test-certificate"))
    version, seconds = project_version(), source_seconds()
    seconds -= seconds % 2 # the time stamps of archives count in twos
    for architecture in options.architecture or BIN:
        package = Package(options, architecture, version, seconds)
        package.make()
        for end in (".zip", ".msi"):
            print(f"{hashlib.sha256(read(package.stage + end)).hexdigest()}  {os.path.relpath(package.stage + end)}")


if __name__ == "__main__":
    try:
        main()
    except (PackageFailed, signing.SigningFailed, installer.InstallerFailed, OSError) as error:
        sys.exit(f"package: {error}")
