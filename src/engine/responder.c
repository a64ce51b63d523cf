/* Four passes, as in the driver: DH(static, ephemeral) of all initiations; each opened, its peer found and
 * its timestamp judged; the three multiplications of each response that will be; each response made, its
 * session installed, and sent.  A replayed or forged initiation costs one multiplication, as alone. */
#include "responder.h"

#include "aligned.h"
#include "crypto/secure_memory.h"
#include "handshake_work.h"
#include "system.h"

#include <stdlib.h>
#include <string.h>

#define RESPONSE_JOBS 3

struct answer {
    const struct handshake_message *message;
    struct peer *peer; /* NULL: not answered */
    struct x25519_job static_ephemeral;
    struct response_keys keys;
    uint8_t random[PRIVATE_KEY_BYTES];
};

struct responder {
    struct x25519_workspace workspace; /* erases itself */
    struct answer answers[RESPONDER_BATCH];
    struct x25519_job *jobs[RESPONDER_BATCH * RESPONSE_JOBS];
};

struct responder *responder_create(void)
{
    struct responder *responder = aligned_memory(sizeof(*responder));
    if (responder)
        memset(responder, 0, sizeof(*responder));
    return responder;
}

void responder_free(struct responder *responder)
{
    aligned_memory_free(responder);
}

static void multiply(struct responder *responder, uint32_t count)
{
    if (x25519_batch_is_wide())
        x25519_batch_wide(&responder->workspace, responder->jobs, count);
    else
        x25519_batch(responder->jobs, count);
}

static const struct message_initiation *initiation_of(const struct answer *answer)
{
    return (const struct message_initiation *)answer->message->bytes;
}

/* Whose initiation it is, when it is to be answered. */
static struct peer *open_initiation(struct engine *engine, struct answer *answer)
{
    struct initiation initiation;
    uint32_t released = INDEX_NONE;
    if (initiation_open_prepared(&initiation, &engine->identity, initiation_of(answer),
                                 &answer->static_ephemeral) != HANDSHAKE_OK)
        return NULL;
    struct peer *peer = peer_find(engine, initiation.remote_static);
    if (!peer) {
        initiation_clear(&initiation);
        return NULL;
    }
    peer_follow_identity(peer);
    enum handshake_result result =
        handshake_consume_initiation(&peer->handshake, &initiation, system_time_ns(), &released);
    engine_index_remove(engine, released);
    if (result != HANDSHAKE_OK)
        return NULL;
    response_prepare(&answer->keys, &peer->handshake, answer->random);
    return peer;
}

static void respond(const struct answer *answer)
{
    struct peer *peer = answer->peer;
    struct engine *engine = peer->engine;
    struct message_response response;
    uint64_t now_ns = system_time_ns();
    uint32_t index = engine_index_insert(engine, peer, INDEX_KIND_HANDSHAKE);
    if (index == INDEX_NONE)
        return;
    if (handshake_create_response_prepared(&peer->handshake, index, &answer->keys, &response) !=
        HANDSHAKE_OK) {
        engine_index_remove(engine, index);
        return;
    }
    cookie_maker_add_macs(&peer->cookie, &response, sizeof(response), now_ns);
    if (!peer_begin_session(peer, now_ns)) {
        engine_index_remove(engine, handshake_clear(&peer->handshake));
        return;
    }
    handshake_received_from(peer, answer->message);
    log_info("received a handshake initiation, answering");
    handshake_send_to(peer, &response, sizeof(response));
}

void responder_answer(struct engine *engine, struct responder *responder,
                      const struct handshake_message *const messages[], uint32_t count)
{
    uint32_t jobs = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct answer *answer = &responder->answers[i];
        answer->message = messages[i];
        initiation_prepare(&answer->static_ephemeral, &engine->identity, initiation_of(answer));
        responder->jobs[i] = &answer->static_ephemeral;
    }
    if (engine->identity.present)
        multiply(responder, count);
    for (uint32_t i = 0; i < count; i++) {
        struct answer *answer = &responder->answers[i];
        system_random(answer->random, sizeof(answer->random));
        answer->peer = open_initiation(engine, answer);
        if (!answer->peer) {
            engine->drops.of[DROP_HS_REFUSED]++;
            continue;
        }
        responder->jobs[jobs++] = &answer->keys.public_key;
        responder->jobs[jobs++] = &answer->keys.ephemeral_ephemeral;
        responder->jobs[jobs++] = &answer->keys.static_ephemeral;
    }
    if (jobs)
        multiply(responder, jobs);
    for (uint32_t i = 0; i < count; i++)
        if (responder->answers[i].peer)
            respond(&responder->answers[i]);
    secure_zero(responder->answers, sizeof(responder->answers));
}
