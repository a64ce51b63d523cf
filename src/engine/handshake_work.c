/* The handshake in both roles (white paper 5.4): what is cheap is checked first.  The loop calls
 * handshake_run between its events; what that leaves waits for the next round. */
#include "handshake_work.h"

#include "crypto/secure_memory.h"
#include "protocol/stack_erase.h"
#include "protocol/tai64n.h"
#include "responder.h"
#include "sched/sched.h"
#include "system.h"
#include "transmit.h"

#include <stdlib.h>
#include <string.h>

/* As much as the driver's; an eighth of it is load (under_load.h). */
#define QUEUE_LIMIT 4096
/* A round takes so many messages, of which so many cost Diffie-Hellmans of their own, and as many initiations
 * as the responder does together. */
#define ROUND_MESSAGES  256
#define ROUND_RESPONSES 8
/* Fewer than make a full batch wait so long after the batch before: eight cost little more than one. */
#define HOLD_BACK_NS NS_PER_MS
/* Buckets of the rate limiter looked through for idle sources with each question: a round takes 512
 * questions. */
#define COLLECT_BUCKETS 64

struct handshake_queue {
    uint32_t first, count;
    bool posted;
    uint64_t last_run_ns; /* TIME_NEVER_NS: never */
    uint64_t due_ns;      /* TIME_FOREVER_NS: nothing is held back */
    struct responder *responder;
    struct handshake_message messages[QUEUE_LIMIT];
};

struct handshake_queue *handshake_queue_create(void)
{
    struct handshake_queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return NULL;
    queue->due_ns = TIME_FOREVER_NS;
    queue->responder = responder_create();
    if (queue->responder)
        return queue;
    free(queue);
    return NULL;
}

void handshake_queue_clear(struct handshake_queue *queue)
{
    queue->count = 0;
    queue->due_ns = TIME_FOREVER_NS;
}

uint64_t handshake_due_ns(const struct handshake_queue *queue)
{
    return queue->due_ns;
}

void handshake_queue_free(struct handshake_queue *queue)
{
    if (!queue)
        return;
    responder_free(queue->responder);
    free(queue);
}

/* ---- sending ---- */

void handshake_send_to(struct peer *peer, const void *message, uint32_t length)
{
    if (!transmit_message(peer->engine, &peer->endpoint, message, length))
        return;
    peer->tx_bytes += length;
    peer_sent(peer, NULL, false, system_time_ns());
}

void handshake_received_from(struct peer *peer, const struct handshake_message *message)
{
    endpoint_learn(&peer->endpoint, &message->from, &message->to, message->ifindex);
    peer->rx_bytes += message->length;
    peer_received(peer, NULL, false, system_time_ns());
}

void handshake_send_initiation(struct peer *peer)
{
    struct engine *engine = peer->engine;
    uint64_t now_ns = system_time_ns();
    bool begun = engine->up && timers_begin_initiation(&peer->times, now_ns, system_jitter());
    peer_timers_reschedule(peer);
    if (!begun || !peer->endpoint.remote.family)
        return;

    struct message_initiation message;
    uint8_t ephemeral[PRIVATE_KEY_BYTES], timestamp[TAI64N_BYTES];
    uint32_t released = INDEX_NONE, index = engine_index_insert(engine, peer, INDEX_KIND_HANDSHAKE);
    system_random(ephemeral, sizeof(ephemeral));
    tai64n_from_system_time(timestamp, system_utc_100ns());
    peer_follow_identity(peer);
    bool made = index != INDEX_NONE &&
                handshake_create_initiation(&peer->handshake, &engine->identity, index, ephemeral, timestamp,
                                            &message, &released) == HANDSHAKE_OK;
    secure_zero(ephemeral, sizeof(ephemeral));
    stack_erase();
    engine_index_remove(engine, made ? released : index);
    if (!made)
        return;
    cookie_maker_add_macs(&peer->cookie, &message, sizeof(message), now_ns);
    log_info("sending a handshake initiation");
    handshake_send_to(peer, &message, sizeof(message));
}

/* ---- MACs, cookies and load ---- */

