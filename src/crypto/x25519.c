/* X25519 (RFC 7748, section 5) for any point: the Montgomery ladder. */
#include "crypto/x25519.h"

#include "crypto/field25519.h"
#include "crypto/secure_memory.h"

/* Everything secret that one scalar multiplication holds, in one place, to be erased as one. */
struct ladder {
    uint8_t scalar[X25519_KEY_BYTES];
    field x1, x2, z2, x3, z3;
    field a, aa, b, bb, e, c, d, da, cb;
    struct field_inversion inversion;
};

static void conditional_swap(field left, field right, uint64_t swap)
{
    field_limb mask = (field_limb)value_barrier_u64(0 - swap);
    for (int i = 0; i < FIELD_LIMBS; i++) {
        field_limb difference = (left[i] ^ right[i]) & mask;
        left[i] ^= difference;
        right[i] ^= difference;
    }
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

    field_invert(l.z3, l.z2, &l.inversion);
    fiat_25519_carry_mul(l.x2, l.x2, l.z3);
    fiat_25519_to_bytes(out, l.x2);
    secure_zero(&l, sizeof l);
    return !secure_is_zero(out, X25519_KEY_BYTES);
}
