/* Randomness of the driver: keys, indexes and nonces come from the system's generator and from nowhere else.
 * That one works at PASSIVE_LEVEL only; timers, which expire in a DPC, take their jitter from a keyed hash
 * over a counter. */
#include "driver.h"
#include "nt/bcrypt.h"
#include "nt/ke.h"
#include "protocol/siphash.h"

#define BUGCHECK_NO_RANDOMNESS 0x57597244u /* "WYrD" */

void random_bytes(void *buffer, uint32_t bytes)
{
    NTSTATUS status = BCryptGenRandom(NULL, buffer, bytes, BCRYPT_USE_SYSTEM_PREFERRED_RNG);
    if (!NT_SUCCESS(status))
        KeBugCheckEx(BUGCHECK_NO_RANDOMNESS, (ULONG_PTR)status, 0, 0, 0);
}

static struct {
    uint8_t key[SIPHASH_KEY_BYTES];
    volatile uint64_t count;
} jitter;

void random_initialize(void)
{
    random_bytes(jitter.key, sizeof(jitter.key));
}

uint32_t random_jitter(void)
{
    uint64_t count = __atomic_add_fetch(&jitter.count, 1, __ATOMIC_RELAXED);
    return (uint32_t)siphash24(jitter.key, (const uint8_t *)&count, sizeof(count));
}
