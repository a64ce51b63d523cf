/* The handshake's four steps over symmetric.c.  Each step works on copies and commits them to the peer's
 * state only when everything in it succeeded, so that a refused message changes nothing. */
#include "protocol/handshake.h"
#include "crypto/secure_memory.h"
#include "crypto/x25519.h"
#include "protocol/stack_erase.h"
#include "protocol/tai64n.h"

const struct symmetric_state handshake_initial_state = {
    .chaining_key = {0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0, 0x2e, 0xc3, 0x35,
                     0xe2, 0xa0, 0x25, 0xd2, 0xd0, 0x16, 0xeb, 0x42, 0x06, 0xf8, 0x72,
                     0x77, 0xf5, 0x2d, 0x38, 0xd1, 0x98, 0x8b, 0x78, 0xcd, 0x36},
    .hash = {0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66, 0x69, 0x12, 0x43, 0xdb, 0x45, 0x8a, 0xd5, 0x32,
             0x2d, 0x9c, 0x6c, 0x66, 0x22, 0x93, 0xe8, 0xb7, 0x0e, 0xe1, 0x9c, 0x65, 0xba, 0x07, 0x9e, 0xf3},
};

#define COPY(destination, source)                                                                            \
    do {                                                                                                     \
        _Static_assert(sizeof(destination) == sizeof(source), "a whole array");                              \
        __builtin_memcpy(destination, source, sizeof(destination));                                          \
    } while (0)

/* C and H before the first token, for the responder's static key. */
static void begin(struct symmetric_state *state, const uint8_t responder_static[PUBLIC_KEY_BYTES])
{
    *state = handshake_initial_state;
    symmetric_mix_hash(state, responder_static, PUBLIC_KEY_BYTES);
}

/* The token "e" with a preshared key in the handshake: into H and into C. */
static void mix_ephemeral(struct symmetric_state *state, const uint8_t ephemeral[PUBLIC_KEY_BYTES])
{
    symmetric_mix_hash(state, ephemeral, PUBLIC_KEY_BYTES);
    symmetric_mix_chaining_key(state, ephemeral, PUBLIC_KEY_BYTES);
}

static uint32_t release_index(struct handshake *handshake)
{
    uint32_t released = handshake->local_index;
    handshake->local_index = INDEX_NONE;
    return released;
}

/* Erases the handshake under way, not the index. */
static void erase_progress(struct handshake *handshake)
{
    handshake->state = HANDSHAKE_NONE;
    handshake->remote_index = 0;
    secure_zero(handshake->ephemeral_private, sizeof(handshake->ephemeral_private));
    secure_zero(handshake->remote_ephemeral, sizeof(handshake->remote_ephemeral));
    secure_zero(&handshake->symmetric, sizeof(handshake->symmetric));
}

static bool set_static_static(struct handshake *handshake, const struct identity *identity)
{
    handshake->static_static_valid = false;
    secure_zero(handshake->static_static, sizeof(handshake->static_static));
    if (!identity->present)
        return true;
    handshake->static_static_valid =
        x25519(handshake->static_static, identity->private_key, handshake->remote_static);
    stack_erase();
    return handshake->static_static_valid;
}

bool handshake_init(struct handshake *handshake, const struct identity *identity,
                    const uint8_t remote_static[PUBLIC_KEY_BYTES])
{
    __builtin_memset(handshake, 0, sizeof(*handshake));
    __builtin_memcpy(handshake->remote_static, remote_static, PUBLIC_KEY_BYTES);
    return set_static_static(handshake, identity);
}

uint32_t handshake_set_identity(struct handshake *handshake, const struct identity *identity)
{
    uint32_t released = handshake_clear(handshake);
    set_static_static(handshake, identity);
    return released;
}

void handshake_set_preshared_key(struct handshake *handshake,
                                 const uint8_t preshared_key[PRESHARED_KEY_BYTES])
{
    __builtin_memcpy(handshake->preshared_key, preshared_key, PRESHARED_KEY_BYTES);
}

uint32_t handshake_clear(struct handshake *handshake)
{
    erase_progress(handshake);
    return release_index(handshake);
}

