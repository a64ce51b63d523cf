"""Writes ASN.1 in its distinguished encoding (ITU-T X.690), as much of it as catalogues need."""


def tagged(tag, body):
    length = len(body)
    if length < 128:
        head = bytes([length])
    else:
        size = (length.bit_length() + 7) // 8
        head = bytes([0x80 | size]) + length.to_bytes(size, "big")
    return bytes([tag]) + head + body


def sequence(*parts):
    return tagged(0x30, b"".join(parts))


def set_of(*parts):
    return tagged(0x31, b"".join(sorted(parts)))


def octets(data):
    return tagged(0x04, data)


def null():
    return tagged(0x05, b"")


def integer(value):
    return tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def bmp_string(text):
    return tagged(0x1E, text.encode("utf-16-be"))


def utc_time(when):
    return tagged(0x17, when.strftime("%y%m%d%H%M%SZ").encode("ascii"))


def explicit(number, *parts):
    return tagged(0xA0 | number, b"".join(parts))


def oid(text):
    first, second, *rest = (int(part) for part in text.split("."))
    body = bytes([40 * first + second])
    for value in rest:
        group = [value & 0x7F]
        while value := value >> 7:
            group.insert(0, value & 0x7F | 0x80)
        body += bytes(group)
    return tagged(0x06, body)
