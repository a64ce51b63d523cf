/* The handshake in both roles: byte for byte against the oracle, then every refusal, and that refusals change
 * nothing. */
#include "crypto/chacha20poly1305.h"
#include "crypto/x25519.h"
#include "oracle.h"
#include "support.h"

static struct random rng = {1};

/* Both roles with the same inputs as the oracle. */
static void test_against_oracle(bool with_psk)
{
    struct side i, r;
    struct oracle_handshake o;
    struct message_initiation initiation;
    struct message_response response;
    struct session si, sr;
    uint32_t released;

    sides_init(&i, &r, &rng);
    random_bytes(&rng, &o, sizeof(o));
    if (!with_psk)
        memset(o.preshared_key, 0, 32);
    handshake_set_preshared_key(&i.handshake, o.preshared_key);
    handshake_set_preshared_key(&r.handshake, o.preshared_key);
    memcpy(o.initiator_static, i.identity.private_key, 32);
    memcpy(o.responder_static, r.identity.private_key, 32);
    tai64n_from_system_time(o.timestamp, TEST_UTC_100NS + random_below(&rng, 1000000000));
    o.initiator_index |= 1;
    uint8_t random_i[32], random_r[32];
    memcpy(random_i, o.initiator_ephemeral, 32);
    memcpy(random_r, o.responder_ephemeral, 32);
    oracle_handshake_run(&o);

    CHECK(handshake_create_initiation(&i.handshake, &i.identity, o.initiator_index, random_i, o.timestamp,
                                      &initiation, &released) == HANDSHAKE_OK);
    CHECK(released == INDEX_NONE);
    CHECK(all_zero(initiation.mac1, 32));
    cookie_maker_add_macs(&i.maker, &initiation, sizeof(initiation), TEST_NOW_NS);
    CHECK(memcmp(&initiation, o.initiation, 148) == 0);
    CHECK(message_classify((uint8_t *)&initiation, sizeof(initiation)) == MESSAGE_INITIATION);
    static const uint8_t source[COOKIE_SOURCE_BYTES];
    CHECK(cookie_checker_verify(&r.checker, o.initiation, 148, source, false, TEST_NOW_NS) ==
          COOKIE_MAC1_VALID);

    CHECK(consume_initiation(&r, (struct message_initiation *)o.initiation, TEST_NOW_NS) == HANDSHAKE_OK);
    CHECK(handshake_create_response(&r.handshake, o.responder_index, random_r, &response) == HANDSHAKE_OK);
    cookie_maker_add_macs(&r.maker, &response, sizeof(response), TEST_NOW_NS);
    CHECK(memcmp(&response, o.response, 92) == 0);
    CHECK(message_classify((uint8_t *)&response, sizeof(response)) == MESSAGE_RESPONSE);

    CHECK(handshake_begin_session(&r.handshake, &sr, TEST_NOW_NS) == HANDSHAKE_OK);
    CHECK(memcmp(sr.send_key, o.responder_sends, 32) == 0 &&
          memcmp(sr.receive_key, o.initiator_sends, 32) == 0);
    CHECK(!sr.is_initiator && sr.local_index == o.responder_index && sr.remote_index == o.initiator_index);

    CHECK(consume_response(&i, (struct message_response *)o.response) == HANDSHAKE_OK);
    CHECK(handshake_begin_session(&i.handshake, &si, TEST_NOW_NS) == HANDSHAKE_OK);
    CHECK(memcmp(si.send_key, o.initiator_sends, 32) == 0 &&
          memcmp(si.receive_key, o.responder_sends, 32) == 0);
    CHECK(si.is_initiator && si.local_index == o.initiator_index && si.remote_index == o.responder_index);
    CHECK(si.birth_ns == TEST_NOW_NS && handshake_local_index(&i.handshake) == INDEX_NONE);
}

/* One full handshake; the sessions of both sides. */
static void handshake_between(struct side *i, struct side *r, uint64_t utc_100ns, uint64_t now_ns,
                              struct session *si, struct session *sr)
{
    struct message_initiation initiation;
    struct message_response response;
    CHECK(create_initiation(i, 100, utc_100ns, &rng, &initiation) == HANDSHAKE_OK);
    CHECK(consume_initiation(r, &initiation, now_ns) == HANDSHAKE_OK);
    CHECK(create_response(r, 200, &rng, &response) == HANDSHAKE_OK);
    CHECK(handshake_begin_session(&r->handshake, sr, now_ns) == HANDSHAKE_OK);
    CHECK(consume_response(i, &response) == HANDSHAKE_OK);
    CHECK(handshake_begin_session(&i->handshake, si, now_ns) == HANDSHAKE_OK);
}

