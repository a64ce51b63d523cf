/* See wire.h. */
#include "wire.h"
#include "protocol/messages.h"
#include <stdlib.h>
#include <string.h>

/* Senders may finish out of order, but not by more than the replay window of the receiver. */
#define COUNTER_WINDOW 8192

/* A session as its sender shows it: by socket and receiver index. */
struct sent_session {
    struct sim_adapter *adapter;
    uint32_t receiver_index;
    uint64_t birth_ns; /* not before; of a responder: exactly */
    uint64_t next;     /* one above the highest counter */
    uint8_t seen[COUNTER_WINDOW / 8];
    uint32_t sums[COUNTER_WINDOW]; /* of the messages seen */
    struct sent_session *chain;
};

#define BUCKETS 1024
static struct sent_session *buckets[BUCKETS];
static uint64_t counts[5];
static void (*listen_call)(void *context, const struct sim_datagram *datagram);
static void *listen_context;

static struct sent_session *session_of(struct sim_adapter *adapter, uint32_t index)
{
    struct sent_session **bucket = &buckets[(index * 2654435761u) % BUCKETS];
    for (struct sent_session *session = *bucket; session; session = session->chain)
        if (session->adapter == adapter && session->receiver_index == index)
            return session;
    struct sent_session *session = calloc(1, sizeof(*session));
    session->adapter = adapter;
    session->receiver_index = index;
    session->birth_ns = now_ns();
    session->chain = *bucket;
    *bucket = session;
    return session;
}

bool wire_refused_lately(void)
{
    uint64_t refused_ns = sim->segments_refused_ns();
    return refused_ns != 0 && now_ns() - refused_ns < 2 * NS_PER_SECOND + stalls_ns();
}

/* Which message it is (FNV-1a). */
static uint32_t sum_of(const struct sim_datagram *datagram)
{
    uint32_t sum = 2166136261u;
    for (uint32_t i = 0; i < datagram->length; i++)
        sum = (sum ^ datagram->data[i]) * 16777619u;
    return sum;
}

/* A counter stands for one message.  The very same one may come again where the network has refused a part of
 * what was sent together with it. */
static void check_counter(struct sent_session *session, uint64_t counter, uint32_t sum)
{
    uint32_t bit = (uint32_t)(counter % COUNTER_WINDOW);
    if (counter >= session->next) {
        uint64_t skipped = counter - session->next;
        if (skipped >= COUNTER_WINDOW)
            memset(session->seen, 0, sizeof(session->seen));
        else
            for (uint64_t c = session->next; c < counter; c++)
                session->seen[c % COUNTER_WINDOW / 8] &= (uint8_t)~(1u << (c % 8));
        session->next = counter + 1;
    } else if (session->next - counter > COUNTER_WINDOW) {
        violation("counter-too-old", "counter %llu follows %llu", (unsigned long long)counter,
                  (unsigned long long)session->next - 1);
        return;
    } else if (session->seen[bit / 8] & 1u << (bit % 8)) {
        bool same = session->sums[bit] == sum;
        if (!same || !wire_refused_lately())
            violation("nonce-reuse", "counter %llu was sent twice to receiver index %08x, %s",
                      (unsigned long long)counter, session->receiver_index,
                      same ? "the same message" : "another message");
        return;
    }
    session->seen[bit / 8] |= (uint8_t)(1u << (bit % 8));
    session->sums[bit] = sum;
}

static void check_data(const struct sim_datagram *datagram)
{
    const struct message_data_header *header = (const struct message_data_header *)datagram->data;
    struct sent_session *session = session_of(datagram->adapter, load_le32(header->receiver_index));
    check_counter(session, load_le64(header->counter), sum_of(datagram));
    uint64_t age_ns = now_ns() - session->birth_ns;
    if (age_ns > REJECT_AFTER_TIME_NS + 10 * NS_PER_MS + stalls_ns())
        violation("session-too-old", "data on a session that is %llu ms old",
                  (unsigned long long)(age_ns / NS_PER_MS));
}

void wire_datagram(const struct sim_datagram *datagram)
{
    enum message_type type = message_classify(datagram->data, datagram->length);
    if (type == MESSAGE_INVALID) {
        violation("illegal-message", "%u bytes that are no message (type %u)", datagram->length,
                  datagram->length ? datagram->data[0] : 0);
        return;
    }
    if (type != MESSAGE_DATA)
        sim->log("driver sends type %d, %u bytes, port %u -> %u", type, datagram->length,
                 address_port(&datagram->from), address_port(&datagram->to));
    counts[0]++;
    counts[type]++;
    if (type == MESSAGE_RESPONSE) {
        const struct message_response *response = (const struct message_response *)datagram->data;
        session_of(datagram->adapter, load_le32(response->receiver_index));
    } else if (type == MESSAGE_DATA) {
        check_data(datagram);
    }
}

void wire_overhear(const struct sim_datagram *datagram)
{
    if (listen_call)
        listen_call(listen_context, datagram);
}

static void on_datagram(void *context, const struct sim_datagram *datagram)
{
    wire_datagram(datagram);
    wire_overhear(datagram);
}

void wire_watch(void)
{
    sim->tap(on_datagram, NULL);
}

void wire_listen(void (*listener)(void *context, const struct sim_datagram *datagram), void *context)
{
    listen_call = listener;
    listen_context = context;
}

void wire_forget(void)
{
    for (int i = 0; i < BUCKETS; i++) {
        for (struct sent_session *session = buckets[i], *chain; session; session = chain) {
            chain = session->chain;
            free(session);
        }
        buckets[i] = NULL;
    }
    memset(counts, 0, sizeof(counts));
}

uint64_t wire_count(uint8_t type)
{
    return counts[type];
}