static void source_bytes(const struct udp_address *from, uint8_t source[COOKIE_SOURCE_BYTES])
{
    memset(source, 0, COOKIE_SOURCE_BYTES);
    memcpy(source, from->bytes, from->family == 4 ? 4 : 16);
    memcpy(source + 16, &from->port, 2);
}

static void send_cookie_reply(struct engine *engine, const struct handshake_message *message,
                              const uint8_t source[COOKIE_SOURCE_BYTES], uint64_t now_ns)
{
    struct cookie_checker *checker = &engine->cookie_checker;
    struct message_cookie_reply reply;
    uint8_t nonce[24], secret[32];
    system_random(nonce, sizeof(nonce));
    if (cookie_checker_secret_is_stale(checker, now_ns)) {
        system_random(secret, sizeof(secret));
        cookie_checker_rotate_secret(checker, secret, now_ns);
        secure_zero(secret, sizeof(secret));
    }
    if (!cookie_checker_create_reply(checker, &reply, message->bytes, message->length, source, nonce, now_ns))
        return;
    struct endpoint endpoint = {.remote = message->from, .local = message->to, .ifindex = message->ifindex};
    transmit_message(engine, &endpoint, &reply, sizeof(reply));
}

static bool rate_allows(struct engine *engine, const struct udp_address *from, uint64_t now_ns)
{
    if (!engine->limiter_memory) {
        uint8_t key[SIPHASH_KEY_BYTES];
        engine->limiter_memory = malloc(rate_limiter_memory_bytes(RATE_LIMITER_ENTRIES_MAX));
        if (!engine->limiter_memory)
            return false;
        system_random(key, sizeof(key));
        rate_limiter_init(&engine->limiter, engine->limiter_memory, RATE_LIMITER_ENTRIES_MAX, key);
    }
    rate_limiter_collect_some(&engine->limiter, COLLECT_BUCKETS, now_ns);
    return from->family == 4 ? rate_limiter_allow_v4(&engine->limiter, from->bytes, now_ns)
                             : rate_limiter_allow_v6(&engine->limiter, from->bytes, now_ns);
}

/* True when the message may go on to the asymmetric part.  `waiting`: messages in the queue, with this one.
 */
static bool pass_macs(struct engine *engine, const struct handshake_message *message, uint32_t waiting)
{
    uint8_t source[COOKIE_SOURCE_BYTES];
    uint64_t now_ns = system_time_ns();
    bool loaded = under_load_check(&engine->under_load, waiting, QUEUE_LIMIT, now_ns);
    source_bytes(&message->from, source);
    enum cookie_verdict verdict = cookie_checker_verify(&engine->cookie_checker, message->bytes,
                                                        message->length, source, loaded, now_ns);
    if (verdict == COOKIE_MAC1_INVALID)
        return false;
    if (!loaded)
        return true;
    if (verdict != COOKIE_MAC2_VALID) {
        send_cookie_reply(engine, message, source, now_ns);
        return false;
    }
    return rate_allows(engine, &message->from, now_ns);
}

/* ---- receiving ---- */

static struct peer *peer_from_index(struct engine *engine, uint32_t index)
{
    enum index_kind kind;
    void *object = index_table_lookup(&engine->indexes, index, &kind);
    return object && kind == INDEX_KIND_SESSION ? ((struct session_object *)object)->peer : object;
}

static void process_response(struct engine *engine, const struct handshake_message *message)
{
    const struct message_response *response = (const struct message_response *)message->bytes;
    struct peer *peer = peer_from_index(engine, load_le32(response->receiver_index));
    if (peer)
        peer_follow_identity(peer);
    if (!peer || handshake_consume_response(&peer->handshake, &engine->identity, response) != HANDSHAKE_OK) {
        engine->drops.of[DROP_HS_REFUSED]++;
        return;
    }
    if (!peer_begin_session(peer, system_time_ns())) {
        engine_index_remove(engine, handshake_clear(&peer->handshake));
        return;
    }
    peer_timers_handshake_complete(peer);
    handshake_received_from(peer, message);
    log_info("received a handshake response");
    /* The first packet on the new session confirms it to the responder: data that waits, else a keepalive. */
    transmit_keepalive(peer);
}