uint32_t handshake_destroy(struct handshake *handshake)
{
    uint32_t released = handshake->local_index;
    secure_zero(handshake, sizeof(*handshake));
    return released;
}

uint32_t handshake_local_index(const struct handshake *handshake)
{
    return handshake->local_index;
}

enum handshake_result handshake_create_initiation(struct handshake *handshake,
                                                  const struct identity *identity, uint32_t local_index,
                                                  const uint8_t random[PRIVATE_KEY_BYTES],
                                                  const uint8_t timestamp[TAI64N_BYTES],
                                                  struct message_initiation *message, uint32_t *released)
{
    *released = INDEX_NONE;
    if (!identity->present)
        return HANDSHAKE_NO_IDENTITY;
    if (!handshake->static_static_valid)
        return HANDSHAKE_BAD_KEY;

    struct symmetric_state state;
    uint8_t ephemeral_private[PRIVATE_KEY_BYTES], key[32];
    struct message_initiation made = {0};
    enum handshake_result result = HANDSHAKE_BAD_KEY;

    begin(&state, handshake->remote_static);
    __builtin_memcpy(ephemeral_private, random, sizeof(ephemeral_private));
    x25519_clamp(ephemeral_private);
    x25519_base(made.ephemeral, ephemeral_private);
    mix_ephemeral(&state, made.ephemeral);
    if (!symmetric_mix_dh_key(&state, key, ephemeral_private, handshake->remote_static))
        goto out;
    symmetric_seal(&state, made.encrypted_static, identity->public_key, PUBLIC_KEY_BYTES, key);
    symmetric_mix_key(&state, key, handshake->static_static, sizeof(handshake->static_static));
    symmetric_seal(&state, made.encrypted_timestamp, timestamp, TAI64N_BYTES, key);

    store_le32(made.type, MESSAGE_INITIATION);
    store_le32(made.sender_index, local_index);
    *message = made;

    erase_progress(handshake);
    *released = release_index(handshake);
    COPY(handshake->ephemeral_private, ephemeral_private);
    handshake->symmetric = state;
    handshake->local_index = local_index;
    handshake->state = HANDSHAKE_CREATED_INITIATION;
    result = HANDSHAKE_OK;
out:
    secure_zero(&state, sizeof(state));
    secure_zero(ephemeral_private, sizeof(ephemeral_private));
    secure_zero(key, sizeof(key));
    stack_erase();
    return result;
}

void initiation_prepare(struct x25519_job *job, const struct identity *identity,
                        const struct message_initiation *message)
{
    *job = (struct x25519_job){.scalar = identity->private_key, .point = message->ephemeral};
}

enum handshake_result initiation_open(struct initiation *initiation, const struct identity *identity,
                                      const struct message_initiation *message)
{
    struct x25519_job job, *jobs[] = {&job};
    initiation_prepare(&job, identity, message);
    if (identity->present)
        x25519_batch(jobs, 1);
    enum handshake_result result = initiation_open_prepared(initiation, identity, message, &job);
    secure_zero(&job, sizeof(job));
    return result;
}

enum handshake_result initiation_open_prepared(struct initiation *initiation, const struct identity *identity,
                                               const struct message_initiation *message,
                                               const struct x25519_job *job)
{
    uint8_t key[32];
    enum handshake_result result = HANDSHAKE_NO_IDENTITY;

    __builtin_memset(initiation, 0, sizeof(*initiation));
    if (!identity->present)
        return result;
    if (!job->valid)
        return HANDSHAKE_BAD_KEY;

    begin(&initiation->symmetric, identity->public_key);
    mix_ephemeral(&initiation->symmetric, message->ephemeral);
    symmetric_mix_key(&initiation->symmetric, key, job->out, sizeof(job->out));
    result = HANDSHAKE_AUTHENTICATION_FAILED;
    if (!symmetric_open(&initiation->symmetric, initiation->remote_static, message->encrypted_static,
                        sizeof(message->encrypted_static), key))
        goto out;
    initiation->remote_index = load_le32(message->sender_index);
    COPY(initiation->remote_ephemeral, message->ephemeral);
    COPY(initiation->encrypted_timestamp, message->encrypted_timestamp);
    result = HANDSHAKE_OK;
out:
    secure_zero(key, sizeof(key));
    if (result != HANDSHAKE_OK)
        initiation_clear(initiation);
    stack_erase();
    return result;
}

