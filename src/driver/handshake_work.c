/* The adapter's handshake queue and its workers; what is done with a message is in handshake_process.c. */
#include "handshake_work.h"
#include "driver.h"
#include "handshake_process.h"
#include "memory.h"
#include "nt/rtl.h"
#include "responder.h"

#define HANDSHAKE_WORKERS_MAX 4

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
    struct handshake_worker workers[HANDSHAKE_WORKERS_MAX];
};

/* Takes the messages that one worker handles together: its share of what waits, so that none idles.  Returns
 * how many. */
static uint32_t queue_take(struct handshake_queue *queue, struct handshake_message *messages[RESPONDER_BATCH])
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&queue->lock);
    uint32_t count = (queue->count + queue->worker_count - 1) / queue->worker_count;
    if (count > RESPONDER_BATCH)
        count = RESPONDER_BATCH;
    for (uint32_t i = 0; i < count; i++) {
        messages[i] = CONTAINING_RECORD(RemoveHeadList(&queue->messages), struct handshake_message, link);
        messages[i]->waiting = queue->count--;
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
    uint32_t count = queue_take(worker->adapter->handshakes, messages);
    if (!count)
        return;
    handshake_process(worker->adapter, worker->responder, messages, count);
    messages_free(messages, count);
    work_queue(WORK_HANDSHAKE, work);
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
    cookie_checker_wipe(&adapter->cookie_checker);
    queue_free(adapter);
}

void handshake_work_drain(struct adapter *adapter)
{
    struct handshake_queue *queue = adapter->handshakes;
    struct handshake_message *messages[RESPONDER_BATCH];
    uint32_t count;
    while ((count = queue_take(queue, messages)) != 0)
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

    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&queue->lock);
    bool queued = queue->count < HANDSHAKE_QUEUE_LIMIT;
    struct handshake_worker *worker = &queue->workers[queue->turn++ % queue->worker_count];
    if (queued) {
        InsertTailList(&queue->messages, &message->link);
        queue->count++;
    }
    KeReleaseSpinLock(&queue->lock, irql);

    if (queued) {
        work_queue(WORK_HANDSHAKE, &worker->work);
    } else {
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
