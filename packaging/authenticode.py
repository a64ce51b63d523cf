"""The hashes by which Windows knows a PE image (Microsoft, "Windows Authenticode Portable Executable Signature Format"): of
the whole image without its checksum, the entry of its signature, and the signature; and of each page."""
import hashlib
import struct


class NoImage(Exception):
    """Not a PE image."""


class Image:
    def __init__(self, data):
        self.data = data
        try:
            header, = struct.unpack_from("<I", data, 60)
            if data[:2] != b"MZ" or data[header:header + 4] != b"PE\0\0":
                raise NoImage("no PE header")
            self.section_count, optional_size = struct.unpack_from("<H12xH", data, header + 6)
            optional = header + 24
            wide = struct.unpack_from("<H", data, optional)[0] == 0x20B
            self.page_bytes, = struct.unpack_from("<I", data, optional + 32)
            self.header_bytes, = struct.unpack_from("<I", data, optional + 60)
            self.checksum = optional + 64
            self.security = optional + (112 if wide else 96) + 8 * 4
            self.sections = optional + optional_size
            start, size = struct.unpack_from("<II", data, self.security)
        except struct.error:
            raise NoImage("the headers are cut off")
        self.end = start if size else len(data)

    def pieces(self, end):
        """What is hashed, up to a position in the file."""
        return (self.data[:self.checksum] + self.data[self.checksum + 4:self.security] +
                self.data[self.security + 8:end])

    def digest(self):
        data = self.pieces(self.end)
        # A signature begins on a multiple of 8: an image without one is hashed as if it were padded for it.
        return hashlib.sha256(data + bytes(-self.end % 8)).digest()

    def page_hashes(self):
        """Offset and hash of the headers and of each page of each section, then the end with a hash of zeros."""
        out = struct.pack("<I", 0) + hashlib.sha256(
            self.pieces(self.header_bytes) + bytes(self.page_bytes - self.header_bytes)).digest()
        last = 0
        for i in range(self.section_count):
            size, start = struct.unpack_from("<II", self.data, self.sections + 40 * i + 16)
            for offset in range(start, start + size, self.page_bytes):
                page = self.data[offset:min(offset + self.page_bytes, start + size)]
                out += struct.pack("<I", offset) + hashlib.sha256(page.ljust(self.page_bytes, b"\0")).digest()
            last = start + size if size else last
        return out + struct.pack("<I", last) + bytes(32)
