/* Which call stacks a seed lets fail: distinct seeds choose distinct sets of about an eighth, and over some
 * tens of seeds every stack fails. */
#include "check.h"
#include "host_test.h"
#include "imports/imports.h"

#define STACKS 256u
#define SEEDS  200u

void test_faults(void)
{
    static uint8_t chosen[SEEDS][STACKS], ever[STACKS];
    uint64_t hashes[STACKS], state = 7;
    unsigned total = 0, never = 0, equal = 0;

    for (unsigned i = 0; i < STACKS; i++) { /* half of them differ in low bits only */
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        hashes[i] = i % 2 ? hashes[i - 1] + 1 : state;
    }
    for (unsigned seed = 0; seed < SEEDS; seed++)
        for (unsigned i = 0; i < STACKS; i++) {
            chosen[seed][i] = import_fault_chosen(hashes[i], seed + 1);
            ever[i] |= chosen[seed][i];
            total += chosen[seed][i];
        }
    for (unsigned i = 0; i < STACKS; i++)
        never += !ever[i];
    for (unsigned a = 0; a < SEEDS; a++)
        for (unsigned b = a + 1; b < SEEDS; b++)
            equal += memcmp(chosen[a], chosen[b], STACKS) == 0;
    CHECK_MSG(equal == 0, "%u pairs of seeds choose the same stacks", equal);
    CHECK_MSG(never == 0, "%u stacks never fail", never);
    CHECK_MSG(total > SEEDS * STACKS / 9 && total < SEEDS * STACKS / 7, "%u of %u", total, SEEDS * STACKS);
}
