#!/usr/bin/python3
"""Makes the catalogue (.cat) of a driver package: a certificate trust list in PKCS #7 that names each file by its SHA-256
(of PE images the Authenticode hash, with page hashes), with the systems and the hardware id it is for.  Not signed yet.
The same files, date and options give the same bytes.

usage: catalogue.py OUT.cat --os OSATTR --hardware-id ID --date YYYY-MM-DD FILE..."""
import argparse
import datetime
import hashlib
import os
import uuid

from authenticode import Image, NoImage
from der import bmp_string, explicit, integer, null, octets, oid, sequence, set_of, tagged, utc_time

SIGNED_DATA, TRUST_LIST = "1.2.840.113549.1.7.2", "1.3.6.1.4.1.311.10.1"
CATALOG_LIST, CATALOG_LIST_MEMBER_2 = "1.3.6.1.4.1.311.12.1.1", "1.3.6.1.4.1.311.12.1.3"
CATALOG_NAME_VALUE, CATALOG_MEMBER_INFORMATION = "1.3.6.1.4.1.311.12.2.1", "1.3.6.1.4.1.311.12.2.2"
INDIRECT_DATA, PE_IMAGE_DATA, CAB_DATA = "1.3.6.1.4.1.311.2.1.4", "1.3.6.1.4.1.311.2.1.15", "1.3.6.1.4.1.311.2.1.25"
PAGE_HASHES_2, PAGE_HASHES_CLASS = "1.3.6.1.4.1.311.2.3.2", bytes.fromhex("a6b586d5b4a12466ae05a217da8e60d6")
SHA256 = "2.16.840.1.101.3.4.2.1"
# How Windows takes a file apart: as a PE image, as plain bytes.
SUBJECT_PE, SUBJECT_FLAT = "{C689AAB8-8E78-11D0-8C47-00C04FC295EE}", "{DE351A42-8E59-11D0-8C47-00C04FC295EE}"
MEMBER_VERSION = 0x200
# CRYPTCAT_ATTR_AUTHENTICATED | NAMEASCII | DATAASCII
ATTRIBUTE_FLAGS = 0x10010001
# What inf2cat writes for Windows 10 of each processor.
SYSTEMS = {"x64": "_v100_X64", "arm64": "_v100_ARM64", "x86": "_v100"}


def text_attribute(name, value):
    value = (value + "\0").encode("utf-16-le")
    return sequence(oid(CATALOG_NAME_VALUE), set_of(sequence(bmp_string(name), integer(ATTRIBUTE_FLAGS), octets(value))))


def catalog_attribute(name, value):
    value = (value + "\0").encode("utf-16-le")
    return sequence(oid(CATALOG_NAME_VALUE), octets(sequence(bmp_string(name), integer(ATTRIBUTE_FLAGS), octets(value))))


def page_hash_object(image):
    hashes = set_of(sequence(oid(PAGE_HASHES_2), set_of(octets(image.page_hashes()))))
    return tagged(0xA1, octets(PAGE_HASHES_CLASS) + octets(hashes)) # SpcLink, [1] moniker


def member(name, data):
    try:
        image = Image(data)
    except NoImage:
        image = None
    digest = image.digest() if image else hashlib.sha256(data).digest()
    if image:
        # SpcPeImageData: the flags as an empty bit string, then [0] the page hashes.
        description = sequence(oid(PE_IMAGE_DATA), sequence(tagged(0x03, b"\0"), explicit(0, page_hash_object(image))))
    else:
        description = sequence(oid(CAB_DATA), tagged(0xA2, tagged(0x80, b""))) # SpcLink, [2] file, no name
    indirect = sequence(oid(INDIRECT_DATA), set_of(sequence(
        description, sequence(sequence(oid(SHA256), null()), octets(digest)))))
    information = sequence(oid(CATALOG_MEMBER_INFORMATION), set_of(sequence(
        bmp_string(SUBJECT_PE if image else SUBJECT_FLAT), integer(MEMBER_VERSION))))
    attributes = set_of(text_attribute("File", name.lower()), text_attribute("OSAttr", "2:10.0"), indirect, information)
    return digest, sequence(octets(digest), attributes)


def make_catalogue(files, system, hardware_id, date):
    """files: {name: bytes}; system: x64, arm64 or x86"""
    members = sorted(member(name, data) for name, data in files.items())
    # The list's identifier, random elsewhere, here made from its contents.
    identifier = uuid.uuid5(uuid.NAMESPACE_OID, b"".join(digest for digest, _ in members).hex() + hardware_id + date).bytes
    trust_list = sequence(
        sequence(oid(CATALOG_LIST)), octets(identifier),
        utc_time(datetime.datetime.combine(datetime.date.fromisoformat(date), datetime.time())),
        sequence(oid(CATALOG_LIST_MEMBER_2), null()), sequence(*(encoded for _, encoded in members)),
        explicit(0, sequence(catalog_attribute("OS", SYSTEMS[system]), catalog_attribute("HWID1", hardware_id.lower()))))
    return sequence(oid(SIGNED_DATA), explicit(0, sequence(
        integer(1), set_of(), sequence(oid(TRUST_LIST), explicit(0, trust_list)), set_of())))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("out")
    parser.add_argument("--os", choices=SYSTEMS, required=True)
    parser.add_argument("--hardware-id", required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    files = {}
    for path in arguments.files:
        with open(path, "rb") as file:
            files[os.path.basename(path)] = file.read()
    with open(arguments.out, "wb") as file:
        file.write(make_catalogue(files, arguments.os, arguments.hardware_id, arguments.date))


if __name__ == "__main__":
    main()
