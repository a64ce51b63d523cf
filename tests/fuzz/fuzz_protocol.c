/* src/protocol natively, under the sanitizers: two ends that make and consume each other's handshake messages
 * in any order, damaged or not, and the parsing of inner packets and of counters. */
#include "input.h"
#include "protocol/cookie.h"
#include "protocol/handshake.h"
#include "protocol/packet.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct end {
    struct identity identity;
    struct handshake handshake;
    struct cookie_checker checker;
    struct cookie_maker maker;
    struct session session;
    bool has_session;
};

static const uint8_t source[COOKIE_SOURCE_BYTES] = {1, 2, 3};
static uint64_t now_ns, counter;

static void wrong(const char *what)
{
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static void make_ends(struct end ends[2])
{
    uint8_t key[32];
    for (int i = 0; i < 2; i++) {
        memset(&ends[i], 0, sizeof ends[i]);
        memset(key, 0x31 + i, 32);
        identity_init(&ends[i].identity);
        identity_set(&ends[i].identity, key);
        cookie_checker_init(&ends[i].checker);
        cookie_checker_set_identity(&ends[i].checker, ends[i].identity.public_key);
    }
    for (int i = 0; i < 2; i++) {
        handshake_init(&ends[i].handshake, &ends[i].identity, ends[1 - i].identity.public_key);
        cookie_maker_init(&ends[i].maker, ends[1 - i].identity.public_key);
    }
}

/* Where a byte was changed, or NOWHERE. */
#define NOWHERE SIZE_MAX

static size_t damage(struct input *input, uint8_t choice, void *message, size_t length)
{
    if (!(choice & 0x40))
        return NOWHERE;
    size_t place = input_u8(input) % length;
    ((uint8_t *)message)[place] ^= input_u8(input) | 1;
    return place;
}

static void initiate(struct input *input, struct end *from, struct end *to, uint8_t choice)
{
    struct message_initiation message;
    struct initiation opened;
    uint8_t random[32], timestamp[TAI64N_BYTES] = {0};
    uint32_t released;
    uint64_t time = ++counter;
    memset(random, (int)counter, sizeof random);
    if (choice & 0x20)
        time = input_u8(input);
    for (int i = 0; i < 8; i++)
        timestamp[i] = (uint8_t)(time >> (56 - 8 * i));
    if (handshake_create_initiation(&from->handshake, &from->identity, (uint32_t)++counter, random, timestamp,
                                    &message, &released) != HANDSHAKE_OK)
        return;
    cookie_maker_add_macs(&from->maker, &message, sizeof message, now_ns);
    size_t damaged = damage(input, choice, &message, sizeof message - MAC_BYTES);
    enum cookie_verdict verdict =
        cookie_checker_verify(&to->checker, &message, sizeof message, source, true, now_ns);
    if ((damaged == NOWHERE) != (verdict != COOKIE_MAC1_INVALID))
        wrong("mac1 does not tell a damaged message");
    enum handshake_result result = initiation_open(&opened, &to->identity, &message);
    if (result == HANDSHAKE_OK)
        result = handshake_consume_initiation(&to->handshake, &opened, now_ns, &released);
    if (result == HANDSHAKE_OK && damaged >= offsetof(struct message_initiation, ephemeral) &&
        damaged < offsetof(struct message_initiation, mac1))
        wrong("a damaged initiation was accepted");
}

static void respond(struct input *input, struct end *from, struct end *to, uint8_t choice)
{
    struct message_response message;
    uint8_t random[32];
    memset(random, (int)counter, sizeof random);
    if (handshake_create_response(&from->handshake, (uint32_t)++counter, random, &message) != HANDSHAKE_OK)
        return;
    from->has_session |= handshake_begin_session(&from->handshake, &from->session, now_ns) == HANDSHAKE_OK;
    damage(input, choice, &message, sizeof message);
    if (handshake_consume_response(&to->handshake, &to->identity, &message) == HANDSHAKE_OK) {
        if (handshake_begin_session(&to->handshake, &to->session, now_ns) != HANDSHAKE_OK)
            wrong("a consumed response gives no session");
        to->has_session = true;
        if (memcmp(to->session.send_key, from->session.receive_key, 32) != 0)
            wrong("the ends of a session have different keys");
    }
}

static void check_packet(struct input *input)
{
    uint8_t header[IPV6_HEADER_BYTES];
    struct packet_view view;
    size_t length = input_u16(input), present = length < sizeof header ? length : sizeof header;
    input_copy(input, header, sizeof header);
    uint8_t *exact = malloc(present ? present : 1); /* reading behind it is seen */
    memcpy(exact, header, present);
    if (packet_parse(exact, length, &view) == PACKET_OK &&
        (view.length > length || (view.version != 4 && view.version != 6) || view.source < exact ||
         view.destination + (view.version == 4 ? 4 : 16) > exact + present))
        wrong("a packet's view leads out of it");
    uint32_t mtu = input_u16(input);
    if (packet_padding((uint32_t)length, mtu) >= PADDING_MULTIPLE)
        wrong("a padding of 16 or more");
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct end ends[2];
    struct input input = {data, data + size};
    now_ns = 1000000000u;
    counter = 0;
    make_ends(ends);
    for (unsigned step = 0; step < 32 && input_more(&input); step++) {
        uint8_t choice = input_u8(&input);
        struct end *from = &ends[choice >> 7], *to = &ends[1 - (choice >> 7)];
        switch (choice & 7) {
        case 0:
        case 1:
            initiate(&input, from, to, choice);
            break;
        case 2:
        case 3:
            respond(&input, from, to, choice);
            break;
        case 4:
            now_ns += (uint64_t)input_u8(&input) << (choice >> 3 & 7) << 20;
            break;
        case 5:
            check_packet(&input);
            break;
        case 6:
            if (from->has_session) {
                uint64_t value = input_u64(&input);
                if (session_accept_counter(&from->session, value) &&
                    session_accept_counter(&from->session, value))
                    wrong("a counter was accepted twice");
            }
            break;
        case 7:
            handshake_clear(&from->handshake);
            break;
        }
    }
    handshake_destroy(&ends[0].handshake);
    handshake_destroy(&ends[1].handshake);
    return 0;
}
