/* The driver-wide rate limiter; its table (about 2 MB) is made when the first adapter comes under load. */
#include "rate_limit.h"
#include "driver.h"
#include "memory.h"
#include "protocol/rate_limiter.h"

/* Buckets looked through for idle sources with each question: a round takes 512 questions. */
#define COLLECT_BUCKETS 64

static struct {
    KSPIN_LOCK lock;
    struct rate_limiter limiter;
    void *memory;
} limit;

void rate_limit_initialize(void)
{
    KeInitializeSpinLock(&limit.lock);
    limit.memory = NULL;
}

void rate_limit_uninitialize(void)
{
    memory_free(MEMORY_DRIVER, limit.memory, rate_limiter_memory_bytes(RATE_LIMITER_ENTRIES_MAX));
    limit.memory = NULL;
}

static bool table_ensure(void)
{
    if (__atomic_load_n(&limit.memory, __ATOMIC_ACQUIRE))
        return true;
    size_t bytes = rate_limiter_memory_bytes(RATE_LIMITER_ENTRIES_MAX);
    void *memory = memory_allocate(MEMORY_DRIVER, bytes);
    if (!memory)
        return false;
    uint8_t key[SIPHASH_KEY_BYTES];
    random_bytes(key, sizeof(key));

    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&limit.lock);
    if (!limit.memory) {
        rate_limiter_init(&limit.limiter, memory, RATE_LIMITER_ENTRIES_MAX, key);
        __atomic_store_n(&limit.memory, memory, __ATOMIC_RELEASE);
        memory = NULL;
    }
    KeReleaseSpinLock(&limit.lock, irql);
    memory_free(MEMORY_DRIVER, memory, bytes); /* somebody else was first */
    return true;
}

bool rate_limit_allow(const SOCKADDR_INET *from, uint64_t now_ns)
{
    if (!table_ensure())
        return false;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&limit.lock);
    rate_limiter_collect_some(&limit.limiter, COLLECT_BUCKETS, now_ns);
    bool allowed =
        from->si_family == AF_INET
            ? rate_limiter_allow_v4(&limit.limiter, (const uint8_t *)&from->Ipv4.sin_addr, now_ns)
            : rate_limiter_allow_v6(&limit.limiter, (const uint8_t *)&from->Ipv6.sin6_addr, now_ns);
    KeReleaseSpinLock(&limit.lock, irql);
    return allowed;
}
