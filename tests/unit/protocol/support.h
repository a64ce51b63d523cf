/* What the protocol's tests share: seeded randomness, hex, and a pair of peers that know each other. */
#pragma once

#include "check.h"
#include "protocol/cookie.h"
#include "protocol/handshake.h"
#include "protocol/tai64n.h"
#include <stdlib.h>

/* splitmix64: reproducible, the seed is printed by whoever fails. */
struct random {
    uint64_t state;
};

static inline uint64_t random_u64(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint32_t random_below(struct random *random, uint32_t limit)
{
    return (uint32_t)(random_u64(random) >> 32) % limit;
}

static inline void random_bytes(struct random *random, void *out, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)out)[i] = (uint8_t)random_u64(random);
}

static inline void unhex(uint8_t *out, size_t length, const char *hex)
{
    for (size_t i = 0; i < length; i++) {
        unsigned int value = 0;
        sscanf(hex + 2 * i, "%2x", &value);
        out[i] = (uint8_t)value;
    }
}

static inline bool all_zero(const void *memory, size_t length)
{
    const uint8_t *bytes = memory;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

/* One side: an interface with one peer. */
struct side {
    struct identity identity;
    struct handshake handshake;
    struct cookie_checker checker;
    struct cookie_maker maker;
};

/* Fresh keys for two sides that are each other's peer, with a common preshared key. */
static inline void sides_init(struct side *a, struct side *b, struct random *random)
{
    uint8_t key[32];
    struct side *sides[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        random_bytes(random, key, sizeof(key));
        identity_init(&sides[i]->identity);
        identity_set(&sides[i]->identity, key);
    }
    random_bytes(random, key, sizeof(key));
    for (int i = 0; i < 2; i++) {
        const struct side *other = sides[1 - i];
        handshake_init(&sides[i]->handshake, &sides[i]->identity, other->identity.public_key);
        handshake_set_preshared_key(&sides[i]->handshake, key);
        cookie_checker_init(&sides[i]->checker);
        cookie_checker_set_identity(&sides[i]->checker, sides[i]->identity.public_key);
        cookie_maker_init(&sides[i]->maker, other->identity.public_key);
    }
}

#define TEST_NOW_NS    (1000 * NS_PER_SECOND)
#define TEST_UTC_100NS UINT64_C(133500000000000000) /* in 2024 */

static inline enum handshake_result create_initiation(struct side *side, uint32_t index, uint64_t utc_100ns,
                                                      struct random *random,
                                                      struct message_initiation *message)
{
    uint8_t ephemeral[32], timestamp[TAI64N_BYTES];
    uint32_t released;
    random_bytes(random, ephemeral, sizeof(ephemeral));
    tai64n_from_system_time(timestamp, utc_100ns);
    return handshake_create_initiation(&side->handshake, &side->identity, index, ephemeral, timestamp,
                                       message, &released);
}

static inline enum handshake_result
consume_initiation(struct side *side, const struct message_initiation *message, uint64_t now_ns)
{
    struct initiation initiation;
    uint32_t released;
    enum handshake_result result = initiation_open(&initiation, &side->identity, message);
    if (result != HANDSHAKE_OK)
        return result;
    return handshake_consume_initiation(&side->handshake, &initiation, now_ns, &released);
}

static inline enum handshake_result create_response(struct side *side, uint32_t index, struct random *random,
                                                    struct message_response *message)
{
    uint8_t ephemeral[32];
    random_bytes(random, ephemeral, sizeof(ephemeral));
    return handshake_create_response(&side->handshake, index, ephemeral, message);
}

static inline enum handshake_result consume_response(struct side *side,
                                                     const struct message_response *message)
{
    return handshake_consume_response(&side->handshake, &side->identity, message);
}
