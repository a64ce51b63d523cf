/* The four messages as they stand on the wire (white paper, 5.4.2 to 5.4.7).  All members are byte arrays, so
 * the structs have alignment 1 and may be laid over received bytes.  Integers are little-endian
 * (byte_order.h). */
#pragma once

#include "protocol/byte_order.h"
#include "protocol/constants.h"
#include <stddef.h>
#include <stdint.h>

#define MAC_BYTES    16
#define COOKIE_BYTES 16
#define TAG_BYTES    16

#define TAI64N_BYTES 12

enum message_type {
    MESSAGE_INVALID = 0, /* not a message: wrong length or type */
    MESSAGE_INITIATION = 1,
    MESSAGE_RESPONSE = 2,
    MESSAGE_COOKIE_REPLY = 3,
    MESSAGE_DATA = 4,
};

/* 5.4.2, first message */
struct message_initiation {
    uint8_t type[4]; /* the type, then three reserved zero bytes */
    uint8_t sender_index[4];
    uint8_t ephemeral[PUBLIC_KEY_BYTES];
    uint8_t encrypted_static[PUBLIC_KEY_BYTES + TAG_BYTES];
    uint8_t encrypted_timestamp[TAI64N_BYTES + TAG_BYTES];
    uint8_t mac1[MAC_BYTES];
    uint8_t mac2[MAC_BYTES];
};

/* 5.4.3, second message */
struct message_response {
    uint8_t type[4];
    uint8_t sender_index[4];
    uint8_t receiver_index[4];
    uint8_t ephemeral[PUBLIC_KEY_BYTES];
    uint8_t encrypted_nothing[TAG_BYTES];
    uint8_t mac1[MAC_BYTES];
    uint8_t mac2[MAC_BYTES];
};

/* 5.4.7 */
struct message_cookie_reply {
    uint8_t type[4];
    uint8_t receiver_index[4];
    uint8_t nonce[24];
    uint8_t encrypted_cookie[COOKIE_BYTES + TAG_BYTES];
};

/* 5.4.6: the header; encrypted packet and tag follow. */
struct message_data_header {
    uint8_t type[4];
    uint8_t receiver_index[4];
    uint8_t counter[8];
};

#define MESSAGE_INITIATION_BYTES   148
#define MESSAGE_RESPONSE_BYTES     92
#define MESSAGE_COOKIE_REPLY_BYTES 64
#define MESSAGE_DATA_HEADER_BYTES  16
#define MESSAGE_DATA_MIN_BYTES     32 /* header and tag: a keepalive */

_Static_assert(sizeof(struct message_initiation) == MESSAGE_INITIATION_BYTES, "white paper 5.4.2");
_Static_assert(sizeof(struct message_response) == MESSAGE_RESPONSE_BYTES, "white paper 5.4.3");
_Static_assert(sizeof(struct message_cookie_reply) == MESSAGE_COOKIE_REPLY_BYTES, "white paper 5.4.7");
_Static_assert(sizeof(struct message_data_header) == MESSAGE_DATA_HEADER_BYTES, "white paper 5.4.6");
_Static_assert(_Alignof(struct message_initiation) == 1 && _Alignof(struct message_data_header) == 1,
               "may be laid over any received byte");

/* What a datagram is, from its first four bytes and its exact length (handshake messages: equal; data: at
 * least MESSAGE_DATA_MIN_BYTES).  `start` needs to hold only the first min(length, 4) bytes.  Everything that
 * is not MESSAGE_INVALID may be laid under its struct. */
static inline enum message_type message_classify(const uint8_t *start, size_t length)
{
    if (length < 4)
        return MESSAGE_INVALID;
    switch (load_le32(start)) {
    case MESSAGE_INITIATION:
        return length == MESSAGE_INITIATION_BYTES ? MESSAGE_INITIATION : MESSAGE_INVALID;
    case MESSAGE_RESPONSE:
        return length == MESSAGE_RESPONSE_BYTES ? MESSAGE_RESPONSE : MESSAGE_INVALID;
    case MESSAGE_COOKIE_REPLY:
        return length == MESSAGE_COOKIE_REPLY_BYTES ? MESSAGE_COOKIE_REPLY : MESSAGE_INVALID;
    case MESSAGE_DATA:
        return length >= MESSAGE_DATA_MIN_BYTES ? MESSAGE_DATA : MESSAGE_INVALID;
    default:
        return MESSAGE_INVALID;
    }
}

/* Fills in a data header. */
static inline void message_data_header_write(struct message_data_header *header, uint32_t receiver_index,
                                             uint64_t counter)
{
    store_le32(header->type, MESSAGE_DATA);
    store_le32(header->receiver_index, receiver_index);
    store_le64(header->counter, counter);
}