void initiation_clear(struct initiation *initiation)
{
    secure_zero(initiation, sizeof(*initiation));
}

enum handshake_result handshake_consume_initiation(struct handshake *handshake, struct initiation *initiation,
                                                   uint64_t now_ns, uint32_t *released)
{
    uint8_t key[32] = {0}, timestamp[TAI64N_BYTES];
    enum handshake_result result = HANDSHAKE_WRONG_PEER;

    *released = INDEX_NONE;
    if (!secure_equal(initiation->remote_static, handshake->remote_static, PUBLIC_KEY_BYTES))
        goto out;
    result = HANDSHAKE_BAD_KEY;
    if (!handshake->static_static_valid)
        goto out;
    symmetric_mix_key(&initiation->symmetric, key, handshake->static_static,
                      sizeof(handshake->static_static));
    result = HANDSHAKE_AUTHENTICATION_FAILED;
    if (!symmetric_open(&initiation->symmetric, timestamp, initiation->encrypted_timestamp,
                        sizeof(initiation->encrypted_timestamp), key))
        goto out;
    /* The initial latest_timestamp, all zero, lies before every valid label. */
    result = HANDSHAKE_REPLAYED;
    if (!tai64n_is_after(timestamp, handshake->latest_timestamp))
        goto out;
    result = HANDSHAKE_FLOOD;
    if (handshake->last_initiation_consumed_ns != TIME_NEVER_NS &&
        now_ns < handshake->last_initiation_consumed_ns + INITIATION_INTERVAL_MIN_NS)
        goto out;

    erase_progress(handshake);
    *released = release_index(handshake);
    COPY(handshake->latest_timestamp, timestamp);
    handshake->last_initiation_consumed_ns = now_ns;
    handshake->remote_index = initiation->remote_index;
    COPY(handshake->remote_ephemeral, initiation->remote_ephemeral);
    handshake->symmetric = initiation->symmetric;
    handshake->state = HANDSHAKE_CONSUMED_INITIATION;
    result = HANDSHAKE_OK;
out:
    secure_zero(key, sizeof(key));
    initiation_clear(initiation);
    stack_erase();
    return result;
}

void response_prepare(struct response_keys *keys, const struct handshake *handshake,
                      const uint8_t random[PRIVATE_KEY_BYTES])
{
    __builtin_memcpy(keys->ephemeral_private, random, sizeof(keys->ephemeral_private));
    x25519_clamp(keys->ephemeral_private);
    COPY(keys->remote_ephemeral, handshake->remote_ephemeral);
    COPY(keys->remote_static, handshake->remote_static);
    keys->public_key = (struct x25519_job){.scalar = keys->ephemeral_private, .point = x25519_base_point};
    keys->ephemeral_ephemeral =
        (struct x25519_job){.scalar = keys->ephemeral_private, .point = keys->remote_ephemeral};
    keys->static_ephemeral =
        (struct x25519_job){.scalar = keys->ephemeral_private, .point = keys->remote_static};
}

enum handshake_result handshake_create_response(struct handshake *handshake, uint32_t local_index,
                                                const uint8_t random[PRIVATE_KEY_BYTES],
                                                struct message_response *message)
{
    if (handshake->state != HANDSHAKE_CONSUMED_INITIATION)
        return HANDSHAKE_WRONG_STATE;
    struct response_keys keys;
    struct x25519_job *jobs[] = {&keys.public_key, &keys.ephemeral_ephemeral, &keys.static_ephemeral};
    response_prepare(&keys, handshake, random);
    x25519_batch(jobs, sizeof(jobs) / sizeof(jobs[0]));
    enum handshake_result result = handshake_create_response_prepared(handshake, local_index, &keys, message);
    secure_zero(&keys, sizeof(keys));
    return result;
}

