/* MACs and cookies. */
#include "protocol/cookie.h"
#include "crypto/blake2s.h"
#include "crypto/secure_memory.h"
#include "crypto/xchacha20poly1305.h"

/* white paper 5.4: LABEL-MAC1, LABEL-COOKIE; 8 characters each */
static const char label_mac1[] = "mac1----";
static const char label_cookie[] = "cookie--";

/* HASH(label || public key) */
static void derive_key(uint8_t key[32], const char label[9], const uint8_t public_key[PUBLIC_KEY_BYTES])
{
    struct blake2s_state hash;
    blake2s_init(&hash, 32);
    blake2s_update(&hash, label, 8);
    blake2s_update(&hash, public_key, PUBLIC_KEY_BYTES);
    blake2s_final(&hash, key);
}

/* mac1 = MAC(key, everything before mac1); mac2 = MAC(cookie, everything before mac2) */
static void compute_mac1(uint8_t mac[MAC_BYTES], const uint8_t *message, size_t length, const uint8_t key[32])
{
    blake2s(mac, MAC_BYTES, message, length - 2 * MAC_BYTES, key, 32);
}

static void compute_mac2(uint8_t mac[MAC_BYTES], const uint8_t *message, size_t length,
                         const uint8_t cookie[COOKIE_BYTES])
{
    blake2s(mac, MAC_BYTES, message, length - MAC_BYTES, cookie, COOKIE_BYTES);
}

/* MAC(secret, source) */
static void compute_cookie(uint8_t cookie[COOKIE_BYTES], const struct cookie_checker *checker,
                           const uint8_t source[COOKIE_SOURCE_BYTES])
{
    blake2s(cookie, COOKIE_BYTES, source, COOKIE_SOURCE_BYTES, checker->secret, sizeof(checker->secret));
}

void cookie_checker_init(struct cookie_checker *checker)
{
    *checker = (struct cookie_checker){0};
}

void cookie_checker_set_identity(struct cookie_checker *checker, const uint8_t public_key[PUBLIC_KEY_BYTES])
{
    checker->identity_present = public_key != NULL;
    if (public_key) {
        derive_key(checker->mac1_key, label_mac1, public_key);
        derive_key(checker->cookie_key, label_cookie, public_key);
    } else {
        secure_zero(checker->mac1_key, sizeof(checker->mac1_key));
        secure_zero(checker->cookie_key, sizeof(checker->cookie_key));
    }
}

void cookie_checker_wipe(struct cookie_checker *checker)
{
    secure_zero(checker, sizeof(*checker));
}

bool cookie_checker_secret_is_stale(const struct cookie_checker *checker, uint64_t now_ns)
{
    return checker->secret_birth_ns == TIME_NEVER_NS ||
           (now_ns > checker->secret_birth_ns && now_ns - checker->secret_birth_ns >= COOKIE_SECRET_LIFE_NS);
}

void cookie_checker_rotate_secret(struct cookie_checker *checker, const uint8_t random[32], uint64_t now_ns)
{
    __builtin_memcpy(checker->secret, random, sizeof(checker->secret));
    checker->secret_birth_ns = now_ns;
}

enum cookie_verdict cookie_checker_verify(const struct cookie_checker *checker, const void *message,
                                          size_t length, const uint8_t source[COOKIE_SOURCE_BYTES],
                                          bool want_mac2, uint64_t now_ns)
{
    const uint8_t *bytes = message;
    uint8_t mac[MAC_BYTES], cookie[COOKIE_BYTES];

    if (!checker->identity_present)
        return COOKIE_MAC1_INVALID;
    compute_mac1(mac, bytes, length, checker->mac1_key);
    if (!secure_equal(mac, bytes + length - 2 * MAC_BYTES, MAC_BYTES))
        return COOKIE_MAC1_INVALID;
    if (!want_mac2 || cookie_checker_secret_is_stale(checker, now_ns))
        return COOKIE_MAC1_VALID;
    compute_cookie(cookie, checker, source);
    compute_mac2(mac, bytes, length, cookie);
    secure_zero(cookie, sizeof(cookie));
    return secure_equal(mac, bytes + length - MAC_BYTES, MAC_BYTES) ? COOKIE_MAC2_VALID : COOKIE_MAC1_VALID;
}

bool cookie_checker_create_reply(const struct cookie_checker *checker, struct message_cookie_reply *reply,
                                 const void *message, size_t length,
                                 const uint8_t source[COOKIE_SOURCE_BYTES], const uint8_t nonce[24],
                                 uint64_t now_ns)
{
    /* Both kinds of message have their sender index at the same place. */
    _Static_assert(offsetof(struct message_initiation, sender_index) ==
                       offsetof(struct message_response, sender_index),
                   "white paper 5.4.2, 5.4.3");
    const uint8_t *bytes = message;
    uint8_t cookie[COOKIE_BYTES];

    if (!checker->identity_present || cookie_checker_secret_is_stale(checker, now_ns))
        return false;
    store_le32(reply->type, MESSAGE_COOKIE_REPLY);
    __builtin_memcpy(reply->receiver_index, bytes + offsetof(struct message_initiation, sender_index), 4);
    __builtin_memcpy(reply->nonce, nonce, sizeof(reply->nonce));
    compute_cookie(cookie, checker, source);
    xchacha20poly1305_seal(reply->encrypted_cookie, cookie, sizeof(cookie), bytes + length - 2 * MAC_BYTES,
                           MAC_BYTES, reply->nonce, checker->cookie_key);
    secure_zero(cookie, sizeof(cookie));
    return true;
}

void cookie_maker_init(struct cookie_maker *maker, const uint8_t remote_public_key[PUBLIC_KEY_BYTES])
{
    *maker = (struct cookie_maker){0};
    derive_key(maker->mac1_key, label_mac1, remote_public_key);
    derive_key(maker->cookie_key, label_cookie, remote_public_key);
}

void cookie_maker_wipe(struct cookie_maker *maker)
{
    secure_zero(maker, sizeof(*maker));
}

void cookie_maker_add_macs(struct cookie_maker *maker, void *message, size_t length, uint64_t now_ns)
{
    uint8_t *bytes = message;
    uint8_t *mac1 = bytes + length - 2 * MAC_BYTES, *mac2 = bytes + length - MAC_BYTES;

    compute_mac1(mac1, bytes, length, maker->mac1_key);
    __builtin_memcpy(maker->last_mac1, mac1, MAC_BYTES);
    maker->last_mac1_valid = true;

    if (maker->cookie_birth_ns != TIME_NEVER_NS &&
        now_ns < maker->cookie_birth_ns + COOKIE_SECRET_LIFE_NS - COOKIE_LATENCY_NS)
        compute_mac2(mac2, bytes, length, maker->cookie);
    else
        __builtin_memset(mac2, 0, MAC_BYTES);
}

bool cookie_maker_consume_reply(struct cookie_maker *maker, const struct message_cookie_reply *reply,
                                uint64_t now_ns)
{
    uint8_t cookie[COOKIE_BYTES];

    if (!maker->last_mac1_valid ||
        !xchacha20poly1305_open(cookie, reply->encrypted_cookie, sizeof(reply->encrypted_cookie),
                                maker->last_mac1, MAC_BYTES, reply->nonce, maker->cookie_key))
        return false;
    __builtin_memcpy(maker->cookie, cookie, sizeof(cookie));
    secure_zero(cookie, sizeof(cookie));
    maker->cookie_birth_ns = now_ns;
    maker->last_mac1_valid = false;
    return true;
}
