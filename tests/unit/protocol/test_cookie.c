/* mac1, mac2 and cookies: against libcrypto and libsodium, and each way in which one must be refused. */
#include "oracle.h"
#include "support.h"
#include <sodium.h>

static struct random rng = {5};

static void make_source(uint8_t source[COOKIE_SOURCE_BYTES])
{
    random_bytes(&rng, source, COOKIE_SOURCE_BYTES);
}

/* A message with arbitrary contents for b, MACs by a's maker. */
static void test_round_trip(size_t length)
{
    struct side a, b;
    uint8_t message[MESSAGE_INITIATION_BYTES], source[COOKIE_SOURCE_BYTES], secret[32], nonce[24],
        expected[16], key[32];
    struct message_cookie_reply reply;
    uint64_t now_ns = TEST_NOW_NS;
    sides_init(&a, &b, &rng);
    make_source(source);
    random_bytes(&rng, message, sizeof(message));
    random_bytes(&rng, secret, sizeof(secret));
    random_bytes(&rng, nonce, sizeof(nonce));

    cookie_maker_add_macs(&a.maker, message, length, now_ns);
    oracle_hash(key, "mac1----", 8, b.identity.public_key, 32);
    oracle_mac(expected, key, 32, message, length - 32);
    CHECK(memcmp(message + length - 32, expected, 16) == 0 && all_zero(message + length - 16, 16));
    CHECK(cookie_checker_verify(&b.checker, message, length, source, false, now_ns) == COOKIE_MAC1_VALID);

    /* no secret yet: no cookie can be checked or made */
    CHECK(cookie_checker_secret_is_stale(&b.checker, now_ns));
    CHECK(cookie_checker_verify(&b.checker, message, length, source, true, now_ns) == COOKIE_MAC1_VALID);
    CHECK(!cookie_checker_create_reply(&b.checker, &reply, message, length, source, nonce, now_ns));
    cookie_checker_rotate_secret(&b.checker, secret, now_ns);
    CHECK(!cookie_checker_secret_is_stale(&b.checker, now_ns));
    CHECK(!cookie_checker_secret_is_stale(&b.checker, now_ns - 1)); /* a CPU whose clock is behind */
    CHECK(cookie_checker_verify(&b.checker, message, length, source, true, now_ns) == COOKIE_MAC1_VALID);

    CHECK(cookie_checker_create_reply(&b.checker, &reply, message, length, source, nonce, now_ns));
    CHECK(message_classify((uint8_t *)&reply, sizeof(reply)) == MESSAGE_COOKIE_REPLY);
    CHECK(memcmp(reply.receiver_index, message + 4, 4) == 0 && memcmp(reply.nonce, nonce, 24) == 0);
    /* libsodium opens it: AAD is mac1, the plaintext MAC(secret, source) */
    uint8_t cookie[16];
    unsigned long long cookie_length;
    oracle_hash(key, "cookie--", 8, b.identity.public_key, 32);
    CHECK(crypto_aead_xchacha20poly1305_ietf_decrypt(cookie, &cookie_length, NULL, reply.encrypted_cookie, 32,
                                                     message + length - 32, 16, reply.nonce, key) == 0);
    oracle_mac(expected, secret, 32, source, sizeof(source));
    CHECK(cookie_length == 16 && memcmp(cookie, expected, 16) == 0);

    /* the maker takes it, once */
    struct message_cookie_reply damaged = reply;
    struct cookie_maker before = a.maker;
    for (size_t byte = 8; byte < sizeof(reply); byte++) {
        damaged = reply;
        ((uint8_t *)&damaged)[byte] ^= 1;
        CHECK(!cookie_maker_consume_reply(&a.maker, &damaged, now_ns));
    }
    CHECK(memcmp(&before, &a.maker, sizeof(before)) == 0);
    CHECK(!cookie_maker_consume_reply(&b.maker, &reply, now_ns)); /* nothing sent, nothing to answer */
    CHECK(cookie_maker_consume_reply(&a.maker, &reply, now_ns));
    CHECK(!cookie_maker_consume_reply(&a.maker, &reply, now_ns));

    /* mac2 from now on */
    cookie_maker_add_macs(&a.maker, message, length, now_ns);
    oracle_mac(expected, cookie, 16, message, length - 16);
    CHECK(memcmp(message + length - 16, expected, 16) == 0);
    CHECK(cookie_checker_verify(&b.checker, message, length, source, true, now_ns) == COOKIE_MAC2_VALID);
    CHECK(cookie_checker_verify(&b.checker, message, length, source, false, now_ns) == COOKIE_MAC1_VALID);
    /* bound to each bit of address and port */
    for (size_t bit = 0; bit < COOKIE_SOURCE_BYTES * 8; bit++) {
        source[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(cookie_checker_verify(&b.checker, message, length, source, true, now_ns) == COOKIE_MAC1_VALID);
        source[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    message[length - 1] ^= 1;
    CHECK(cookie_checker_verify(&b.checker, message, length, source, true, now_ns) == COOKIE_MAC1_VALID);
    message[length - 1] ^= 1;
    for (size_t byte = 0; byte < length - 16; byte++) {
        message[byte] ^= 0x10;
        CHECK(cookie_checker_verify(&b.checker, message, length, source, true, now_ns) ==
              COOKIE_MAC1_INVALID);
        message[byte] ^= 0x10;
    }

    /* a reply to an earlier message of ours does not decrypt: the AAD is the last mac1 */
    uint8_t other[MESSAGE_INITIATION_BYTES];
    random_bytes(&rng, other, sizeof(other));
    cookie_maker_add_macs(&a.maker, other, length, now_ns);
    CHECK(cookie_checker_create_reply(&b.checker, &reply, message, length, source, nonce, now_ns));
    CHECK(!cookie_maker_consume_reply(&a.maker, &reply, now_ns));
    CHECK(cookie_checker_create_reply(&b.checker, &reply, other, length, source, nonce, now_ns));
    CHECK(cookie_maker_consume_reply(&a.maker, &reply, now_ns));
}

static void test_ages(void)
{
    struct side a, b;
    uint8_t message[MESSAGE_RESPONSE_BYTES], source[COOKIE_SOURCE_BYTES], secret[32], nonce[24] = {0};
    struct message_cookie_reply reply;
    uint64_t birth_ns = TEST_NOW_NS;
    sides_init(&a, &b, &rng);
    make_source(source);
    random_bytes(&rng, message, sizeof(message));
    random_bytes(&rng, secret, sizeof(secret));
    cookie_checker_rotate_secret(&b.checker, secret, birth_ns);
    cookie_maker_add_macs(&a.maker, message, sizeof(message), birth_ns);
    CHECK(cookie_checker_create_reply(&b.checker, &reply, message, sizeof(message), source, nonce, birth_ns));
    CHECK(cookie_maker_consume_reply(&a.maker, &reply, birth_ns));

    /* the maker trusts it for 115 s */
    cookie_maker_add_macs(&a.maker, message, sizeof(message), birth_ns + 115 * NS_PER_SECOND - 1);
    CHECK(!all_zero(message + sizeof(message) - 16, 16));
    uint8_t fresh[MESSAGE_RESPONSE_BYTES];
    memcpy(fresh, message, sizeof(fresh));
    cookie_maker_add_macs(&a.maker, message, sizeof(message), birth_ns + 115 * NS_PER_SECOND);
    CHECK(all_zero(message + sizeof(message) - 16, 16));

    /* the checker for 120 s */
    uint64_t end_ns = birth_ns + 120 * NS_PER_SECOND;
    CHECK(cookie_checker_verify(&b.checker, fresh, sizeof(fresh), source, true, end_ns - 1) ==
          COOKIE_MAC2_VALID);
    CHECK(!cookie_checker_secret_is_stale(&b.checker, end_ns - 1));
    CHECK(cookie_checker_secret_is_stale(&b.checker, end_ns));
    CHECK(cookie_checker_verify(&b.checker, fresh, sizeof(fresh), source, true, end_ns) == COOKIE_MAC1_VALID);
    CHECK(!cookie_checker_create_reply(&b.checker, &reply, message, sizeof(message), source, nonce, end_ns));
    /* a new secret makes old cookies void at once */
    random_bytes(&rng, secret, sizeof(secret));
    cookie_checker_rotate_secret(&b.checker, secret, end_ns);
    CHECK(cookie_checker_verify(&b.checker, fresh, sizeof(fresh), source, true, end_ns) == COOKIE_MAC1_VALID);
}

static void test_identity_and_wipe(void)
{
    struct side a, b;
    uint8_t message[MESSAGE_RESPONSE_BYTES] = {0}, source[COOKIE_SOURCE_BYTES] = {0}, secret[32] = {1},
            nonce[24] = {0};
    struct message_cookie_reply reply;
    struct cookie_checker none;
    sides_init(&a, &b, &rng);
    cookie_maker_add_macs(&a.maker, message, sizeof(message), TEST_NOW_NS);
    cookie_checker_init(&none);
    CHECK(cookie_checker_verify(&none, message, sizeof(message), source, true, TEST_NOW_NS) ==
          COOKIE_MAC1_INVALID);
    cookie_checker_rotate_secret(&none, secret, TEST_NOW_NS);
    CHECK(!cookie_checker_create_reply(&none, &reply, message, sizeof(message), source, nonce, TEST_NOW_NS));
    cookie_checker_set_identity(&none, b.identity.public_key);
    CHECK(cookie_checker_verify(&none, message, sizeof(message), source, true, TEST_NOW_NS) ==
          COOKIE_MAC1_VALID);
    cookie_checker_set_identity(&none, NULL);
    CHECK(cookie_checker_verify(&none, message, sizeof(message), source, true, TEST_NOW_NS) ==
          COOKIE_MAC1_INVALID);
    CHECK(all_zero(none.mac1_key, 32) && all_zero(none.cookie_key, 32));
    cookie_checker_wipe(&none);
    CHECK(all_zero(&none, sizeof(none)));
    cookie_maker_wipe(&a.maker);
    CHECK(all_zero(&a.maker, sizeof(a.maker)));
}

int main(void)
{
    CHECK(sodium_init() >= 0);
    for (int n = 0; n < 5; n++) {
        test_round_trip(MESSAGE_INITIATION_BYTES);
        test_round_trip(MESSAGE_RESPONSE_BYTES);
    }
    test_ages();
    test_identity_and_wipe();
    return check_summary();
}
