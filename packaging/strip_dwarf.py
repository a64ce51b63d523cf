#!/usr/bin/python3
"""Takes the DWARF sections, which the linker puts last, out of a PE image, in place: headers, symbol table, checksum.

usage: strip_dwarf.py IMAGE"""
import struct
import sys


class Unexpected(Exception):
    """The image is not laid out as our linker does it."""


def checksum(data, field):
    """Microsoft, "PE Format": the sum of all 16-bit words but the checksum's own, folded, plus the length."""
    words = data[:field] + bytes(4) + data[field + 4:] + bytes(len(data) % 2)
    total = sum(struct.unpack(f"<{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total + len(data)


def strip_dwarf(data):
    data = bytearray(data)
    header, = struct.unpack_from("<I", data, 60)
    count, symbols, symbol_count, optional_size = struct.unpack_from("<HxxxxIIH", data, header + 6)
    optional = header + 24
    table = optional + optional_size
    alignment, = struct.unpack_from("<I", data, optional + 32)
    names = data[symbols + 18 * symbol_count:] if symbols else b""
    sections = []
    for i in range(count):
        name, virtual_size, address, size, start = struct.unpack_from("<8sIIII", data, table + 40 * i)
        if name[:1] == b"/":
            at = int(name[1:].rstrip(b"\0"))
            name = bytes(names[at:names.index(b"\0", at)])
        sections.append((name.startswith(b".debug_"), virtual_size, address, size, start))
    kept = [section for section in sections if not section[0]]
    if [section[0] for section in sections] != [False] * len(kept) + [True] * (count - len(kept)):
        raise Unexpected("a section comes behind the debug information")
    end = max(start + size for _, _, _, size, start in kept)
    if any(start < end for debug, _, _, size, start in sections if debug and size):
        raise Unexpected("debug information comes before a section in the file")
    removed = sum(section[3] for section in sections[len(kept):])

    data[table + 40 * len(kept):table + 40 * count] = bytes(40 * (count - len(kept)))
    struct.pack_into("<H", data, header + 6, len(kept))
    struct.pack_into("<II", data, header + 12, 0, 0)
    initialized, = struct.unpack_from("<I", data, optional + 8)
    struct.pack_into("<I", data, optional + 8, initialized - removed)
    last = max(address + virtual_size for _, virtual_size, address, _, _ in kept)
    struct.pack_into("<I", data, optional + 56, -(-last // alignment) * alignment)
    del data[end:]
    struct.pack_into("<I", data, optional + 64, checksum(data, optional + 64))
    return bytes(data)


def main(path):
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(strip_dwarf(data))


if __name__ == "__main__":
    main(*sys.argv[1:])
