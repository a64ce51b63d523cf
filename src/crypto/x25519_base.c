/* X25519 of the base point: a public key.  The scalar multiplication is done on edwards25519, the same group
 * in other coordinates, where multiples of a fixed point can be tabled: 64 additions and 4 doublings instead
 * of the ladder's 255 steps.  The addition law there is complete, so no case is special.
 *
 * Sources: RFC 7748, section 4.1 (the map); Hisil, Wong, Carter, Dawson, "Twisted Edwards Curves Revisited",
 * 2008, sections 3.1 and 3.3 (formulas for a = -1); the table is made by x25519_base_table.py. */
#include "crypto/field25519.h"
#include "crypto/secure_memory.h"
#include "crypto/x25519.h"

#define DIGITS 64 /* of 4 bits, signed: -8 .. 8 */

/* An affine point as the addition wants it. */
struct tabled_point {
    field sum, difference, product; /* y + x, y - x, 2dxy */
};

/* [k][j - 1] = j * 256^k * B */
static const struct tabled_point base_table[DIGITS / 2][8] = {
#include <x25519_base_table.h>
};

/* Everything secret, in one place, to be erased as one.  The point is X/Z, Y/Z with T = XY/Z. */
struct base_multiplication {
    int8_t digits[DIGITS];
    uint8_t scalar[X25519_KEY_BYTES];
    field x, y, z, t;
    field a, b, c, d, e, f, g, h;
    struct tabled_point chosen;
    struct field_inversion inversion;
};

static void choose_if(field out, const field in, uint64_t mask)
{
    for (int i = 0; i < FIELD_LIMBS; i++)
        out[i] ^= (out[i] ^ in[i]) & (field_limb)mask;
}

/* All ones if a == b; both below 2^63. */
static uint64_t equal_mask(uint64_t a, uint64_t b)
{
    return value_barrier_u64(0 - (((a ^ b) - 1) >> 63));
}

/* chosen = digit * 256^row * B; reads the whole row whatever the digit is. */
static void choose(struct base_multiplication *m, unsigned row, int8_t digit)
{
    uint64_t sign = value_barrier_u64((uint64_t)(int64_t)digit >> 63);
    uint64_t magnitude = ((uint64_t)(int64_t)digit ^ (0 - sign)) + sign;
    uint64_t negative = value_barrier_u64(0 - sign);

    m->chosen = (struct tabled_point){.sum = {1}, .difference = {1}}; /* the neutral element */
    for (unsigned j = 1; j <= 8; j++) {
        const struct tabled_point *point = &base_table[row][j - 1];
        uint64_t mask = equal_mask(magnitude, j);
        choose_if(m->chosen.sum, point->sum, mask);
        choose_if(m->chosen.difference, point->difference, mask);
        choose_if(m->chosen.product, point->product, mask);
    }
    /* -(x, y) = (-x, y) */
    __builtin_memcpy(m->a, m->chosen.sum, sizeof m->a);
    choose_if(m->chosen.sum, m->chosen.difference, negative);
    choose_if(m->chosen.difference, m->a, negative);
    fiat_25519_opp(m->b, m->chosen.product);
    fiat_25519_carry(m->b, m->b);
    choose_if(m->chosen.product, m->b, negative);
}

/* From E, F, G and H, which may be loose. */
static void finish(struct base_multiplication *m)
{
    fiat_25519_carry_mul(m->x, m->e, m->f);
    fiat_25519_carry_mul(m->y, m->g, m->h);
    fiat_25519_carry_mul(m->t, m->e, m->h);
    fiat_25519_carry_mul(m->z, m->f, m->g);
}

static void add_chosen(struct base_multiplication *m)
{
    fiat_25519_sub(m->e, m->y, m->x);
    fiat_25519_add(m->f, m->y, m->x);
    fiat_25519_carry_mul(m->a, m->e, m->chosen.difference);
    fiat_25519_carry_mul(m->b, m->f, m->chosen.sum);
    fiat_25519_carry_mul(m->c, m->t, m->chosen.product);
    fiat_25519_add(m->d, m->z, m->z);
    fiat_25519_carry(m->d, m->d);
    fiat_25519_sub(m->e, m->b, m->a);
    fiat_25519_sub(m->f, m->d, m->c);
    fiat_25519_add(m->g, m->d, m->c);
    fiat_25519_add(m->h, m->b, m->a);
    finish(m);
}

static void double_point(struct base_multiplication *m)
{
    fiat_25519_carry_square(m->a, m->x);
    fiat_25519_carry_square(m->b, m->y);
    fiat_25519_carry_square(m->c, m->z);
    fiat_25519_add(m->c, m->c, m->c);
    fiat_25519_carry(m->c, m->c);
    fiat_25519_add(m->d, m->x, m->y);
    fiat_25519_carry_square(m->d, m->d);
    fiat_25519_add(m->h, m->a, m->b);
    fiat_25519_carry(m->h, m->h);
    fiat_25519_sub(m->e, m->h, m->d);
    fiat_25519_sub(m->g, m->a, m->b);
    fiat_25519_carry(m->g, m->g);
    fiat_25519_add(m->f, m->c, m->g);
    finish(m);
}

/* scalar = sum of digits[i] * 16^i.  Its top digit is at most 7 (bit 255 is clear), so nothing is carried
 * out. */
static void make_digits(struct base_multiplication *m)
{
    int carry = 0;
    for (int i = 0; i < DIGITS; i++) {
        int digit = ((m->scalar[i / 2] >> (4 * (i & 1))) & 15) + carry;
        carry = i == DIGITS - 1 ? 0 : (digit + 8) >> 4;
        m->digits[i] = (int8_t)(digit - carry * 16);
    }
}

void x25519_base(uint8_t out[X25519_KEY_BYTES], const uint8_t scalar[X25519_KEY_BYTES])
{
    struct base_multiplication m;

    __builtin_memset(&m, 0, sizeof m);
    __builtin_memcpy(m.scalar, scalar, sizeof m.scalar);
    x25519_clamp(m.scalar);
    make_digits(&m);

    m.y[0] = m.z[0] = 1;
    for (unsigned i = 1; i < DIGITS; i += 2) {
        choose(&m, i / 2, m.digits[i]);
        add_chosen(&m);
    }
    for (unsigned i = 0; i < 4; i++)
        double_point(&m);
    for (unsigned i = 0; i < DIGITS; i += 2) {
        choose(&m, i / 2, m.digits[i]);
        add_chosen(&m);
    }

    /* u = (1 + y) / (1 - y); Z = Y only for the neutral element, which no clamped scalar gives. */
    fiat_25519_sub(m.a, m.z, m.y);
    fiat_25519_carry(m.a, m.a);
    field_invert(m.b, m.a, &m.inversion);
    fiat_25519_add(m.c, m.z, m.y);
    fiat_25519_carry_mul(m.c, m.c, m.b);
    fiat_25519_to_bytes(out, m.c);
    secure_zero(&m, sizeof m);
}
