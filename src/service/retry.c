/* See retry.h. */
#include "retry.h"

void retry_begin(struct retry *retry, uint64_t now_ms)
{
    *retry = (struct retry){.deadline_ms = now_ms + RETRY_LATER_MS, .pause_ms = RETRY_FIRST_MS};
    if (retry->deadline_ms < RETRY_BOOT_MS)
        retry->deadline_ms = RETRY_BOOT_MS;
}

void retry_begin_again(struct retry *retry, uint64_t now_ms)
{
    *retry = (struct retry){.deadline_ms = now_ms + RETRY_BOOT_MS, .pause_ms = RETRY_FIRST_MS};
}

uint32_t retry_next(struct retry *retry, uint64_t now_ms)
{
    if (now_ms >= retry->deadline_ms)
        return 0;
    uint64_t left = retry->deadline_ms - now_ms;
    uint32_t pause = retry->pause_ms < left ? retry->pause_ms : (uint32_t)left;
    retry->pause_ms = retry->pause_ms < RETRY_LONGEST_MS / 2 ? retry->pause_ms * 2 : RETRY_LONGEST_MS;
    return pause;
}

bool restarts_allow(struct restarts *restarts, uint64_t now_ms)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < restarts->count; i++)
        if (now_ms - restarts->died_ms[i] < RESTARTS_WITHIN_MS)
            restarts->died_ms[kept++] = restarts->died_ms[i];
    restarts->count = kept;
    if (kept == RESTARTS_MAX)
        return false;
    restarts->died_ms[restarts->count++] = now_ms;
    return true;
}
