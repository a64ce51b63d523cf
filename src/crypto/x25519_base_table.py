#!/usr/bin/python3
"""Prints the table of multiples of the base point that x25519_base.c needs, as C initialisers.

Row k holds j * 256^k * B for j = 1..8, B being the base point of edwards25519 (RFC 7748, section 4.1).  A point is
three field elements, y + x, y - x and 2dxy, in limbs of 51 bits or of 26 and 25 bits alternately, as FIELD_LIMBS of
field25519.h says.  The build writes it to a header."""

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
Y = 4 * pow(5, -1, P) % P


def x_of(y):
    """The even x of a point (RFC 8032, section 5.1.3)."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square
    return x if x % 2 == 0 else P - x


def add(a, b):
    """Affine addition on -x^2 + y^2 = 1 + d x^2 y^2; complete, as d is no square."""
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P)


def limbs(value, count):
    """Limb i begins at bit ceil(255 i / count)."""
    value %= P
    starts = [-(-255 * i // count) for i in range(count + 1)]
    return ", ".join(f"0x{value >> start & (1 << end - start) - 1:x}" for start, end in zip(starts, starts[1:]))


def table(count):
    row = (x_of(Y), Y)
    for _ in range(32):
        point = row
        print("{")
        for _ in range(8):
            x, y = point
            sum, difference, product = (limbs(v, count) for v in (y + x, y - x, 2 * D * x * y))
            print(f"    {{{{{sum}}}, {{{difference}}}, {{{product}}}}},")
            point = add(point, row)
        print("},")
        for _ in range(8):
            row = add(row, row)


print("#if FIELD_LIMBS == 5")
table(5)
print("#else")
table(10)
print("#endif")
