/* Frames of the raw control socket (docs/control-socket.md): little-endian, packed by hand, natural
 * alignment. Client and host both send frames: header, then `length` bytes. */
#pragma once

#include <stdint.h>

#define RAW_VERSION       1u
#define RAW_REPLY         0x80000000u /* or'ed to the operation in the answer */
#define RAW_REFUSED       0x8000FFFFu /* answer to a malformed frame: the payload is a text */
#define RAW_PAYLOAD_LIMIT (64u << 20)

enum raw_operation {
    RAW_HELLO = 1,
    RAW_OPEN = 2,
    RAW_CLOSE = 3,
    RAW_CONTROL = 4,
    RAW_CANCEL = 5,
    RAW_PNP = 6,
    RAW_POWER = 7,
    RAW_PAUSE = 8,
    RAW_RESTART = 9,
    RAW_SURPRISE_REMOVE = 10,
    RAW_OID = 11,
    RAW_LINK = 12,
    RAW_COUNTERS = 13,
    RAW_STOP = 14,
    RAW_LOSE_SOCKETS = 15,
    RAW_PASS = 16,
};

struct raw_header {
    uint32_t length; /* bytes of payload that follow */
    uint32_t operation;
    uint64_t id; /* chosen by the client, repeated in the answer */
};

struct raw_hello_reply {
    int32_t status;
    uint32_t version;
    uint32_t verify; /* 1: the host checks rules */
    uint32_t cpus;
    char name[16];
};

struct raw_open {
    uint8_t system, administrator, process32, reserved;
    uint32_t integrity;
};

struct raw_open_reply {
    int32_t status;
    uint32_t handle;
};

/* From now on the handle is used by a process with this token, as after DuplicateHandle. */
struct raw_pass {
    uint32_t handle;
    struct raw_open token;
};

enum { RAW_CONTROL_IN_NULL = 1, RAW_CONTROL_OUT_NULL = 2, RAW_CONTROL_ASYNC = 4 };

/* Followed by the input bytes (none with IN_NULL), then `out_given` bytes: the initial content of the output
 * buffer, whose rest is zero. */
struct raw_control {
    uint32_t handle;
    uint32_t code;
    uint32_t flags;
    uint32_t in_length;  /* as passed to the driver, also with IN_NULL */
    uint32_t out_length; /* as passed to the driver, also with OUT_NULL */
    uint32_t out_given;
};

/* Followed by `out_length` bytes: the whole output buffer, whatever the driver wrote of it. */
struct raw_control_reply {
    int32_t status;
    uint32_t out_length;
    uint64_t information;
};

struct raw_oid {
    uint32_t set; /* 0 query, 1 set */
    uint32_t oid;
    uint32_t length; /* of the buffer */
    uint32_t given;  /* bytes that follow: its initial content */
};

/* Followed by `length` bytes: the whole buffer. */
struct raw_oid_reply {
    int32_t status;
    uint32_t bytes; /* written, read or needed */
    uint32_t length;
};

struct raw_counter {
    char name[32];
    uint64_t total;
    int64_t now;
    int64_t peak;
};

_Static_assert(sizeof(struct raw_header) == 16 && sizeof(struct raw_hello_reply) == 32 &&
                   sizeof(struct raw_open) == 8 && sizeof(struct raw_open_reply) == 8 &&
                   sizeof(struct raw_pass) == 12 && sizeof(struct raw_control) == 24 &&
                   sizeof(struct raw_control_reply) == 16 && sizeof(struct raw_oid) == 16 &&
                   sizeof(struct raw_oid_reply) == 12 && sizeof(struct raw_counter) == 56,
               "the frames are the interface");