/* Data with one session's sending key opens with the other's receiving key, once. */
static void test_transport(void)
{
    struct side a, b;
    struct session sa, sb;
    sides_init(&a, &b, &rng);
    handshake_between(&a, &b, TEST_UTC_100NS, TEST_NOW_NS, &sa, &sb);
    struct session *ends[2] = {&sa, &sb};
    for (int n = 0; n < 200; n++) {
        struct session *from = ends[n & 1], *to = ends[1 - (n & 1)];
        uint8_t plain[300], wire[16 + 300 + 16], opened[300], nonce[12] = {0};
        size_t length = random_below(&rng, 300);
        uint64_t first;
        random_bytes(&rng, plain, length);
        CHECK(session_reserve_nonces(from, 1, &first));
        struct message_data_header *header = (struct message_data_header *)wire;
        message_data_header_write(header, from->remote_index, first);
        CHECK(message_classify(wire, 32 + length) == MESSAGE_DATA);
        store_le64(nonce + 4, first);
        chacha20poly1305_seal(wire + 16, plain, length, NULL, 0, nonce, from->send_key);

        CHECK(load_le32(header->receiver_index) == to->local_index);
        CHECK(load_le64(header->counter) == first);
        CHECK(chacha20poly1305_open(opened, wire + 16, length + 16, NULL, 0, nonce, to->receive_key));
        CHECK(memcmp(opened, plain, length) == 0);
        CHECK(session_accept_counter(to, first));
        CHECK(!session_accept_counter(to, first));
        wire[16 + random_below(&rng, (uint32_t)length + 16)] ^= 1;
        CHECK(!chacha20poly1305_open(opened, wire + 16, length + 16, NULL, 0, nonce, to->receive_key));
    }
}

/* Every single flipped bit of an initiation is refused (index bytes are not authenticated by Noise but by
 * mac1; reserved bytes and type by classification). */
static void test_damaged_initiation(void)
{
    struct side i, r;
    struct message_initiation good, bad;
    static const uint8_t source[COOKIE_SOURCE_BYTES];
    sides_init(&i, &r, &rng);
    CHECK(create_initiation(&i, 7, TEST_UTC_100NS, &rng, &good) == HANDSHAKE_OK);
    cookie_maker_add_macs(&i.maker, &good, sizeof(good), TEST_NOW_NS);
    struct handshake before = r.handshake;
    for (size_t byte = 0; byte < sizeof(good); byte++) {
        bad = good;
        ((uint8_t *)&bad)[byte] ^= (uint8_t)(1 << (byte % 8));
        if (byte < offsetof(struct message_initiation, mac2))
            CHECK(cookie_checker_verify(&r.checker, &bad, sizeof(bad), source, false, TEST_NOW_NS) ==
                  COOKIE_MAC1_INVALID);
        if (byte < 4)
            CHECK(message_classify((uint8_t *)&bad, sizeof(bad)) == MESSAGE_INVALID);
        /* The top bit of a public key is not significant to X25519 but goes into the hash. */
        if (byte >= 8 && byte < offsetof(struct message_initiation, mac1))
            CHECK_MSG(consume_initiation(&r, &bad, TEST_NOW_NS) == HANDSHAKE_AUTHENTICATION_FAILED,
                      "byte %zu", byte);
    }
    CHECK(memcmp(&before, &r.handshake, sizeof(before)) == 0);
    CHECK(consume_initiation(&r, &good, TEST_NOW_NS) == HANDSHAKE_OK);
}

