/* Four passes over a batch of initiations: DH(static, ephemeral) of all; each one opened, its peer found and
 * its timestamp judged; the three multiplications of each response that will be; each response made, its
 * session installed, and sent.  A replayed or forged initiation costs one multiplication, as alone.
 *
 * The peer's lock is held in the second and the fourth pass, not between: what else happens to the handshake
 * meanwhile, the protocol notices (HANDSHAKE_WRONG_STATE), and the initiation stays unanswered. */
#include "responder.h"
#include "crypto/secure_memory.h"
#include "driver.h"
#include "handshake_common.h"
#include "memory.h"
#include "protocol/stack_erase.h"

#define RESPONSE_JOBS 3

struct answer {
    const struct handshake_message *message;
    struct peer *peer; /* referenced; NULL: no longer in the batch */
    struct x25519_job static_ephemeral;
    struct initiation initiation;
    struct response_keys keys;
    struct message_response response;
};

struct responder {
    struct x25519_workspace workspace;
    /* Everything from here on is erased after each batch; the workspace erases itself. */
    struct identity identity;
    uint8_t random[RESPONDER_BATCH][PRIVATE_KEY_BYTES];
    struct answer answers[RESPONDER_BATCH];
    struct x25519_job *jobs[RESPONDER_BATCH * RESPONSE_JOBS];
};

/* The pool aligns what is as large as a page to one, the workspace's vectors with it. */
_Static_assert(sizeof(struct responder) >= 4096, "alignment of vectors");

struct responder *responder_create(void)
{
    return memory_allocate(MEMORY_HANDSHAKE, sizeof(struct responder));
}

void responder_free(struct responder *responder)
{
    memory_free(MEMORY_HANDSHAKE, responder, sizeof(*responder));
}

static void multiply(struct responder *responder, uint32_t count)
{
    XSTATE_SAVE state;
    if (x25519_batch_is_wide() &&
        NT_SUCCESS(KeSaveExtendedProcessorState(XSTATE_MASK_AVX | XSTATE_MASK_AVX512, &state))) {
        x25519_batch_wide(&responder->workspace, responder->jobs, count);
        KeRestoreExtendedProcessorState(&state);
    } else {
        x25519_batch(responder->jobs, count);
    }
}

static const struct message_initiation *initiation_of(const struct answer *answer)
{
    return (const struct message_initiation *)answer->message->bytes;
}

/* Finds the peer of an initiation whose static-ephemeral secret is there. */
static void open_initiation(struct adapter *adapter, struct responder *responder, struct answer *answer)
{
    enum handshake_result result = initiation_open_prepared(&answer->initiation, &responder->identity,
                                                            initiation_of(answer), &answer->static_ephemeral);
    if (result != HANDSHAKE_OK) {
        drop_count(adapter, DROP_HS_INVALID, 1);
        return;
    }
    answer->peer = peer_table_find(adapter, answer->initiation.remote_static);
    if (!answer->peer)
        drop_count(adapter, DROP_HS_UNKNOWN_PEER, 1);
}

/* The initiation's second half; what its response needs. */
static void consume_initiation(struct answer *answer, uint32_t generation,
                               const uint8_t random[PRIVATE_KEY_BYTES])
{
    struct peer *peer = answer->peer;
    struct adapter *adapter = peer->adapter;
    struct identity identity;
    uint32_t abandoned, released = INDEX_NONE;

    ExAcquireFastMutex(&peer->handshake_lock);
    abandoned = handshake_follow_identity(peer, &identity);
    secure_zero(&identity, sizeof(identity));
    /* An initiation to a key that we no longer have was opened just before that changed. */
    enum handshake_result result =
        peer->removed || peer->identity_generation != generation
            ? HANDSHAKE_WRONG_PEER
            : handshake_consume_initiation(&peer->handshake, &answer->initiation, time_now_ns(), &released);
    if (result == HANDSHAKE_OK)
        response_prepare(&answer->keys, &peer->handshake, random);
    ExReleaseFastMutex(&peer->handshake_lock);

    receiver_index_remove(adapter, abandoned);
    receiver_index_remove(adapter, released);
    if (result != HANDSHAKE_OK) {
        drop_count(adapter, handshake_drop_reason_of(result), 1);
        peer_release(peer);
        answer->peer = NULL;
    }
}

/* The response and its session. True: it is to be sent. */
static bool make_response(struct answer *answer)
{
    struct peer *peer = answer->peer;
    struct adapter *adapter = peer->adapter;
    uint64_t now_ns = time_now_ns();
    bool begun = false;
    uint32_t index = receiver_index_insert(adapter, peer, INDEX_KIND_HANDSHAKE), abandoned = INDEX_NONE;
    if (index == INDEX_NONE) { /* the handshake waits for nothing: the next one supersedes it */
        drop_count(adapter, DROP_HS_MEMORY, 1);
        return false;
    }
    ExAcquireFastMutex(&peer->handshake_lock);
    enum handshake_result result =
        handshake_create_response_prepared(&peer->handshake, index, &answer->keys, &answer->response);
    if (result == HANDSHAKE_OK) {
        cookie_maker_add_macs(&peer->cookie, &answer->response, sizeof(answer->response), now_ns);
        begun = handshake_install_session(peer, now_ns);
        if (!begun)
            abandoned = handshake_clear(&peer->handshake); /* the index: the handshake owned it */
    } else {
        abandoned = index;
    }
    ExReleaseFastMutex(&peer->handshake_lock);
    receiver_index_remove(adapter, abandoned);
    if (result != HANDSHAKE_OK)
        drop_count(adapter, handshake_drop_reason_of(result), 1);
    return begun;
}

static void send_response(struct answer *answer)
{
    struct peer *peer = answer->peer;
    handshake_received_from_peer(peer, answer->message);
    log_line_limited(peer->adapter, LOG_INFORMATION,
                     "Received handshake initiation from peer %llu (%pI), answering", peer->id,
                     &answer->message->from);
    handshake_send_to_peer(peer, &answer->response, sizeof(answer->response));
}

void responder_answer(struct adapter *adapter, struct responder *responder,
                      const struct handshake_message *const messages[], uint32_t count)
{
    uint32_t generation = adapter_copy_identity(adapter, &responder->identity), jobs = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct answer *answer = &responder->answers[i];
        answer->message = messages[i];
        answer->peer = NULL;
        initiation_prepare(&answer->static_ephemeral, &responder->identity, initiation_of(answer));
        responder->jobs[i] = &answer->static_ephemeral;
    }
    if (responder->identity.present)
        multiply(responder, count);

    random_bytes(responder->random, count * PRIVATE_KEY_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        struct answer *answer = &responder->answers[i];
        open_initiation(adapter, responder, answer);
        if (answer->peer)
            consume_initiation(answer, generation, responder->random[i]);
        if (answer->peer) {
            responder->jobs[jobs++] = &answer->keys.public_key;
            responder->jobs[jobs++] = &answer->keys.ephemeral_ephemeral;
            responder->jobs[jobs++] = &answer->keys.static_ephemeral;
        }
    }
    if (jobs)
        multiply(responder, jobs);

    for (uint32_t i = 0; i < count; i++) {
        struct answer *answer = &responder->answers[i];
        if (!answer->peer)
            continue;
        if (make_response(answer))
            send_response(answer);
        peer_release(answer->peer);
    }
    secure_zero(&responder->identity, sizeof(responder->identity));
    secure_zero(responder->random, count * sizeof(responder->random[0]));
    secure_zero(responder->answers, count * sizeof(responder->answers[0]));
    stack_erase();
}