enum handshake_result handshake_create_response_prepared(struct handshake *handshake, uint32_t local_index,
                                                         const struct response_keys *keys,
                                                         struct message_response *message)
{
    if (handshake->state != HANDSHAKE_CONSUMED_INITIATION ||
        !secure_equal(handshake->remote_ephemeral, keys->remote_ephemeral, PUBLIC_KEY_BYTES))
        return HANDSHAKE_WRONG_STATE;
    const struct x25519_job *ee = &keys->ephemeral_ephemeral, *se = &keys->static_ephemeral;
    if (!ee->valid || !se->valid)
        return HANDSHAKE_BAD_KEY;

    struct symmetric_state state = handshake->symmetric;
    uint8_t key[32];
    struct message_response made = {0};

    COPY(made.ephemeral, keys->public_key.out);
    mix_ephemeral(&state, made.ephemeral);
    symmetric_mix_chaining_key(&state, ee->out, sizeof(ee->out));
    symmetric_mix_chaining_key(&state, se->out, sizeof(se->out));
    symmetric_mix_psk(&state, key, handshake->preshared_key);
    symmetric_seal(&state, made.encrypted_nothing, NULL, 0, key);

    store_le32(made.type, MESSAGE_RESPONSE);
    store_le32(made.sender_index, local_index);
    store_le32(made.receiver_index, handshake->remote_index);
    *message = made;

    handshake->symmetric = state;
    handshake->local_index = local_index;
    handshake->state = HANDSHAKE_CREATED_RESPONSE;
    secure_zero(&state, sizeof(state));
    secure_zero(key, sizeof(key));
    stack_erase();
    return HANDSHAKE_OK;
}

enum handshake_result handshake_consume_response(struct handshake *handshake, const struct identity *identity,
                                                 const struct message_response *message)
{
    if (!identity->present)
        return HANDSHAKE_NO_IDENTITY;
    if (handshake->state != HANDSHAKE_CREATED_INITIATION)
        return HANDSHAKE_WRONG_STATE;
    if (load_le32(message->receiver_index) != handshake->local_index)
        return HANDSHAKE_WRONG_INDEX;

    struct symmetric_state state = handshake->symmetric;
    uint8_t key[32] = {0}, nothing[1];
    enum handshake_result result = HANDSHAKE_BAD_KEY;

    mix_ephemeral(&state, message->ephemeral);
    if (!symmetric_mix_dh(&state, handshake->ephemeral_private, message->ephemeral) ||
        !symmetric_mix_dh(&state, identity->private_key, message->ephemeral))
        goto out;
    symmetric_mix_psk(&state, key, handshake->preshared_key);
    result = HANDSHAKE_AUTHENTICATION_FAILED;
    if (!symmetric_open(&state, nothing, message->encrypted_nothing, sizeof(message->encrypted_nothing), key))
        goto out;

    COPY(handshake->remote_ephemeral, message->ephemeral);
    handshake->remote_index = load_le32(message->sender_index);
    handshake->symmetric = state;
    handshake->state = HANDSHAKE_CONSUMED_RESPONSE;
    result = HANDSHAKE_OK;
out:
    secure_zero(&state, sizeof(state));
    secure_zero(key, sizeof(key));
    stack_erase();
    return result;
}

enum handshake_result handshake_begin_session(struct handshake *handshake, struct session *session,
                                              uint64_t now_ns)
{
    bool is_initiator = handshake->state == HANDSHAKE_CONSUMED_RESPONSE;
    if (!is_initiator && handshake->state != HANDSHAKE_CREATED_RESPONSE)
        return HANDSHAKE_WRONG_STATE;

    uint8_t from_initiator[SESSION_KEY_BYTES], from_responder[SESSION_KEY_BYTES];
    symmetric_split(&handshake->symmetric, from_initiator, from_responder);
    session_init(session, is_initiator ? from_initiator : from_responder,
                 is_initiator ? from_responder : from_initiator, handshake->local_index,
                 handshake->remote_index, is_initiator, now_ns);
    secure_zero(from_initiator, sizeof(from_initiator));
    secure_zero(from_responder, sizeof(from_responder));
    erase_progress(handshake);
    release_index(handshake);
    stack_erase();
    return HANDSHAKE_OK;
}
