"""The catalogue and the signatures: osslsigncode accepts what was signed and refuses what was changed afterwards."""
import hashlib
import os
import re
import shutil
import tempfile

from results import ROOT, check

import authenticode
import catalogue
import make_inf
import signing

SECONDS = 1790000000


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def flip(data, offset):
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1:]


def offset_of_code(data):
    """Of the middle of .text in the file."""
    header = int.from_bytes(data[60:64], "little")
    table = header + 24 + int.from_bytes(data[header + 20:header + 22], "little")
    size, start = (int.from_bytes(data[table + at:table + at + 4], "little") for at in (16, 20))
    return start + size // 2


def test_architecture(folder, architecture, driver, certificate, key):
    driver_path, inf_path, cat_path = (os.path.join(folder, "wyrm." + end) for end in ("sys", "inf", "cat"))
    inf = make_inf.make_inf(architecture, "0.1.0", "2026-11-23")
    image = read(driver)
    write(driver_path, image)
    write(inf_path, inf)
    unsigned = catalogue.make_catalogue({"wyrm.sys": image, "wyrm.inf": inf}, architecture, "Wyrm", "2026-11-23")
    again = catalogue.make_catalogue({"wyrm.inf": inf, "wyrm.sys": image}, architecture, "Wyrm", "2026-11-23")
    check(unsigned == again, f"{architecture}: the same files give the same catalogue")
    for what, value in (("the INF's hash", hashlib.sha256(inf).digest()), ("the driver's hash",
                        authenticode.Image(image).digest()), ("the INF's name", "wyrm.inf\0".encode("utf-16-le")),
                        ("the hardware id", "wyrm\0".encode("utf-16-le")),
                        ("the system", (catalogue.SYSTEMS[architecture] + "\0").encode("utf-16-le"))):
        check(value in unsigned, f"{architecture}: the catalogue holds {what}")
    write(cat_path, unsigned)
    check(not signing.verify(driver_path, certificate, cat_path)[0], f"{architecture}: an unsigned catalogue is refused")
    signing.sign(cat_path, certificate, key, SECONDS)
    signed = read(cat_path)
    good, text = signing.verify(driver_path, certificate, cat_path)
    check(good, f"{architecture}: the driver is what the catalogue says", text[-600:])
    pages = re.findall(r"[Pp]age hash\s+: (\w+)", text)
    check(len(pages) == 2 and pages[0] == pages[1], f"{architecture}: osslsigncode computes the same page hashes", str(pages))

    where = offset_of_code(image)
    write(driver_path, flip(image, where))
    check(not signing.verify(driver_path, certificate, cat_path)[0], f"{architecture}: a changed driver is refused")
    write(driver_path, image + b"x" * 8)
    check(not signing.verify(driver_path, certificate, cat_path)[0], f"{architecture}: a longer driver is refused")
    write(driver_path, image)
    at = signed.index(authenticode.Image(image).digest())
    write(cat_path, flip(signed, at))
    check(not signing.verify(driver_path, certificate, cat_path)[0], f"{architecture}: a changed catalogue is refused")
    write(cat_path, signed)
    other = os.path.join(folder, "other")
    stranger, _ = signing.make_test_certificate(other, "Somebody else")
    check(not signing.verify(driver_path, stranger, cat_path)[0], f"{architecture}: another's certificate does not verify it")

    before = authenticode.Image(image).digest()
    signing.sign(driver_path, certificate, key, SECONDS)
    check(signing.verify(driver_path, certificate)[0], f"{architecture}: the driver's own signature")
    check(authenticode.Image(read(driver_path)).digest() == before, f"{architecture}: signing does not change the hash")
    check(signing.verify(driver_path, certificate, cat_path)[0],
          f"{architecture}: the signed driver is what the catalogue says")
    write(driver_path, flip(read(driver_path), where))
    check(not signing.verify(driver_path, certificate)[0], f"{architecture}: a signed driver that was changed is refused")


def run():
    folder = tempfile.mkdtemp(prefix="wyrm-catalogue-")
    try:
        certificate, key = signing.make_test_certificate(os.path.join(folder, "certificate"))
        check(os.stat(key).st_mode & 0o77 == 0, "the test key is its owner's alone")
        os.unlink(certificate)
        os.chmod(key, 0o644)
        signing.make_test_certificate(os.path.join(folder, "certificate"))
        check(os.stat(key).st_mode & 0o77 == 0, "so is one that is made anew where others could read an older one")
        check(signing.make_test_certificate(os.path.join(folder, "certificate")) == (certificate, key) and
              b"BEGIN CERTIFICATE" in read(certificate), "the test certificate is made once")
        for architecture, path in (("x64", "wyrm.sys"), ("arm64", "arm64/wyrm.sys"), ("x86", "x86/wyrm.sys")):
            driver = os.path.join(ROOT, "build", "bin", path)
            if check(os.path.exists(driver), f"{architecture}: there is a driver"):
                test_architecture(folder, architecture, driver, certificate, key)
    finally:
        shutil.rmtree(folder)