static void test_damaged_response(void)
{
    struct side i, r;
    struct message_initiation initiation;
    struct message_response good, bad;
    sides_init(&i, &r, &rng);
    CHECK(create_initiation(&i, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_OK);
    CHECK(consume_initiation(&r, &initiation, TEST_NOW_NS) == HANDSHAKE_OK);
    CHECK(create_response(&r, 8, &rng, &good) == HANDSHAKE_OK);
    struct handshake before = i.handshake;
    for (size_t byte = 8; byte < offsetof(struct message_response, mac1); byte++) {
        bad = good;
        ((uint8_t *)&bad)[byte] ^= (uint8_t)(1 << (byte % 8));
        CHECK_MSG(consume_response(&i, &bad) ==
                      (byte < 12 ? HANDSHAKE_WRONG_INDEX : HANDSHAKE_AUTHENTICATION_FAILED),
                  "byte %zu", byte);
    }
    CHECK(memcmp(&before, &i.handshake, sizeof(before)) == 0);
    CHECK(consume_response(&i, &good) == HANDSHAKE_OK);
    /* A second time it is too late. */
    CHECK(consume_response(&i, &good) == HANDSHAKE_WRONG_STATE);
}

/* Handshake messages at every other length are no messages. */
static void test_lengths(void)
{
    uint8_t bytes[200] = {0};
    static const struct {
        uint8_t type;
        size_t length;
    } exact[] = {{1, 148}, {2, 92}, {3, 64}};
    for (size_t t = 0; t < 3; t++) {
        bytes[0] = exact[t].type;
        for (size_t length = 0; length <= sizeof(bytes); length++)
            CHECK((message_classify(bytes, length) == (enum message_type)exact[t].type) ==
                  (length == exact[t].length));
    }
    bytes[0] = 4;
    for (size_t length = 0; length <= sizeof(bytes); length++)
        CHECK((message_classify(bytes, length) == MESSAGE_DATA) == (length >= 32));
    for (int type = 0; type < 256; type++) {
        bytes[0] = (uint8_t)type;
        CHECK((message_classify(bytes, 148) != MESSAGE_INVALID) == (type == 1 || type == 4));
    }
    for (int reserved = 1; reserved < 4; reserved++) {
        memset(bytes, 0, 4);
        bytes[0] = 1;
        bytes[reserved] = 1;
        CHECK(message_classify(bytes, 148) == MESSAGE_INVALID);
    }
}

static void test_wrong_keys(void)
{
    struct side i, r, other;
    struct message_initiation initiation;
    struct message_response response;
    struct initiation opened;
    uint32_t released;
    static const uint8_t source[COOKIE_SOURCE_BYTES];

    /* for somebody else */
    sides_init(&i, &r, &rng);
    sides_init(&other, &r, &rng); /* r has new keys now; i still knows the old ones */
    CHECK(create_initiation(&i, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_OK);
    cookie_maker_add_macs(&i.maker, &initiation, sizeof(initiation), TEST_NOW_NS);
    CHECK(cookie_checker_verify(&r.checker, &initiation, 148, source, false, TEST_NOW_NS) ==
          COOKIE_MAC1_INVALID);
    CHECK(initiation_open(&opened, &r.identity, &initiation) == HANDSHAKE_AUTHENTICATION_FAILED);
    CHECK(all_zero(&opened, sizeof(opened)));

    /* by an unknown peer, and handed to the wrong one */
    struct side stranger, unused;
    sides_init(&stranger, &unused, &rng);
    handshake_init(&stranger.handshake, &stranger.identity, r.identity.public_key);
    CHECK(create_initiation(&stranger, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_OK);
    CHECK(initiation_open(&opened, &r.identity, &initiation) == HANDSHAKE_OK);
    CHECK(memcmp(opened.remote_static, stranger.identity.public_key, 32) == 0);
    CHECK(handshake_consume_initiation(&r.handshake, &opened, TEST_NOW_NS, &released) ==
          HANDSHAKE_WRONG_PEER);
    CHECK(all_zero(&opened, sizeof(opened)));
    CHECK(initiation_open(&opened, &r.identity, &initiation) == HANDSHAKE_OK);
    initiation_clear(&opened);
    CHECK(all_zero(&opened, sizeof(opened)));

    /* somebody who knows i's public key but not the private one: a wrong static-static */
    sides_init(&i, &r, &rng);
    struct side forger = i;
    uint8_t key[32];
    random_bytes(&rng, key, 32);
    identity_set(&forger.identity, key);
    memcpy(forger.identity.public_key, i.identity.public_key, 32);
    CHECK(handshake_set_identity(&forger.handshake, &forger.identity) == INDEX_NONE);
    CHECK(create_initiation(&forger, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_OK);
    CHECK(consume_initiation(&r, &initiation, TEST_NOW_NS) == HANDSHAKE_AUTHENTICATION_FAILED);

    /* preshared keys differ: the response is refused, the initiation is not */
    sides_init(&i, &r, &rng);
    handshake_set_preshared_key(&r.handshake, key);
    CHECK(create_initiation(&i, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_OK);
    CHECK(consume_initiation(&r, &initiation, TEST_NOW_NS) == HANDSHAKE_OK);
    CHECK(create_response(&r, 8, &rng, &response) == HANDSHAKE_OK);
    CHECK(consume_response(&i, &response) == HANDSHAKE_AUTHENTICATION_FAILED);
    /* the initiator gets the right preshared key while waiting */
    handshake_set_preshared_key(&i.handshake, key);
    CHECK(consume_response(&i, &response) == HANDSHAKE_OK);

    /* the initiator's identity changed while it waited */
    sides_init(&i, &r, &rng);
    CHECK(create_initiation(&i, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_OK);
    CHECK(consume_initiation(&r, &initiation, TEST_NOW_NS) == HANDSHAKE_OK);
    CHECK(create_response(&r, 8, &rng, &response) == HANDSHAKE_OK);
    identity_set(&i.identity, key);
    CHECK(handshake_set_identity(&i.handshake, &i.identity) == 7);
    CHECK(consume_response(&i, &response) == HANDSHAKE_WRONG_STATE);
}

static void test_no_identity(void)
{
    struct side i, r;
    struct message_initiation initiation;
    struct message_response response;
    memset(&response, 0, sizeof(response));
    sides_init(&i, &r, &rng);
    CHECK(create_initiation(&i, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_OK);
    identity_clear(&r.identity);
    handshake_set_identity(&r.handshake, &r.identity);
    CHECK(consume_initiation(&r, &initiation, TEST_NOW_NS) == HANDSHAKE_NO_IDENTITY);
    CHECK(create_initiation(&r, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_NO_IDENTITY);
    CHECK(consume_response(&r, &response) == HANDSHAKE_NO_IDENTITY);
    /* opened with the key that was there, consumed when it is gone */
    struct initiation opened;
    uint32_t released;
    sides_init(&i, &r, &rng);
    CHECK(create_initiation(&i, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_OK);
    CHECK(initiation_open(&opened, &r.identity, &initiation) == HANDSHAKE_OK);
    identity_clear(&r.identity);
    handshake_set_identity(&r.handshake, &r.identity);
    CHECK(handshake_consume_initiation(&r.handshake, &opened, TEST_NOW_NS, &released) == HANDSHAKE_BAD_KEY);
    /* a peer set up before there was a key */
    CHECK(handshake_init(&r.handshake, &r.identity, i.identity.public_key));
    uint8_t key[32] = {1};
    CHECK(identity_set(&r.identity, key));
    CHECK(create_initiation(&r, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_BAD_KEY);
    handshake_set_identity(&r.handshake, &r.identity);
    CHECK(create_initiation(&r, 7, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_OK);
}

static void test_replay_and_flood(void)
{
    struct side i, r;
    struct message_initiation first, equal, older, later;
    uint64_t step = TAI64N_ROUNDING_100NS;
    sides_init(&i, &r, &rng);
    CHECK(create_initiation(&i, 1, TEST_UTC_100NS, &rng, &first) == HANDSHAKE_OK);
    CHECK(create_initiation(&i, 2, TEST_UTC_100NS, &rng, &equal) == HANDSHAKE_OK);
    CHECK(create_initiation(&i, 3, TEST_UTC_100NS - step, &rng, &older) == HANDSHAKE_OK);
    CHECK(create_initiation(&i, 4, TEST_UTC_100NS + step, &rng, &later) == HANDSHAKE_OK);

    CHECK(consume_initiation(&r, &first, TEST_NOW_NS) == HANDSHAKE_OK);
    struct handshake before = r.handshake;
    uint64_t much_later = TEST_NOW_NS + NS_PER_SECOND;
    CHECK(consume_initiation(&r, &first, much_later) == HANDSHAKE_REPLAYED);
    CHECK(consume_initiation(&r, &equal, much_later) == HANDSHAKE_REPLAYED);
    CHECK(consume_initiation(&r, &older, much_later) == HANDSHAKE_REPLAYED);
    CHECK(consume_initiation(&r, &later, TEST_NOW_NS) == HANDSHAKE_FLOOD);
    CHECK(consume_initiation(&r, &later, TEST_NOW_NS + INITIATION_INTERVAL_MIN_NS - 1) == HANDSHAKE_FLOOD);
    /* a worker that read the clock before another one consumed the first initiation */
    CHECK(consume_initiation(&r, &later, TEST_NOW_NS - 1) == HANDSHAKE_FLOOD);
    CHECK(memcmp(&before, &r.handshake, sizeof(before)) == 0);
    CHECK(consume_initiation(&r, &later, TEST_NOW_NS + INITIATION_INTERVAL_MIN_NS) == HANDSHAKE_OK);
    /* the guard survives the end of the handshake */
    CHECK(handshake_clear(&r.handshake) == INDEX_NONE);
    CHECK(consume_initiation(&r, &first, much_later) == HANDSHAKE_REPLAYED);
    CHECK(consume_initiation(&r, &later, much_later) == HANDSHAKE_REPLAYED);
}

/* What may follow what; every other step answers HANDSHAKE_WRONG_STATE and touches nothing. */
static void test_states(void)
{
    struct side i, r;
    struct message_initiation first, second;
    struct message_response to_first, to_second;
    struct session session;
    uint8_t ephemeral[32], timestamp[12];
    uint32_t released;

    sides_init(&i, &r, &rng);
    memset(&session, 0xa5, sizeof(session));
    struct session untouched = session;
    CHECK(handshake_begin_session(&i.handshake, &session, TEST_NOW_NS) == HANDSHAKE_WRONG_STATE);
    CHECK(create_response(&i, 9, &rng, &to_first) == HANDSHAKE_WRONG_STATE);
    CHECK(consume_response(&i, &to_first) == HANDSHAKE_WRONG_STATE);

    /* a response to a superseded initiation, also when both carry the same index */
    CHECK(create_initiation(&i, 1, TEST_UTC_100NS, &rng, &first) == HANDSHAKE_OK);
    CHECK(handshake_begin_session(&i.handshake, &session, TEST_NOW_NS) == HANDSHAKE_WRONG_STATE);
    CHECK(create_response(&i, 9, &rng, &to_first) == HANDSHAKE_WRONG_STATE);
    CHECK(consume_initiation(&r, &first, TEST_NOW_NS) == HANDSHAKE_OK);
    CHECK(handshake_begin_session(&r.handshake, &session, TEST_NOW_NS) == HANDSHAKE_WRONG_STATE);
    CHECK(create_response(&r, 2, &rng, &to_first) == HANDSHAKE_OK);
    CHECK(create_response(&r, 3, &rng, &to_second) == HANDSHAKE_WRONG_STATE);
    random_bytes(&rng, ephemeral, 32);
    tai64n_from_system_time(timestamp, TEST_UTC_100NS + 100000000);
    CHECK(handshake_create_initiation(&i.handshake, &i.identity, 5, ephemeral, timestamp, &second,
                                      &released) == HANDSHAKE_OK);
    CHECK(released == 1 && handshake_local_index(&i.handshake) == 5);
    CHECK(consume_response(&i, &to_first) == HANDSHAKE_WRONG_INDEX);
    struct message_response forged = to_first;
    store_le32(forged.receiver_index, 5);
    CHECK(consume_response(&i, &forged) == HANDSHAKE_AUTHENTICATION_FAILED);

    /* consuming the peer's initiation supersedes our own, and hands back its index */
    struct message_initiation crossing;
    struct initiation opened;
    struct message_response to_crossing;
    CHECK(handshake_clear(&r.handshake) == 2);
    CHECK(create_initiation(&r, 6, TEST_UTC_100NS + 200000000, &rng, &crossing) == HANDSHAKE_OK);
    CHECK(initiation_open(&opened, &i.identity, &crossing) == HANDSHAKE_OK);
    CHECK(handshake_consume_initiation(&i.handshake, &opened, TEST_NOW_NS, &released) == HANDSHAKE_OK);
    CHECK(released == 5 && handshake_local_index(&i.handshake) == INDEX_NONE);
    store_le32(forged.receiver_index, INDEX_NONE);
    CHECK(consume_response(&i, &forged) == HANDSHAKE_WRONG_STATE);
    CHECK(create_response(&i, 10, &rng, &to_crossing) == HANDSHAKE_OK);
    CHECK(consume_response(&r, &to_crossing) == HANDSHAKE_OK);
    CHECK(create_response(&r, 11, &rng, &to_second) == HANDSHAKE_WRONG_STATE);
    CHECK(memcmp(&session, &untouched, sizeof(session)) == 0);
    CHECK(handshake_begin_session(&r.handshake, &session, TEST_NOW_NS) == HANDSHAKE_OK);
    CHECK(session.local_index == 6 && session.remote_index == 10 && session.is_initiator);
    CHECK(handshake_begin_session(&r.handshake, &session, TEST_NOW_NS) == HANDSHAKE_WRONG_STATE);

    /* clear hands the index back, once */
    CHECK(handshake_clear(&i.handshake) == 10);
    CHECK(handshake_clear(&i.handshake) == INDEX_NONE);
    CHECK(create_initiation(&i, 12, TEST_UTC_100NS + 300000000, &rng, &first) == HANDSHAKE_OK);
    CHECK(handshake_destroy(&i.handshake) == 12);
    CHECK(all_zero(&i.handshake, sizeof(i.handshake)));
}

/* Points of low order (RFC 7748, section 6.1 and 7): a Diffie-Hellman of zero in each place where one is
 * made. */
static void test_low_order(void)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    for (size_t p = 0; p < sizeof(points) / sizeof(points[0]); p++) {
        struct side i, r;
        struct message_initiation initiation;
        struct message_response response;
        uint8_t point[32];
        unhex(point, 32, points[p]);
        sides_init(&i, &r, &rng);

        /* the peer's static key */
        struct handshake handshake;
        uint8_t ephemeral[32] = {1}, timestamp[12] = {0x40};
        uint32_t released;
        CHECK(!handshake_init(&handshake, &i.identity, point));
        CHECK(handshake_create_initiation(&handshake, &i.identity, 1, ephemeral, timestamp, &initiation,
                                          &released) == HANDSHAKE_BAD_KEY);
        /* even if the static-static secret had been let through */
        memset(handshake.static_static, 1, 32);
        handshake.static_static_valid = true;
        CHECK(handshake_create_initiation(&handshake, &i.identity, 1, ephemeral, timestamp, &initiation,
                                          &released) == HANDSHAKE_BAD_KEY);
        CHECK(handshake_local_index(&handshake) == INDEX_NONE && handshake.state == HANDSHAKE_NONE);

        /* the initiation's ephemeral */
        CHECK(create_initiation(&i, 1, TEST_UTC_100NS, &rng, &initiation) == HANDSHAKE_OK);
        struct message_initiation bad_initiation = initiation;
        memcpy(bad_initiation.ephemeral, point, 32);
        CHECK(consume_initiation(&r, &bad_initiation, TEST_NOW_NS) == HANDSHAKE_BAD_KEY);

        /* the responder's ephemeral */
        CHECK(consume_initiation(&r, &initiation, TEST_NOW_NS) == HANDSHAKE_OK);
        CHECK(create_response(&r, 2, &rng, &response) == HANDSHAKE_OK);
        struct message_response bad_response = response;
        memcpy(bad_response.ephemeral, point, 32);
        CHECK(consume_response(&i, &bad_response) == HANDSHAKE_BAD_KEY);
        CHECK(consume_response(&i, &response) == HANDSHAKE_OK);

        /* an initiator's ephemeral or static key of low order when the response is made */
        CHECK(handshake_clear(&r.handshake) == 2);
        r.handshake.state = HANDSHAKE_CONSUMED_INITIATION;
        memcpy(r.handshake.remote_ephemeral, point, 32);
        CHECK(create_response(&r, 2, &rng, &response) == HANDSHAKE_BAD_KEY);
        CHECK(r.handshake.state == HANDSHAKE_CONSUMED_INITIATION &&
              handshake_local_index(&r.handshake) == INDEX_NONE);
    }
}

/* Only the responder's PSK position, the role or the nonce order could be swapped silently: compare different
 * runs. */
static void test_keys_differ(void)
{
    struct side i, r;
    struct session si, sr, ti, tr;
    sides_init(&i, &r, &rng);
    handshake_between(&i, &r, TEST_UTC_100NS, TEST_NOW_NS, &si, &sr);
    handshake_between(&i, &r, TEST_UTC_100NS + 10000000, TEST_NOW_NS + NS_PER_SECOND, &ti, &tr);
    CHECK(memcmp(si.send_key, si.receive_key, 32) != 0);
    CHECK(memcmp(si.send_key, ti.send_key, 32) != 0 && memcmp(si.receive_key, ti.receive_key, 32) != 0);
    /* and in the other direction */
    handshake_between(&r, &i, TEST_UTC_100NS + 10000000, TEST_NOW_NS + 2 * NS_PER_SECOND, &si, &sr);
    CHECK(memcmp(si.send_key, sr.receive_key, 32) == 0 && memcmp(si.receive_key, sr.send_key, 32) == 0);
}

static void test_identity(void)
{
    struct identity a, b;
    uint8_t key[32], public_key[32], zero[32] = {0};
    identity_init(&a);
    CHECK(!a.present && !identity_equals_private_key(&a, zero));
    random_bytes(&rng, key, 32);
    key[0] |= 7;
    key[31] |= 0x80;
    CHECK(identity_set(&a, key) && a.present);
    oracle_public_key(public_key, key);
    CHECK(memcmp(a.public_key, public_key, 32) == 0);
    CHECK((a.private_key[0] & 7) == 0 && (a.private_key[31] & 0xc0) == 0x40);
    /* the unclamped form names the same key */
    CHECK(identity_equals_private_key(&a, key) && identity_equals_private_key(&a, a.private_key));
    key[5] ^= 1;
    CHECK(!identity_equals_private_key(&a, key));
    b = a;
    CHECK(!identity_set(&a, zero) && memcmp(&a, &b, sizeof(a)) == 0);
    identity_init(&b);
    identity_copy(&b, &a);
    CHECK(memcmp(&a, &b, sizeof(a)) == 0);
    identity_clear(&a);
    CHECK(!a.present && all_zero(&a, sizeof(a)));
}

/* A response whose multiplications were done while the peer's handshake went on: superseded by another of the
 * peer's initiations, by one of ours, and cleared. */
static void test_superseded_between(void)
{
    for (int way = 0; way < 4; way++) {
        struct side i, r;
        struct message_initiation first, second;
        struct message_response response;
        struct response_keys keys;
        struct x25519_job *jobs[] = {&keys.public_key, &keys.ephemeral_ephemeral, &keys.static_ephemeral};
        uint8_t ephemeral[32];
        random_bytes(&rng, ephemeral, sizeof(ephemeral));
        sides_init(&i, &r, &rng);
        CHECK(create_initiation(&i, 1, TEST_UTC_100NS, &rng, &first) == HANDSHAKE_OK);
        CHECK(consume_initiation(&r, &first, TEST_NOW_NS) == HANDSHAKE_OK);
        response_prepare(&keys, &r.handshake, ephemeral);
        x25519_batch(jobs, 3);
        if (way == 1) {
            CHECK(create_initiation(&i, 2, TEST_UTC_100NS + 100000000, &rng, &second) == HANDSHAKE_OK);
            CHECK(consume_initiation(&r, &second, TEST_NOW_NS + NS_PER_SECOND) == HANDSHAKE_OK);
        } else if (way == 2) {
            CHECK(create_initiation(&r, 3, TEST_UTC_100NS, &rng, &second) == HANDSHAKE_OK);
        } else if (way == 3) {
            CHECK(handshake_clear(&r.handshake) == INDEX_NONE);
        }
        struct handshake before = r.handshake;
        enum handshake_result result = handshake_create_response_prepared(&r.handshake, 4, &keys, &response);
        CHECK_MSG(result == (way ? HANDSHAKE_WRONG_STATE : HANDSHAKE_OK), "way %d", way);
        CHECK_MSG((memcmp(&before, &r.handshake, sizeof(before)) == 0) == (way != 0), "way %d", way);
        if (way == 0)
            CHECK(consume_response(&i, &response) == HANDSHAKE_OK);
        if (way == 1) /* what came last is answered as ever */
            CHECK(create_response(&r, 4, &rng, &response) == HANDSHAKE_OK &&
                  consume_response(&i, &response) == HANDSHAKE_OK);
    }
}

static void test_initial_state(void)
{
    static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
    static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
    struct symmetric_state state;
    symmetric_init(&state, construction, sizeof(construction) - 1, identifier, sizeof(identifier) - 1);
    CHECK(memcmp(&state, &handshake_initial_state, sizeof(state)) == 0);
}

int main(void)
{
    test_initial_state();
    test_superseded_between();
    for (int n = 0; n < 20; n++)
        test_against_oracle(n & 1);
    test_transport();
    test_damaged_initiation();
    test_damaged_response();
    test_lengths();
    test_wrong_keys();
    test_no_identity();
    test_replay_and_flood();
    test_states();
    test_low_order();
    test_keys_differ();
    test_identity();
    return check_summary();
}
