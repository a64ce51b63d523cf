/* X25519 (RFC 7748, section 5): the Montgomery ladder and the inversion are ours, every field operation is
 * fiat-crypto's formally verified one (cmake/FiatCrypto.cmake says where the header comes from).
 *
 * fiat-crypto's bounds: carry_mul, carry_square and carry_scmul_121666 accept "loose" elements and return
 * "tight" ones; add and sub accept tight ones and return loose ones.  Each line below keeps to that. */
#include "crypto/x25519.h"

#include "crypto/secure_memory.h"

/* What the header expects from its includer: the optimiser must not see that the value is a mask. */
static inline uint64_t value_barrier_u64(uint64_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

#include <curve25519_64.h>

#define LIMBS 5

typedef uint64_t field[LIMBS];

/* Everything secret that one scalar multiplication holds, in one place, to be erased as one. */
struct ladder {
    uint8_t scalar[X25519_KEY_BYTES];
    field x1, x2, z2, x3, z3;
    field a, aa, b, bb, e, c, d, da, cb;
};

static void conditional_swap(field left, field right, uint64_t swap)
{
    uint64_t mask = value_barrier_u64(0 - swap);
    for (int i = 0; i < LIMBS; i++) {
        uint64_t difference = (left[i] ^ right[i]) & mask;
        left[i] ^= difference;
        right[i] ^= difference;
    }
}

static void square_times(field out, const field in, int times)
{
    fiat_25519_carry_square(out, in);
    for (int i = 1; i < times; i++)
        fiat_25519_carry_square(out, out);
}

/* out = z^(2^255 - 21) = 1 / z, with 11 multiplications; names give the exponent: e5 = 2^5 - 1 and so on. */
static void invert(field out, const field z, struct ladder *scratch)
{
    uint64_t *z2 = scratch->a, *z9 = scratch->b, *z11 = scratch->c, *t = scratch->d;
    uint64_t *e5 = scratch->e, *e10 = scratch->aa, *e20 = scratch->bb, *e50 = scratch->da,
             *e100 = scratch->cb;

    fiat_25519_carry_square(z2, z);
    square_times(t, z2, 2);
    fiat_25519_carry_mul(z9, t, z);
    fiat_25519_carry_mul(z11, z9, z2);
    fiat_25519_carry_square(t, z11);
    fiat_25519_carry_mul(e5, t, z9);
    square_times(t, e5, 5);
    fiat_25519_carry_mul(e10, t, e5);
    square_times(t, e10, 10);
    fiat_25519_carry_mul(e20, t, e10);
    square_times(t, e20, 20);
    fiat_25519_carry_mul(t, t, e20);
    square_times(t, t, 10);
    fiat_25519_carry_mul(e50, t, e10);
    square_times(t, e50, 50);
    fiat_25519_carry_mul(e100, t, e50);
    square_times(t, e100, 100);
    fiat_25519_carry_mul(t, t, e100);
    square_times(t, t, 50);
    fiat_25519_carry_mul(t, t, e50);
    square_times(t, t, 5);
    fiat_25519_carry_mul(out, t, z11);
}

/* One step of RFC 7748, section 5: doubles (x2, z2), adds (x3, z3) to it.  With AA = BB + E, the formula's
 * AA + 121665 E is BB + 121666 E. */
static void ladder_step(struct ladder *l)
{
    fiat_25519_add(l->a, l->x2, l->z2);
    fiat_25519_sub(l->b, l->x2, l->z2);
    fiat_25519_add(l->c, l->x3, l->z3);
    fiat_25519_sub(l->d, l->x3, l->z3);
    fiat_25519_carry_mul(l->da, l->d, l->a);
    fiat_25519_carry_mul(l->cb, l->c, l->b);
    fiat_25519_carry_square(l->aa, l->a);
    fiat_25519_carry_square(l->bb, l->b);

    fiat_25519_add(l->c, l->da, l->cb);
    fiat_25519_sub(l->d, l->da, l->cb);
    fiat_25519_carry_square(l->x3, l->c);
    fiat_25519_carry_square(l->d, l->d);
    fiat_25519_carry_mul(l->z3, l->d, l->x1);

    fiat_25519_sub(l->e, l->aa, l->bb);
    fiat_25519_carry_mul(l->x2, l->aa, l->bb);
    fiat_25519_carry_scmul_121666(l->a, l->e);
    fiat_25519_add(l->a, l->a, l->bb);
    fiat_25519_carry_mul(l->z2, l->e, l->a);
}

void x25519_clamp(uint8_t scalar[X25519_KEY_BYTES])
{
    scalar[0] &= 248;
    scalar[31] = (uint8_t)((scalar[31] & 127) | 64);
}

bool x25519(uint8_t out[X25519_KEY_BYTES], const uint8_t scalar[X25519_KEY_BYTES],
            const uint8_t point[X25519_KEY_BYTES])
{
    struct ladder l;
    uint8_t u[X25519_KEY_BYTES];

    __builtin_memset(&l, 0, sizeof l);
    __builtin_memcpy(l.scalar, scalar, sizeof l.scalar);
    x25519_clamp(l.scalar);
    __builtin_memcpy(u, point, sizeof u);
    u[31] &= 127; /* RFC 7748, section 5: the unused bit is ignored */
    fiat_25519_from_bytes(l.x1, u);

    l.x2[0] = 1;
    __builtin_memcpy(l.x3, l.x1, sizeof l.x3);
    l.z3[0] = 1;

    uint64_t swap = 0;
    for (int bit = 254; bit >= 0; bit--) {
        uint64_t k = (l.scalar[bit / 8] >> (bit % 8)) & 1;
        swap ^= k;
        conditional_swap(l.x2, l.x3, swap);
        conditional_swap(l.z2, l.z3, swap);
        swap = k;
        ladder_step(&l);
    }
    conditional_swap(l.x2, l.x3, swap);
    conditional_swap(l.z2, l.z3, swap);

    invert(l.z3, l.z2, &l);
    fiat_25519_carry_mul(l.x2, l.x2, l.z3);
    fiat_25519_to_bytes(out, l.x2);
    secure_zero(&l, sizeof l);
    return !secure_is_zero(out, X25519_KEY_BYTES);
}

void x25519_base(uint8_t out[X25519_KEY_BYTES], const uint8_t scalar[X25519_KEY_BYTES])
{
    static const uint8_t base_point[X25519_KEY_BYTES] = {9};
    x25519(out, scalar, base_point);
}
