/* The field of Curve25519, for the two scalar multiplications: fiat-crypto's formally verified operations
 * (cmake/FiatCrypto.cmake says where the header comes from), and our inversion over them.
 *
 * fiat-crypto's bounds: carry, carry_mul, carry_square and carry_scmul_121666 accept "loose" elements and
 * return "tight" ones; add and sub accept tight ones and return loose ones.  Callers keep to that. */
#pragma once

#include <stdint.h>

/* What the headers expect from their includer: the optimiser must not see that the value is a mask. */
static inline uint64_t value_barrier_u64(uint64_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

static inline uint32_t value_barrier_u32(uint32_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

#ifdef __SIZEOF_INT128__
#include <curve25519_64.h>
#define FIELD_LIMBS 5
typedef uint64_t field_limb;
#else
#include <curve25519_32.h>
#define FIELD_LIMBS 10
typedef uint32_t field_limb;
#endif

typedef field_limb field[FIELD_LIMBS];

/* Powers on the way to the inverse, to be erased with the caller's secrets: e5 = z^(2^5 - 1) and so on. */
struct field_inversion {
    field z2, z9, z11, t, e5, e10, e20, e50, e100;
};

static inline void field_square_times(field out, const field in, int times)
{
    fiat_25519_carry_square(out, in);
    for (int i = 1; i < times; i++)
        fiat_25519_carry_square(out, out);
}

/* out = z^(2^255 - 21) = 1 / z (0 for 0), with 11 multiplications. Both tight. */
static inline void field_invert(field out, const field z, struct field_inversion *p)
{
    fiat_25519_carry_square(p->z2, z);
    field_square_times(p->t, p->z2, 2);
    fiat_25519_carry_mul(p->z9, p->t, z);
    fiat_25519_carry_mul(p->z11, p->z9, p->z2);
    fiat_25519_carry_square(p->t, p->z11);
    fiat_25519_carry_mul(p->e5, p->t, p->z9);
    field_square_times(p->t, p->e5, 5);
    fiat_25519_carry_mul(p->e10, p->t, p->e5);
    field_square_times(p->t, p->e10, 10);
    fiat_25519_carry_mul(p->e20, p->t, p->e10);
    field_square_times(p->t, p->e20, 20);
    fiat_25519_carry_mul(p->t, p->t, p->e20);
    field_square_times(p->t, p->t, 10);
    fiat_25519_carry_mul(p->e50, p->t, p->e10);
    field_square_times(p->t, p->e50, 50);
    fiat_25519_carry_mul(p->e100, p->t, p->e50);
    field_square_times(p->t, p->e100, 100);
    fiat_25519_carry_mul(p->t, p->t, p->e100);
    field_square_times(p->t, p->t, 50);
    fiat_25519_carry_mul(p->t, p->t, p->e50);
    field_square_times(p->t, p->t, 5);
    fiat_25519_carry_mul(out, p->t, p->z11);
}
