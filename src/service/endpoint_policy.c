/* See endpoint_policy.h. */
#include "endpoint_policy.h"

#include <string.h>

void endpoint_policy_begin(struct endpoint_policy *policy, const struct endpoint *current, uint64_t now_ms)
{
    *policy = (struct endpoint_policy){.pause_ms = ENDPOINT_ASK_FIRST_MS,
                                       .ask_at_once = true,
                                       .given_ms = now_ms,
                                       .route_ipv4 = true,
                                       .route_ipv6 = true};
    if (current)
        policy->current = *current;
}

static bool has_route(const struct endpoint_policy *policy, const struct endpoint *address)
{
    return address->family == 4 ? policy->route_ipv4 : policy->route_ipv6;
}

/* ---- an answer ---- */

/* The families in turn, beginning with that of the first address: RFC 8305 section 4. */
static void take_in_turn(struct endpoint_policy *policy, const struct endpoint *addresses, size_t count)
{
    size_t next[2] = {0, 0};
    policy->count = 0;
    for (unsigned turn = 0; policy->count < ENDPOINT_ADDRESSES; turn ^= 1) {
        size_t *at = &next[turn];
        while (*at < count && (addresses[*at].family == addresses[0].family) != (turn == 0))
            ++*at;
        if (*at < count)
            policy->addresses[policy->count++] = addresses[(*at)++];
        else if (next[turn ^ 1] >= count)
            return;
    }
}

static size_t find(const struct endpoint_policy *policy, const struct endpoint *address)
{
    size_t i = 0;
    while (i < policy->count && !endpoint_equal(&policy->addresses[i], address))
        i++;
    return i;
}

/* Data went out for so long without a handshake. */
static bool unanswered(const struct endpoint_policy *policy, uint64_t now_ms)
{
    if (!policy->sent_ms)
        return false;
    /* Before its first handshake an address is on trial; one that worked may be silent longer. */
    bool worked = policy->handshake_ms && policy->handshake_ms >= policy->given_ms;
    uint64_t since = policy->sent_ms > policy->given_ms ? policy->sent_ms : policy->given_ms;
    if (!worked)
        return now_ms >= since + ENDPOINT_TRIAL_MS;
    return now_ms >= policy->handshake_ms + ENDPOINT_STALE_MS &&
           now_ms >= policy->sent_ms + ENDPOINT_TRIAL_MS;
}

void endpoint_policy_answer(struct endpoint_policy *policy, const struct endpoint *addresses, size_t count,
                            uint64_t now_ms)
{
    policy->asking = false;
    policy->ask_at_ms = now_ms + policy->pause_ms;
    policy->pause_ms =
        policy->pause_ms < ENDPOINT_ASK_LONGEST_MS / 2 ? policy->pause_ms * 2 : ENDPOINT_ASK_LONGEST_MS;
    if (!count)
        return; /* what was known before may still be right */
    take_in_turn(policy, addresses, count);
    policy->tried = 0;
    policy->choose = !policy->current.family || !has_route(policy, &policy->current) ||
                     find(policy, &policy->current) == policy->count || unanswered(policy, now_ms);
}

/* ---- events ---- */

void endpoint_policy_network(struct endpoint_policy *policy, bool ipv4, bool ipv6)
{
    policy->route_ipv4 = ipv4;
    policy->route_ipv6 = ipv6;
    policy->pause_ms = ENDPOINT_ASK_FIRST_MS;
    policy->ask_at_once = true;
    policy->tried = 0;
    if (policy->current.family && !has_route(policy, &policy->current))
        policy->choose = true;
}

void endpoint_policy_counters(struct endpoint_policy *policy, uint64_t sent_bytes, uint64_t handshake_ms,
                              const struct endpoint *current, uint64_t now_ms)
{
    bool sent = sent_bytes > policy->sent_bytes;
    policy->sent_bytes = sent_bytes;
    if (handshake_ms > policy->handshake_ms) {
        policy->handshake_ms = handshake_ms;
        policy->sent_ms = 0;
        policy->tried = 0;
        policy->pause_ms = ENDPOINT_ASK_FIRST_MS;
        if (current->family)
            policy->current = *current; /* where it was heard */
    }
    if (sent && !policy->sent_ms)
        policy->sent_ms = now_ms;
}

/* ---- what to do ---- */

/* The next one to try: with a route, and another than the one in use unless there is none.  false: all have
 * been tried. */
static bool next_address(struct endpoint_policy *policy, struct endpoint *address)
{
    while (policy->tried < policy->count) {
        const struct endpoint *next = &policy->addresses[policy->tried++];
        if (!has_route(policy, next) || (policy->current.family && endpoint_equal(next, &policy->current)))
            continue;
        *address = *next;
        return true;
    }
    return false;
}

static bool give(struct endpoint_policy *policy, uint64_t now_ms, struct endpoint *address)
{
    if (!next_address(policy, address))
        return false;
    policy->current = *address;
    policy->given_ms = now_ms;
    policy->sent_ms = 0; /* what it sends counts from here */
    return true;
}

enum endpoint_action endpoint_policy_poll(struct endpoint_policy *policy, uint64_t now_ms,
                                          struct endpoint *address)
{
    bool failed = unanswered(policy, now_ms);
    if (policy->choose || failed) {
        policy->choose = false;
        if (give(policy, now_ms, address))
            return ENDPOINT_USE;
    }
    bool wanted = policy->ask_at_once || ((failed || !policy->current.family) && now_ms >= policy->ask_at_ms);
    if (policy->asking || !wanted)
        return ENDPOINT_WAIT;
    policy->asking = true;
    policy->ask_at_once = false;
    return ENDPOINT_ASK;
}

uint64_t endpoint_policy_due(const struct endpoint_policy *policy)
{
    uint64_t due = UINT64_MAX;
    if (policy->choose || (policy->ask_at_once && !policy->asking))
        return 0;
    if (!policy->current.family && !policy->asking)
        due = policy->ask_at_ms;
    if (policy->sent_ms) {
        bool worked = policy->handshake_ms && policy->handshake_ms >= policy->given_ms;
        uint64_t since = policy->sent_ms > policy->given_ms ? policy->sent_ms : policy->given_ms;
        uint64_t fails = since + ENDPOINT_TRIAL_MS;
        if (worked && policy->handshake_ms + ENDPOINT_STALE_MS > fails)
            fails = policy->handshake_ms + ENDPOINT_STALE_MS;
        if (policy->tried >= policy->count) {
            if (policy->asking)
                return due;
            fails = fails > policy->ask_at_ms ? fails : policy->ask_at_ms;
        }
        due = fails < due ? fails : due;
    }
    return due;
}
