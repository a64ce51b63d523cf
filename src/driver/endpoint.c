/* A peer's endpoint behind a sequence counter: readers copy and look whether a writer was there meanwhile,
 * writers hold the cell's lock. */
#include "endpoint.h"

void endpoint_initialize(struct endpoint_cell *cell)
{
    __builtin_memset(cell, 0, sizeof(*cell));
    KeInitializeSpinLock(&cell->lock);
}

/* The copy races with a writer on purpose: word by word with relaxed atomics, so that a torn copy is seen by
 * the counter and never by the compiler. */
_Static_assert(sizeof(struct endpoint) % sizeof(uint32_t) == 0, "copied in words");
static void copy_words(volatile uint32_t *to, const volatile uint32_t *from)
{
    for (size_t i = 0; i < sizeof(struct endpoint) / sizeof(uint32_t); i++)
        __atomic_store_n(&to[i], __atomic_load_n(&from[i], __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

void endpoint_read(const struct endpoint_cell *cell, struct endpoint *copy)
{
    for (;;) {
        uint32_t before = __atomic_load_n(&cell->sequence, __ATOMIC_ACQUIRE);
        if (before & 1)
            continue;
        copy_words((volatile uint32_t *)copy, (const volatile uint32_t *)&cell->value);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&cell->sequence, __ATOMIC_RELAXED) == before)
            return;
    }
}

/* Lock held. */
static void publish(struct endpoint_cell *cell, const struct endpoint *value)
{
    uint32_t sequence = __atomic_load_n(&cell->sequence, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    copy_words((volatile uint32_t *)&cell->value, (const volatile uint32_t *)value);
    __atomic_store_n(&cell->sequence, sequence + 2, __ATOMIC_RELEASE);
}

/* Port, address and, for IPv6, scope; nothing of an address family that we do not know is equal. */
static bool same_address(const SOCKADDR_INET *a, const SOCKADDR_INET *b, bool with_port)
{
    if (a->si_family != b->si_family)
        return false;
    if (a->si_family == AF_INET)
        return a->Ipv4.sin_addr.S_un.S_addr == b->Ipv4.sin_addr.S_un.S_addr &&
               (!with_port || a->Ipv4.sin_port == b->Ipv4.sin_port);
    return a->si_family == AF_INET6 &&
           __builtin_memcmp(&a->Ipv6.sin6_addr, &b->Ipv6.sin6_addr, sizeof(IN6_ADDR)) == 0 &&
           a->Ipv6.sin6_scope_id == b->Ipv6.sin6_scope_id &&
           (!with_port || a->Ipv6.sin6_port == b->Ipv6.sin6_port);
}

void endpoint_set(struct endpoint_cell *cell, const SOCKADDR_INET *remote)
{
    struct endpoint value = {.remote = *remote};
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&cell->lock);
    cell->update++;
    publish(cell, &value);
    KeReleaseSpinLock(&cell->lock, irql);
}

static bool learned_already(const struct endpoint *value, const SOCKADDR_INET *remote,
                            const SOCKADDR_INET *local, uint32_t ifindex)
{
    return same_address(&value->remote, remote, true) && value->local_ifindex == ifindex &&
           (ifindex == 0 || same_address(&value->local, local, false));
}

bool endpoint_learn(struct endpoint_cell *cell, const SOCKADDR_INET *remote, const SOCKADDR_INET *local,
                    uint32_t ifindex)
{
    struct endpoint value;
    endpoint_read(cell, &value);
    if (learned_already(&value, remote, local, ifindex))
        return false;
    bool moved = !same_address(&value.remote, remote, true);
    if (ifindex == 0 && !moved)
        return false; /* nothing new: a datagram without local address does not erase the one we have */
    value = (struct endpoint){.remote = *remote};
    if (ifindex != 0) {
        value.local = *local;
        value.local_ifindex = ifindex;
        value.learned = true;
    }
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&cell->lock);
    cell->update++;
    publish(cell, &value);
    KeReleaseSpinLock(&cell->lock, irql);
    return moved;
}

void endpoint_forget_source(struct endpoint_cell *cell)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&cell->lock);
    struct endpoint value = {.remote = cell->value.remote};
    publish(cell, &value);
    KeReleaseSpinLock(&cell->lock, irql);
}

bool endpoint_resolved(struct endpoint_cell *cell, uint32_t update, const SOCKADDR_INET *local,
                       uint32_t ifindex, uint32_t generation, bool unreachable)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&cell->lock);
    bool current = cell->update == update;
    if (current) {
        struct endpoint value = {
            .remote = cell->value.remote, .route_generation = generation, .unreachable = unreachable};
        if (!unreachable) {
            value.local = *local;
            value.local_ifindex = ifindex;
            value.learned = cell->value.learned && same_address(local, &cell->value.local, false);
        }
        publish(cell, &value);
    }
    KeReleaseSpinLock(&cell->lock, irql);
    return current;
}
