/* Lower edge: the pool of receive buffers.  Memory is mapped once per buffer and touched only where datagrams
 * were written, so the large reservation costs address space, not memory. */
#include "udp_buffer.h"

#include "edge.h"
#include "sched/sched.h"

#include <stdbool.h>
#include <sys/mman.h>

#define POOL_LIMIT 128u
/* Messages start a few cache lines apart modulo 4096, or the first lines of all would share a cache set. */
#define MESSAGE_STRIDE (UDP_BUFFER_MESSAGE_BYTES + 5u * 64)
#define HEADER_BYTES   64u

struct udp_buffer {
    struct udp_buffer *next;
    uint8_t *messages;
    uint8_t *space;
};

static volatile bool pool_lock;
static struct udp_buffer *pool;
static unsigned pool_made;
static bool pool_starved; /* somebody got no buffer */
static void (*pool_available)(void *unused);

/* Taken at DISPATCH_LEVEL as well: a spin lock, held for a few instructions. */
static void lock_pool(void)
{
    unsigned iteration = 0;

    while (__atomic_test_and_set(&pool_lock, __ATOMIC_ACQUIRE))
        sched_spin(&iteration);
}

static void unlock_pool(void)
{
    __atomic_clear(&pool_lock, __ATOMIC_RELEASE);
}

static struct udp_buffer *make(void)
{
    size_t messages = (size_t)UDP_BUFFER_MESSAGES * MESSAGE_STRIDE;
    size_t bytes = HEADER_BYTES + messages + UDP_BUFFER_SPACE_BYTES;
    uint8_t *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct udp_buffer *buffer = (struct udp_buffer *)memory;

    if (memory == MAP_FAILED)
        return NULL;
    buffer->messages = memory + HEADER_BYTES + UDP_BUFFER_SPACE_BYTES;
    buffer->space = memory + HEADER_BYTES;
    return buffer;
}

struct udp_buffer *udp_buffer_take(void)
{
    struct udp_buffer *buffer;
    bool may_make;

    lock_pool();
    buffer = pool;
    if (buffer)
        pool = buffer->next;
    may_make = !buffer && pool_made < POOL_LIMIT;
    if (may_make)
        pool_made++;
    else if (!buffer)
        pool_starved = true;
    unlock_pool();
    if (may_make) {
        buffer = make();
        if (!buffer) {
            lock_pool();
            pool_made--;
            pool_starved = true;
            unlock_pool();
        }
    }
    return buffer;
}

void udp_buffer_release(void *token)
{
    struct udp_buffer *buffer = token;
    bool starved;

    lock_pool();
    buffer->next = pool;
    pool = buffer;
    starved = pool_starved;
    pool_starved = false;
    unlock_pool();
    if (__builtin_expect(starved, 0) && pool_available)
        loop_post(pool_available, NULL);
}

void udp_buffer_set_notify(void (*available)(void *unused))
{
    pool_available = available;
}

void *udp_buffer_space(void *token)
{
    return ((struct udp_buffer *)token)->space;
}

uint8_t *udp_buffer_message(struct udp_buffer *buffer, unsigned index)
{
    return buffer->messages + (size_t)index * MESSAGE_STRIDE;
}
