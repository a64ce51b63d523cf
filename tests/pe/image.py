"""A PE32 or PE32+ image as the loader of Windows sees it (Microsoft, "PE Format"): headers, sections, directories.
Reading outside the file or outside a section raises Damaged."""
import struct

EXPORT, IMPORT, RESOURCE, EXCEPTION, SECURITY, RELOCATION, DEBUG = range(7)
TLS, LOAD_CONFIG, DELAY_IMPORT = 9, 10, 13


class Damaged(Exception):
    pass


class Section:
    CODE, DISCARDABLE, EXECUTE, READ, WRITE = 0x20, 0x02000000, 0x20000000, 0x40000000, 0x80000000

    def __init__(self, name, virtual_size, address, raw_size, raw, flags):
        self.name, self.virtual_size, self.address = name, virtual_size, address
        self.raw_size, self.raw, self.flags = raw_size, raw, flags

    def holds(self, rva, length=1):
        return self.address <= rva and rva + length <= self.address + self.virtual_size


AMD64, ARM64, I386 = 0x8664, 0xAA64, 0x14C


class Image:
    """expected: the machine that the image should be for"""

    def __init__(self, data, expected=AMD64):
        self.data, self.expected = data, expected
        if data[:2] != b"MZ":
            raise Damaged("no MZ signature")
        self.pe = self.unpack("<I", 60)[0]
        if data[self.pe:self.pe + 4] != b"PE\0\0":
            raise Damaged("no PE signature")
        (self.machine, count, self.timestamp, symbols, symbol_count, optional_size,
         self.characteristics) = self.unpack("<HHIIIHH", self.pe + 4)
        self.optional = self.pe + 24
        magic, = self.unpack("<H", self.optional)
        if magic not in (0x10B, 0x20B):
            raise Damaged("neither a PE32 nor a PE32+ image")
        self.pointer, self.pointer_bytes = ("<Q", 8) if magic == 0x20B else ("<I", 4)
        self.entry, = self.unpack("<I", self.optional + 16)
        self.base, = self.unpack(self.pointer, self.optional + 32 - self.pointer_bytes)
        self.section_alignment, self.file_alignment = self.unpack("<II", self.optional + 32)
        self.os_version = self.unpack("<HH", self.optional + 40)
        self.subsystem_version = self.unpack("<HH", self.optional + 48)
        self.size, self.header_size = self.unpack("<II", self.optional + 56)
        self.checksum, self.subsystem, self.flags = self.unpack("<IHH", self.optional + 64)
        # Four sizes of stack and heap, as wide as a pointer, come before the directories.
        self.directory = self.optional + 80 + 4 * self.pointer_bytes
        directories, = self.unpack("<I", self.directory - 4)
        self.directories = [self.unpack("<II", self.directory + 8 * i) for i in range(min(directories, 16))]
        self.section_headers = self.optional + optional_size
        strings = symbols + 18 * symbol_count
        self.sections = []
        for i in range(count):
            name, vs, va, rs, rp, _, _, _, _, flags = self.unpack("<8sIIIIIIHHI", self.section_headers + 40 * i)
            name = name.rstrip(b"\0").decode("latin-1")
            if name.startswith("/") and name[1:].isdigit() and symbols:
                start = strings + int(name[1:])
                name = data[start:data.find(b"\0", start)].decode("latin-1")
            if rs and (rp + rs > len(data)):
                raise Damaged(f"section {name} ends behind the file")
            self.sections.append(Section(name, vs, va, rs, rp, flags))

    def unpack(self, format, offset):
        if offset < 0 or offset + struct.calcsize(format) > len(self.data):
            raise Damaged(f"offset {offset:#x} is outside the file")
        return struct.unpack_from(format, self.data, offset)

    def section(self, rva, length=1):
        for section in self.sections:
            if section.holds(rva, length):
                return section
        return None

    def offset(self, rva, length=1):
        section = self.section(rva, length)
        if not section or rva - section.address + length > section.raw_size:
            raise Damaged(f"address {rva:#x} is in no section")
        return section.raw + rva - section.address

    def at(self, format, rva):
        return self.unpack(format, self.offset(rva, struct.calcsize(format)))

    def string(self, rva):
        start = self.offset(rva)
        end = self.data.find(b"\0", start, start + 256)
        if end < 0:
            raise Damaged(f"no string at {rva:#x}")
        return self.data[start:end].decode("latin-1")

    def computed_checksum(self):
        field = self.optional + 64
        data = self.data[:field] + b"\0\0\0\0" + self.data[field + 4:]
        # The sum of the 16-bit words with the carries added in again is the remainder by 0xFFFF of the whole as one number; but
        # it is 0 for zeroes alone.
        value = int.from_bytes(data, "little")
        total = value % 0xFFFF or (0xFFFF if value else 0)
        return (total + len(self.data)) & 0xFFFFFFFF

    def imports(self):
        """[(module, name or None for an ordinal)]"""
        rva, size = self.directories[IMPORT]
        out = []
        while rva and size:
            lookup, _, _, module, table = self.at("<IIIII", rva)
            if not module:
                break
            entry = lookup or table
            while True:
                value, = self.at(self.pointer, entry)
                if not value:
                    break
                ordinal = value >> (8 * self.pointer_bytes - 1)
                out.append((self.string(module), None if ordinal else self.string(value + 2)))
                entry += self.pointer_bytes
            rva += 20
        return out

    def relocations(self):
        """[(type, rva)]"""
        rva, size = self.directories[RELOCATION]
        out, end = [], rva + size
        while rva < end:
            page, length = self.at("<II", rva)
            if length < 8 or rva + length > end:
                raise Damaged("a relocation block has a wrong length")
            for i in range((length - 8) // 2):
                word, = self.at("<H", rva + 8 + 2 * i)
                out.append((word >> 12, page + (word & 0xFFF)))
            rva += length
        return out

    def functions(self):
        """The exception directory: [(begin, end, whether its version is known)]"""
        rva, size = self.directories[EXCEPTION]
        if self.machine != ARM64:
            entries = [self.at("<III", rva + 12 * i) for i in range(size // 12)]
            return [(begin, end, self.at("<B", information)[0] & 7 in (1, 2)) for begin, end, information in entries]
        out = []
        for i in range(size // 8): # Microsoft Learn, "ARM64 exception handling"
            begin, word = self.at("<II", rva + 8 * i)
            if word & 3 == 0:
                header, = self.at("<I", word)
                out.append((begin, begin + 4 * (header & 0x3FFFF), header >> 18 & 3 == 0))
            else:
                out.append((begin, begin + 4 * (word >> 2 & 0x7FF), word & 3 != 3))
        return out
