/* The adapter's handshake queue and its workers; what is done with a message is in handshake_process.c.
 *
 * Messages that come in quick succession are held back until there is a batch of them, for a millisecond or
 * the least that the system's timers can wait (on Windows up to 16 ms): eight initiations cost little more
 * than one, and a flood that wakes a worker for each of its messages takes the processor from the data path
 * again and again. */
#include "handshake_work.h"
#include "driver.h"
#include "handshake_process.h"
#include "memory.h"
#include "nt/rtl.h"
#include "responder.h"
#include "wheel.h"

#define HANDSHAKE_WORKERS_MAX 4
#define HOLD_BACK_NS          400000ull

struct handshake_worker {
    struct work work;
    struct adapter *adapter;
    struct responder *responder;
};

struct handshake_queue {
    KSPIN_LOCK lock;
    LIST_ENTRY messages;
    uint32_t count;
    uint32_t turn;
    uint32_t worker_count;
    bool wide;              /* a batch costs hardly more than a single message */
    uint64_t last_taken_ns; /* when a worker took messages last, and the time before that */
    uint64_t before_last_ns;
    bool timer_set; /* it has not expired yet, or its DPC has not yet run */
    KTIMER timer;
    KDPC timer_dpc;
    struct handshake_worker workers[HANDSHAKE_WORKERS_MAX];
};

/* Lock held.  Messages come quickly: there were two batches just now. */
static bool is_rushed(const struct handshake_queue *queue, uint64_t now_ns)
{
    return queue->wide && now_ns < queue->before_last_ns + 2 * HOLD_BACK_NS;
}

/* Lock held.  More will come soon, and few wait: not now. */
static bool hold_back(struct handshake_queue *queue, uint64_t now_ns)
{
    if (!is_rushed(queue, now_ns) || queue->count >= RESPONDER_BATCH)
        return false;
    if (!queue->timer_set) {
        LARGE_INTEGER due = {.QuadPart = -(int64_t)(HOLD_BACK_NS / 100)};
        queue->timer_set = true;
        KeSetTimer(&queue->timer, due, &queue->timer_dpc);
    }
    return true;
}

/* Takes the messages that one worker handles together: as many as are cheaper together than apart, or its
 * share of what waits, so that none idles.  Returns how many; 0: none, or few that are `held` back. */
static uint32_t queue_take(struct handshake_queue *queue, struct handshake_message *messages[RESPONDER_BATCH],
                           bool held)
{
    uint64_t now_ns = time_now_ns();
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&queue->lock);
    uint32_t count =
        queue->wide ? queue->count : (queue->count + queue->worker_count - 1) / queue->worker_count;
    if (count > RESPONDER_BATCH)
        count = RESPONDER_BATCH;
    if (count && held && hold_back(queue, now_ns))
        count = 0;
    for (uint32_t i = 0; i < count; i++) {
        messages[i] = CONTAINING_RECORD(RemoveHeadList(&queue->messages), struct handshake_message, link);
        messages[i]->waiting = queue->count--;
    }
    if (count) {
        queue->before_last_ns = queue->last_taken_ns;
        queue->last_taken_ns = now_ns;
    }
    KeReleaseSpinLock(&queue->lock, irql);
    return count;
}

static void messages_free(struct handshake_message *const messages[], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        memory_free(MEMORY_HANDSHAKE, messages[i], sizeof(*messages[i]));
}

/* One batch, then others may have the thread. */
static void worker_run(struct work *work)
{
    struct handshake_worker *worker = CONTAINING_RECORD(work, struct handshake_worker, work);
    struct handshake_message *messages[RESPONDER_BATCH];
    uint32_t count = queue_take(worker->adapter->handshakes, messages, true);
    if (!count)
        return;
    handshake_process(worker->adapter, worker->responder, messages, count);
    messages_free(messages, count);
    work_queue(WORK_HANDSHAKE, work);
}

/* Looks again for what was held back; the time of haste ends soon when nothing more comes. */
static VOID NTAPI timer_expired(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct handshake_queue *queue = context;
    KeAcquireSpinLockAtDpcLevel(&queue->lock);
    bool waiting = queue->count != 0;
    queue->timer_set = false;
    struct handshake_worker *worker = &queue->workers[queue->turn++ % queue->worker_count];
    KeReleaseSpinLockFromDpcLevel(&queue->lock);
    if (waiting)
        work_queue(WORK_HANDSHAKE, &worker->work);
}

static void queue_free(struct adapter *adapter)
{
    for (uint32_t i = 0; i < HANDSHAKE_WORKERS_MAX; i++)
        responder_free(adapter->handshakes->workers[i].responder);
    memory_free(MEMORY_ADAPTER, adapter->handshakes, sizeof(*adapter->handshakes));
    adapter->handshakes = NULL;
}