static void process_cookie_reply(struct engine *engine, const struct handshake_message *message)
{
    const struct message_cookie_reply *reply = (const struct message_cookie_reply *)message->bytes;
    struct peer *peer = peer_from_index(engine, load_le32(reply->receiver_index));
    if (peer && cookie_maker_consume_reply(&peer->cookie, reply, system_time_ns()))
        log_info("received a cookie");
    else
        engine->drops.of[DROP_HS_REFUSED]++;
}

/* Does what is not for the responder.  Returns the type of a message that passed; else MESSAGE_INVALID. */
static enum message_type process(struct engine *engine, const struct handshake_message *message,
                                 uint32_t waiting)
{
    enum message_type type = message_classify(message->bytes, message->length);
    if (type == MESSAGE_COOKIE_REPLY)
        process_cookie_reply(engine, message);
    else if (!pass_macs(engine, message, waiting)) {
        engine->drops.of[DROP_HS_MACS]++;
        return MESSAGE_INVALID;
    }
    if (type == MESSAGE_RESPONSE)
        process_response(engine, message);
    return type;
}

static void handshake_run(void *context);

static void post(struct engine *engine)
{
    if (engine->handshakes->posted)
        return;
    engine->handshakes->posted = true;
    loop_post(handshake_run, engine);
}

/* True: what waits is few, and the last batch was just now. */
static bool hold_back(struct handshake_queue *queue)
{
    uint64_t now_ns = system_time_ns();
    queue->due_ns = TIME_FOREVER_NS;
    if (queue->count < RESPONDER_BATCH && queue->last_run_ns != TIME_NEVER_NS &&
        now_ns < queue->last_run_ns + HOLD_BACK_NS) {
        queue->due_ns = queue->last_run_ns + HOLD_BACK_NS;
        return true;
    }
    queue->last_run_ns = now_ns;
    return false;
}

void handshake_run_due(struct engine *engine)
{
    if (engine->handshakes->due_ns <= system_time_ns())
        handshake_run(engine);
}

static void handshake_run(void *context)
{
    struct engine *engine = context;
    struct handshake_queue *queue = engine->handshakes;
    const struct handshake_message *initiations[RESPONDER_BATCH];
    unsigned count = 0, responses = 0;
    queue->posted = false;
    if (!queue->count || hold_back(queue))
        return;
    for (unsigned i = 0;
         i < ROUND_MESSAGES && queue->count && count < RESPONDER_BATCH && responses < ROUND_RESPONSES; i++) {
        uint32_t waiting = queue->count--;
        struct handshake_message *message = &queue->messages[queue->first];
        queue->first = (queue->first + 1) % QUEUE_LIMIT;
        enum message_type type = process(engine, message, waiting);
        if (type == MESSAGE_INITIATION)
            initiations[count++] = message; /* nothing is queued meanwhile: it stays where it is */
        responses += type == MESSAGE_RESPONSE;
    }
    if (count)
        responder_answer(engine, queue->responder, initiations, count);
    stack_erase(); /* of what cookies and keys left there */
    engine_reap(engine);
    if (queue->count)
        post(engine);
}

void handshake_receive(struct engine *engine, const uint8_t *bytes, uint32_t length,
                       const struct udp_address *from, const struct udp_address *to, uint32_t ifindex)
{
    struct handshake_queue *queue = engine->handshakes;
    if (queue->count == QUEUE_LIMIT || length > sizeof(queue->messages[0].bytes)) {
        engine->drops.of[DROP_HS_QUEUE]++;
        return;
    }
    struct handshake_message *message = &queue->messages[(queue->first + queue->count++) % QUEUE_LIMIT];
    memcpy(message->bytes, bytes, length);
    message->length = length;
    message->from = *from;
    message->to = *to;
    message->ifindex = ifindex;
    if (queue->due_ns == TIME_FOREVER_NS || queue->count >= RESPONDER_BATCH)
        post(engine);
}
