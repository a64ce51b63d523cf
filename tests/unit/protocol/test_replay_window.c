/* The replay window: the edges spelled out, then against a naive model that remembers every counter. */
#include "protocol/replay_window.h"
#include "support.h"

#define U ((uint64_t)REPLAY_WINDOW_USABLE)

static void test_edges(void)
{
    static const struct {
        uint64_t counter;
        bool accepted;
    } steps[] = {
        {0, true},
        {0, false},
        {1, true},
        {1, false},
        {9, true},
        {8, true},
        {7, true},
        {7, false},
        {U + 1, true},
        {U, true},
        {U, false},
        {U - 1, true},
        {2, true},
        {2, false},
        {1, false},
        {0, false},
        {U + 17, true},
        {3, false},
        {16, false},
        {17, true},
        {17, false},
        {U + 17, false},
        {4 * U, true},
        {3 * U, true},
        {3 * U, false},
        {3 * U - 1, false},
        {10, false},
        {4 * U - 1, true},
        {4 * U, false},
        {4 * U + 8192, true},
        {4 * U + 64, true},
        {4 * U + 63, false},
        {4 * U, false},
        {UINT64_C(1) << 40, true},
        {UINT64_C(1) << 40, false},
        {4 * U + 100, false},
        {REJECT_AFTER_MESSAGES - 1, true},
        {REJECT_AFTER_MESSAGES - 1, false},
        {REJECT_AFTER_MESSAGES, false},
        {UINT64_MAX, false},
        {REJECT_AFTER_MESSAGES - 1 - U, true},
        {REJECT_AFTER_MESSAGES - 2 - U, false},
    };
    struct replay_window window;
    replay_window_init(&window);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        CHECK_MSG(replay_window_accept(&window, steps[i].counter) == steps[i].accepted, "step %zu", i);
}

/* first counter far from zero */
static void test_first(void)
{
    struct replay_window window;
    uint64_t firsts[] = {0, 1, 62, 63, 64, 65, 8127, 8128, 8191, 8192, 8193, UINT64_C(1) << 60};
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        replay_window_init(&window);
        CHECK(replay_window_accept(&window, firsts[i]));
        CHECK(!replay_window_accept(&window, firsts[i]));
        uint64_t lowest = firsts[i] > U ? firsts[i] - U : 0;
        CHECK(replay_window_accept(&window, lowest) == (lowest != firsts[i]));
        if (lowest)
            CHECK(!replay_window_accept(&window, lowest - 1));
    }
}

/* every counter of the window exactly once, in any order */
static void test_full_window(void)
{
    struct replay_window window;
    replay_window_init(&window);
    CHECK(replay_window_accept(&window, 50000));
    uint32_t accepted = 0, again = 0;
    for (uint64_t distance = 1; distance <= 2 * U; distance++)
        accepted += replay_window_accept(&window, 50000 - distance);
    for (uint64_t distance = 0; distance <= 2 * U; distance++)
        again += replay_window_accept(&window, 50000 - distance);
    CHECK(accepted == U && again == 0);
}

/* naive: a byte per counter and the highest one */
#define MODEL_COUNTERS 4000000
static uint8_t model_seen[MODEL_COUNTERS];

static bool model_accept(uint64_t counter, uint64_t *highest, bool *any)
{
    if (*any && counter + U < *highest)
        return false;
    if (model_seen[counter])
        return false;
    model_seen[counter] = 1;
    if (!*any || counter > *highest)
        *highest = counter;
    *any = true;
    return true;
}

static void test_against_model(uint64_t seed, uint32_t operations)
{
    struct random rng = {seed};
    struct replay_window window;
    uint64_t highest = 0, mismatches = 0, accepted = 0;
    bool any = false;
    memset(model_seen, 0, sizeof(model_seen));
    replay_window_init(&window);
    for (uint32_t n = 0; n < operations; n++) {
        uint64_t counter;
        uint32_t kind = random_below(&rng, 100);
        if (kind < 50)
            counter = highest + 1 + random_below(&rng, 3);
        else if (kind < 90)
            counter =
                highest - (highest ? random_below(&rng, highest > 9000 ? 9000 : (uint32_t)highest + 1) : 0);
        else if (kind < 99)
            counter = highest + random_below(&rng, 100);
        else
            counter = highest + random_below(&rng, 3 * REPLAY_WINDOW_BITS);
        if (counter >= MODEL_COUNTERS)
            break;
        bool expected = model_accept(counter, &highest, &any);
        accepted += expected;
        mismatches += replay_window_accept(&window, counter) != expected;
    }
    CHECK_MSG(mismatches == 0, "seed %llu", (unsigned long long)seed);
    CHECK(accepted > 10000);
}

int main(void)
{
    test_edges();
    test_first();
    test_full_window();
    for (uint64_t seed = 1; seed <= 60; seed++)
        test_against_model(seed, 25000); /* 1.5 million in all; each run's counters fit the model */
    return check_summary();
}