NTSTATUS handshake_work_initialize(struct adapter *adapter)
{
    struct handshake_queue *queue = memory_allocate(MEMORY_ADAPTER, sizeof(*queue));
    if (!queue)
        return STATUS_INSUFFICIENT_RESOURCES;
    KeInitializeSpinLock(&queue->lock);
    InitializeListHead(&queue->messages);
    KeInitializeTimer(&queue->timer);
    KeInitializeDpc(&queue->timer_dpc, timer_expired, queue);
    queue->wide = x25519_batch_is_wide();
    queue->worker_count = driver.cpus < HANDSHAKE_WORKERS_MAX ? driver.cpus : HANDSHAKE_WORKERS_MAX;
    adapter->handshakes = queue;
    for (uint32_t i = 0; i < queue->worker_count; i++) {
        queue->workers[i].adapter = adapter;
        work_initialize(&queue->workers[i].work, worker_run);
        queue->workers[i].responder = responder_create();
        if (!queue->workers[i].responder) {
            queue_free(adapter);
            return STATUS_INSUFFICIENT_RESOURCES;
        }
    }
    cookie_checker_init(&adapter->cookie_checker);
    under_load_init(&adapter->under_load);
    return STATUS_SUCCESS;
}

void handshake_work_uninitialize(struct adapter *adapter)
{
    if (!adapter->handshakes)
        return;
    handshake_work_drain(adapter);
    KeCancelTimer(&adapter->handshakes->timer);
    KeFlushQueuedDpcs();
    cookie_checker_wipe(&adapter->cookie_checker);
    queue_free(adapter);
}

void handshake_work_drain(struct adapter *adapter)
{
    struct handshake_queue *queue = adapter->handshakes;
    struct handshake_message *messages[RESPONDER_BATCH];
    uint32_t count;
    while ((count = queue_take(queue, messages, false)) != 0)
        messages_free(messages, count);
    for (uint32_t i = 0; i < queue->worker_count; i++)
        work_drain(&queue->workers[i].work);
}

void handshake_receive(struct adapter *adapter, const uint8_t *bytes, uint32_t length,
                       const SOCKADDR_INET *from, const SOCKADDR_INET *to, uint32_t ifindex)
{
    struct handshake_queue *queue = adapter->handshakes;
    /* A full queue is refused before any memory is asked for; the exact test is under the lock. */
    if (length > sizeof(((struct handshake_message *)0)->bytes) ||
        __atomic_load_n(&queue->count, __ATOMIC_RELAXED) >= HANDSHAKE_QUEUE_LIMIT) {
        drop_count(adapter, DROP_HS_QUEUE_FULL, 1);
        return;
    }
    struct handshake_message *message = memory_allocate_uninitialized(MEMORY_HANDSHAKE, sizeof(*message));
    if (!message) {
        drop_count(adapter, DROP_HS_MEMORY, 1);
        return;
    }
    __builtin_memcpy(message->bytes, bytes, length);
    message->length = length;
    message->from = *from;
    message->to = *to;
    message->ifindex = ifindex;

    uint64_t now_ns = time_now_ns();
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&queue->lock);
    bool queued = queue->count < HANDSHAKE_QUEUE_LIMIT;
    struct handshake_worker *worker = NULL;
    if (queued) {
        InsertTailList(&queue->messages, &message->link);
        queue->count++;
        /* While they come quickly, one worker for each batch; it looks for what is left by itself. */
        if (!hold_back(queue, now_ns) && (!is_rushed(queue, now_ns) || queue->count % RESPONDER_BATCH == 0))
            worker = &queue->workers[queue->turn++ % queue->worker_count];
    }
    KeReleaseSpinLock(&queue->lock, irql);

    if (worker)
        work_queue(WORK_HANDSHAKE, &worker->work);
    if (!queued) {
        memory_free(MEMORY_HANDSHAKE, message, sizeof(*message));
        drop_count(adapter, DROP_HS_QUEUE_FULL, 1);
    }
}

static void initiation_run(struct work *work)
{
    struct peer *peer = CONTAINING_RECORD(work, struct peer, initiation_work);
    handshake_send_initiation(peer);
    peer_release(peer);
}

void handshake_work_initialize_peer(struct peer *peer)
{
    work_initialize(&peer->initiation_work, initiation_run);
}

void handshake_request(struct peer *peer, bool retry)
{
    if (!retry && !timers_request_handshake(&peer->times, time_now_ns()))
        return;
    if (!peer_reference(peer))
        return;
    if (!work_queue(WORK_HANDSHAKE, &peer->initiation_work))
        peer_release(peer);
}
