/* Time and randomness of the real-time scheduler. */
#include "internal.h"

#include "host.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define NS_PER_SECOND           1000000000u
#define UNITS_1601_TO_1970      116444736000000000u /* 100 ns; seconds between the epochs: 11644473600 */
#define UNITS_PER_SECOND        10000000u
#define GETRANDOM_UNINTERRUPTED 256u /* bytes that getrandom(2) always gives at once */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t sched_time_ns(void)
{
    if (sim_active)
        return sim_time_ns();
    return clock_ns(CLOCK_BOOTTIME);
}

uint64_t sched_time_unbiased_ns(void)
{
    if (sim_active)
        return sim_time_unbiased_ns();
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t sched_time_system_100ns(void)
{
    if (sim_active)
        return sim_time_system_100ns();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return UNITS_1601_TO_1970 + (uint64_t)now.tv_sec * UNITS_PER_SECOND + (uint64_t)now.tv_nsec / 100;
}

void sched_random(void *buffer, size_t length)
{
    uint8_t *at = buffer;
    for (; sim_active && length != 0; length--)
        *at++ = (uint8_t)sim_random_next(SIM_STREAM_DRIVER);
    while (length != 0) {
        size_t part = length < GETRANDOM_UNINTERRUPTED ? length : GETRANDOM_UNINTERRUPTED;
        ssize_t got = getrandom(at, part, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            host_fatal("getrandom: %s", strerror(errno));
        }
        at += got;
        length -= (size_t)got;
    }
}
