/* The lock-free parts under ThreadSanitizer: readers beside one writer of allowed IPs and of the index table,
 * nonces from several senders, rotation beside readers, and timers whose deadlines must never get lost. */
#include "protocol/allowed_ips.h"
#include "protocol/index_table.h"
#include "protocol/session_set.h"
#include "protocol/timer_policy.h"
#include "support.h"
#include <pthread.h>
#include <sched.h>

enum { READERS = 3 };

static uint32_t stopping;      /* atomic */
static uint64_t reader_errors; /* atomic */
static uint64_t reader_rounds; /* atomic */

static void reader_error(bool wrong)
{
    if (wrong)
        __atomic_fetch_add(&reader_errors, 1, __ATOMIC_RELAXED);
}

static bool stopped(void)
{
    return __atomic_load_n(&stopping, __ATOMIC_ACQUIRE);
}

/* ---- a small epoch: readers announce the epoch they entered in; the writer waits for all older ones ---- */
static uint64_t epoch = 1;
static uint64_t entered[READERS];

static void epoch_enter(int reader)
{
    __atomic_store_n(&entered[reader], __atomic_load_n(&epoch, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
}

static void epoch_leave(int reader)
{
    __atomic_store_n(&entered[reader], 0, __ATOMIC_SEQ_CST);
}

static void epoch_wait(void)
{
    uint64_t now = __atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < READERS; i++) {
        for (;;) {
            uint64_t e = __atomic_load_n(&entered[i], __ATOMIC_SEQ_CST);
            if (e == 0 || e >= now)
                break;
            sched_yield();
        }
    }
}

struct waiting {
    struct waiting *next;
    void *block;
};
static struct waiting *waiting;
static uint32_t waiting_count;

static void free_waiting(void)
{
    epoch_wait();
    while (waiting) {
        struct waiting *first = waiting;
        waiting = first->next;
        free(first->block);
        free(first);
    }
    waiting_count = 0;
}

static void *plain_allocate(void *context, size_t size)
{
    return malloc(size);
}

static void deferred_free(void *context, void *block, size_t size)
{
    struct waiting *w = malloc(sizeof(*w));
    *w = (struct waiting){waiting, block};
    waiting = w;
    waiting_count++;
}

static void *(*reader_body)(void *);
static uint32_t readers_started; /* atomic */

static void *reader_main(void *argument)
{
    __atomic_fetch_add(&readers_started, 1, __ATOMIC_RELAXED);
    return reader_body(argument);
}

/* The writer works only while all readers run, and they run on until they have really read. */
static void run_readers(void *(*reader)(void *), void (*writer)(void))
{
    pthread_t threads[READERS];
    __atomic_store_n(&stopping, 0, __ATOMIC_RELEASE);
    reader_errors = reader_rounds = readers_started = 0;
    reader_body = reader;
    for (intptr_t i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, reader_main, (void *)i);
    while (__atomic_load_n(&readers_started, __ATOMIC_RELAXED) < READERS)
        sched_yield();
    writer();
    while (__atomic_load_n(&reader_rounds, __ATOMIC_RELAXED) < 100)
        sched_yield();
    __atomic_store_n(&stopping, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_MSG(reader_errors == 0, "%llu", (unsigned long long)reader_errors);
}

/* ---- allowed IPs ----
 * peer 0 keeps 11.0.0.0/8, 11.22.0.0/16 and four /24 of 12; the writer churns shorter prefixes and the
 * neighbourhood. */
static struct allowed_ips table;
static struct allowed_ips_peer peers[4];

static void *allowed_ips_reader(void *argument)
{
    int me = (int)(intptr_t)argument;
    struct random rng = {(uint64_t)me + 1};
    while (!stopped()) {
        uint8_t address[4] = {11, (uint8_t)random_below(&rng, 40), (uint8_t)random_u64(&rng), 1};
        epoch_enter(me);
        reader_error(allowed_ips_lookup_v4(&table, address) != &peers[0]);
        random_bytes(&rng, address, 4);
        if (address[0] == 11)
            address[0] = 13;
        struct allowed_ips_peer *found = allowed_ips_lookup_v4(&table, address);
        reader_error(found && (found < &peers[0] || found > &peers[3]));
        /* iteration beside the writer: the six that stay, once each */
        struct allowed_ips_entry *cursor = NULL;
        struct allowed_ips_prefix prefix;
        uint32_t stable = 0, eights = 0;
        while (allowed_ips_iterate(&peers[0], &cursor, &prefix)) {
            stable += prefix.address[0] == 11 || prefix.prefix_length == 24;
            eights += prefix.address[0] == 11 && prefix.prefix_length == 8;
        }
        reader_error(stable != 6 || eights != 1);
        epoch_leave(me);
        __atomic_fetch_add(&reader_rounds, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void allowed_ips_writer(void)
{
    struct random rng = {77};
    for (int n = 0; n < 60000; n++) {
        uint8_t address[4];
        random_bytes(&rng, address, 4);
        address[0] = (uint8_t)(8 + random_below(&rng, 8));
        uint8_t length = (uint8_t)random_below(&rng, 33);
        if (length == 24 || (address[0] == 11 && length >= 8))
            length = (uint8_t)random_below(&rng, 8);
        struct allowed_ips_peer *peer = &peers[random_below(&rng, 4)];
        if (random_below(&rng, 2))
            allowed_ips_insert(&table, ALLOWED_IPS_V4, address, length, peer);
        else
            allowed_ips_remove(&table, ALLOWED_IPS_V4, address, length, peer);
        if (random_below(&rng, 300) == 0)
            allowed_ips_remove_by_peer(&table, &peers[1 + random_below(&rng, 3)]);
        if (waiting_count > 200)
            free_waiting();
    }
}

static void test_allowed_ips(void)
{
    struct allowed_ips_memory memory = {plain_allocate, deferred_free, NULL};
    static const uint8_t stable[6][5] = {{11, 0, 0, 0, 8},  {11, 22, 0, 0, 16},  {12, 1, 1, 0, 24},
                                         {12, 1, 2, 0, 24}, {12, 200, 0, 0, 24}, {12, 200, 1, 0, 24}};
    allowed_ips_init(&table, &memory);
    for (int i = 0; i < 4; i++)
        allowed_ips_peer_init(&peers[i]);
    for (int i = 0; i < 6; i++)
        CHECK(allowed_ips_insert(&table, ALLOWED_IPS_V4, stable[i], stable[i][4], &peers[0]) ==
              ALLOWED_IPS_OK);
    run_readers(allowed_ips_reader, allowed_ips_writer);
    for (int i = 0; i < 4; i++)
        allowed_ips_remove_by_peer(&table, &peers[i]);
    free_waiting();
    CHECK(!table.roots[0]);
}

/* ---- index table ----
 * The writer logs each index with its object for ever; a reader must find that object or nothing. */
enum { LOG_MAX = 100000 };
static struct {
    uint32_t index;
    uint64_t *object;
} index_log[LOG_MAX];
static uint32_t index_log_count; /* atomic */
static uint64_t index_objects[LOG_MAX];
static struct index_table indexes;

static void *index_reader(void *argument)
{
    int me = (int)(intptr_t)argument;
    struct random rng = {(uint64_t)me + 1};
    while (!stopped()) {
        uint32_t count = __atomic_load_n(&index_log_count, __ATOMIC_ACQUIRE);
        if (!count)
            continue;
        uint32_t age = random_below(&rng, random_below(&rng, 4) ? 20 : 5000);
        uint32_t i = age < count ? count - 1 - age : 0;
        enum index_kind kind;
        epoch_enter(me);
        void *found = index_table_lookup(&indexes, index_log[i].index, &kind);
        reader_error(found && found != index_log[i].object);
        /* the kind says which of the two lives of an object this is; both are right, others are not */
        reader_error(found && kind != INDEX_KIND_HANDSHAKE && kind != INDEX_KIND_SESSION);
        epoch_leave(me);
        __atomic_fetch_add(&reader_rounds, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void index_writer(void)
{
    struct random rng = {5};
    uint32_t capacity = 16, oldest = 0;
    for (uint32_t n = 0; n < LOG_MAX; n++) {
        uint32_t index = index_table_insert(&indexes, &index_objects[n], INDEX_KIND_HANDSHAKE);
        if (index == INDEX_NONE && capacity < 1000) {
            void *more = malloc(index_table_memory_bytes(capacity));
            index_table_prepare(more, capacity);
            CHECK(index_table_grow(&indexes, more, capacity));
            capacity *= 2;
        }
        while (index == INDEX_NONE) {
            index_table_remove(&indexes, index_log[oldest++].index);
            index = index_table_insert(&indexes, &index_objects[n], INDEX_KIND_HANDSHAKE);
        }
        index_log[n].index = index;
        index_log[n].object = &index_objects[n];
        __atomic_store_n(&index_log_count, n + 1, __ATOMIC_RELEASE);
        if (random_below(&rng, 2))
            index_table_replace(&indexes, index, &index_objects[n], INDEX_KIND_SESSION);
        while (oldest <= n && random_below(&rng, 2))
            index_table_remove(&indexes, index_log[oldest++].index);
    }
}

static void test_index_table(void)
{
    static const uint8_t key[INDEX_KEY_BYTES] = {4};
    CHECK(index_table_init(&indexes, malloc(index_table_memory_bytes(16)), 16, key));
    run_readers(index_reader, index_writer);
    void *memory;
    size_t bytes;
    for (uint32_t n = 0; (memory = index_table_memory(&indexes, n, &bytes)); n++)
        free(memory);
}

/* ---- nonces ---- */
enum { SENDERS = 4, RESERVATIONS = 40000 };
static struct session session;
static uint64_t starts[SENDERS][RESERVATIONS];
static uint32_t sizes[SENDERS][RESERVATIONS];
static uint32_t reserved[SENDERS];

static void *sender(void *argument)
{
    int me = (int)(intptr_t)argument;
    struct random rng = {(uint64_t)me};
    reserved[me] = 0;
    for (int n = 0; n < RESERVATIONS; n++) {
        uint32_t size = 1 + random_below(&rng, 64);
        if (session_reserve_nonces(&session, size, &starts[me][reserved[me]]))
            sizes[me][reserved[me]++] = size;
    }
    return NULL;
}

struct range {
    uint64_t first;
    uint32_t size;
};
static struct range ranges[SENDERS * RESERVATIONS];

static int by_first(const void *left, const void *right)
{
    const struct range *l = left, *r = right;
    return l->first < r->first ? -1 : l->first > r->first;
}

static void test_nonces(uint64_t from, bool to_the_limit)
{
    uint8_t key[32] = {0};
    pthread_t threads[SENDERS];
    session_init(&session, key, key, 1, 2, true, TEST_NOW_NS);
    session.send_counter = from;
    for (intptr_t i = 0; i < SENDERS; i++)
        pthread_create(&threads[i], NULL, sender, (void *)i);
    uint32_t count = 0;
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SENDERS; i++) {
        for (uint32_t n = 0; n < reserved[i]; n++)
            ranges[count++] = (struct range){starts[i][n], sizes[i][n]};
    }
    qsort(ranges, count, sizeof(ranges[0]), by_first);
    uint64_t next = from;
    uint32_t holes = 0;
    for (uint32_t n = 0; n < count; n++) {
        holes += ranges[n].first != next;
        next = ranges[n].first + ranges[n].size;
    }
    CHECK(holes == 0 && next == session.send_counter && next <= REJECT_AFTER_MESSAGES);
    CHECK((count < SENDERS * RESERVATIONS) == to_the_limit);
    CHECK(!to_the_limit || next == REJECT_AFTER_MESSAGES);
}

/* ---- rotation ---- */
static struct session_set set;
static struct session pool[3000];

static void *set_reader(void *argument)
{
    while (!stopped()) {
        struct session *current = session_set_current(&set);
        reader_error(!current || current->remote_index != (uint32_t)(current - pool));
        struct session *next = session_set_next(&set);
        reader_error(next && next->remote_index != (uint32_t)(next - pool));
        reader_error(current && !session_may_send(current, TEST_NOW_NS));
        __atomic_fetch_add(&reader_rounds, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void set_writer(void)
{
    struct random rng = {3};
    struct session_evictions evictions;
    uint8_t key[32] = {0};
    for (uint32_t n = 1; n < 3000; n++) {
        session_init(&pool[n], key, key, 1, n, random_below(&rng, 2), TEST_NOW_NS);
        session_set_add(&set, &pool[n], &evictions);
        if (random_below(&rng, 2))
            session_set_confirm(&set, &pool[n], &evictions);
        for (volatile int pause = 0; pause < 2000; pause++)
            ;
    }
}

static void test_session_set(void)
{
    struct session_evictions evictions;
    uint8_t key[32] = {0};
    session_init(&pool[0], key, key, 1, 0, true, TEST_NOW_NS);
    session_set_init(&set);
    session_set_add(&set, &pool[0], &evictions);
    run_readers(set_reader, set_writer);
}

/* ---- timers ----
 * Two data-path threads and one evaluator; in the end, what is stored must be scheduled. */
static struct peer_times times;
static uint64_t clock_ns = TEST_NOW_NS; /* atomic */

static void *timer_events(void *argument)
{
    struct random rng = {(uint64_t)(intptr_t)argument + 9};
    while (!stopped()) {
        uint64_t now_ns = __atomic_load_n(&clock_ns, __ATOMIC_RELAXED);
        switch (random_below(&rng, 6)) {
        case 0:
            timers_data_sent(&times, now_ns);
            break;
        case 1:
            timers_data_received(&times, now_ns);
            break;
        case 2:
            timers_any_authenticated_sent(&times, now_ns);
            break;
        case 3:
            timers_any_authenticated_received(&times, now_ns);
            break;
        case 4:
            timers_request_handshake(&times, now_ns);
            break;
        default:
            break;
        }
        __atomic_fetch_add(&reader_rounds, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void timer_evaluator(void)
{
    struct random rng = {4};
    for (int n = 0; n < 2000; n++) {
        struct timer_decision decision;
        uint64_t now_ns =
            __atomic_add_fetch(&clock_ns, random_below(&rng, 4) * NS_PER_SECOND, __ATOMIC_RELAXED);
        timers_evaluate(&times, now_ns, (uint32_t)random_u64(&rng), &decision);
        if (decision.actions & TIMER_SEND_INITIATION)
            timers_begin_initiation(&times, now_ns, 0);
        if (random_below(&rng, 10) == 0)
            timers_handshake_complete(&times, 0);
    }
}

static void test_timers(void)
{
    bool now;
    for (int round = 0; round < 60; round++) {
        timers_init(&times, 0);
        timers_start(&times, clock_ns, &now);
        run_readers(timer_events, timer_evaluator);
        uint64_t scheduled_ns = timers_scheduled_ns(&times);
        if (times.unanswered_since_ns)
            CHECK(scheduled_ns <= times.unanswered_since_ns + NEW_HANDSHAKE_AFTER_NS + REKEY_JITTER_MAX_NS);
        if (times.unacknowledged_since_ns)
            CHECK(scheduled_ns <= times.unacknowledged_since_ns + KEEPALIVE_TIMEOUT_NS);
        if (times.initiation_requested)
            CHECK(scheduled_ns <= clock_ns + REKEY_TIMEOUT_NS + REKEY_JITTER_MAX_NS);
    }
}

int main(void)
{
    test_allowed_ips();
    test_index_table();
    test_nonces(0, false);
    test_nonces(REJECT_AFTER_MESSAGES - 1000000, true);
    test_nonces(REJECT_AFTER_MESSAGES - (UINT64_C(1) << 40) - 1000000, false);
    test_session_set();
    test_timers();
    return check_summary();
}
