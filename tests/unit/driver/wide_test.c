/* When the driver saves wide registers and which cores it then uses (wide.c): the pair of calls is always a
 * pair, with all components that the core touches; what the system does not save is not used; a refusal costs
 * speed only. The processor and the system are played; AEAD is the real one, on what this machine has. */
#include "check.h"
#include "crypto/aead_batch.h"
#include "crypto/chacha20poly1305.h"
#include "crypto/cpu_features.h"
#include "crypto/self_test.h"
#include "crypto/x25519_batch.h"
#include "nt/ke.h"
#include "nt/rtl.h"

#define SSSE3  CPU_FEATURE_SSSE3
#define AVX2   (SSSE3 | CPU_FEATURE_AVX2)
#define AVX512 (AVX2 | CPU_FEATURE_AVX512 | CPU_FEATURE_AVX512_IFMA)
#define YMM    ((ULONG64)XSTATE_MASK_AVX)
#define ZMM    ((ULONG64)XSTATE_MASK_AVX | XSTATE_MASK_AVX512)

static uint32_t processor;      /* its features */
static ULONG64 enabled;         /* components that the system has switched on */
static ULONG64 refused;         /* saving any of these fails; ~0: always */
static uint32_t chosen, ladder; /* features given to the AEAD, and to X25519 */
static uint32_t broken;         /* the self-test of exactly these fails; ~0: none */
static XSTATE_SAVE *saved;      /* not yet restored */
static ULONG64 saved_mask;
static uint32_t saves, self_tests, wide_calls, narrow_calls;

/* ---- what the code under test calls ---- */

static uint32_t played_detect(void)
{
    return processor;
}

static void played_use(uint32_t features)
{
    chosen = features;
    cpu_features_use(features & cpu_features_detect());
}

static uint32_t played_in_use(void)
{
    return chosen;
}

static void played_x25519_use(uint32_t features)
{
    ladder = features;
}

ULONG64 NTAPI RtlGetEnabledExtendedFeatures(ULONG64 mask)
{
    return enabled & mask;
}

NTSTATUS NTAPI KeSaveExtendedProcessorState(ULONG64 mask, PXSTATE_SAVE state)
{
    CHECK(!saved && mask != 0 && (mask & ~enabled) == 0);
    if (mask & refused)
        return STATUS_INSUFFICIENT_RESOURCES;
    saves++;
    saved = state;
    saved_mask = mask;
    return STATUS_SUCCESS;
}

VOID NTAPI KeRestoreExtendedProcessorState(PXSTATE_SAVE state)
{
    CHECK(saved && saved == state);
    saved = NULL;
    saved_mask = 0;
}

/* Components that cores of these features touch besides XMM. */
static ULONG64 touched(uint32_t features)
{
    return features & CPU_FEATURE_AVX512 ? ZMM : features & CPU_FEATURE_AVX2 ? YMM : 0;
}

static void check_saved(uint32_t features)
{
    ULONG64 needed = touched(features);
    CHECK_MSG((needed & ~saved_mask) == 0, "features %#x use %#lx of which %#lx is saved", features, needed,
              saved_mask);
    CHECK((features & ~processor) == 0);
}

static const char *played_self_test(struct aead_workspace *workspace)
{
    CHECK(workspace != NULL && chosen == ladder);
    self_tests++;
    check_saved(chosen);
    return chosen == broken ? "a path" : NULL;
}

static size_t played_seal(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    wide_calls++;
    check_saved(chosen);
    return aead_seal_batch(items, count, workspace);
}

static size_t played_open(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    wide_calls++;
    check_saved(chosen);
    return aead_open_batch(items, count, workspace);
}

static size_t played_seal_narrow(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    narrow_calls++;
    CHECK(!saved);
    return aead_seal_batch_narrow(items, count, workspace);
}

static size_t played_open_narrow(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    narrow_calls++;
    CHECK(!saved);
    return aead_open_batch_narrow(items, count, workspace);
}

#define cpu_features_detect    played_detect
#define cpu_features_use       played_use
#define cpu_features_in_use    played_in_use
#define x25519_batch_use       played_x25519_use
#define crypto_self_test       played_self_test
#define aead_seal_batch        played_seal
#define aead_open_batch        played_open
#define aead_seal_batch_narrow played_seal_narrow
#define aead_open_batch_narrow played_open_narrow
#include "../../../src/driver/wide.c"

/* ---- starting ---- */

static struct workspace workspace;

static const char *start(uint32_t of_processor, ULONG64 of_system, ULONG64 that_refuses)
{
    processor = of_processor;
    enabled = of_system;
    refused = that_refuses;
    saves = self_tests = wide_calls = narrow_calls = 0;
    const char *failed = wide_initialize(&workspace);
    CHECK(!saved);
    return failed;
}

/* ---- batches ---- */

#define PACKETS 3
#define PLAIN   1420

static uint8_t keys[PACKETS][AEAD_KEY_BYTES], plain[PACKETS][PLAIN], sealed[PACKETS][PLAIN + AEAD_TAG_BYTES];
static uint8_t opened[PACKETS][PLAIN], expected[PLAIN + AEAD_TAG_BYTES];
static struct aead_segment to[PACKETS], from[PACKETS];

static void describe(bool seal)
{
    for (uint32_t i = 0; i < PACKETS; i++) {
        from[i] = seal ? (struct aead_segment){plain[i], PLAIN}
                       : (struct aead_segment){sealed[i], PLAIN + AEAD_TAG_BYTES};
        to[i] = seal ? (struct aead_segment){sealed[i], PLAIN + AEAD_TAG_BYTES}
                     : (struct aead_segment){opened[i], PLAIN};
        workspace.items[i] = (struct aead_item){.key = keys[i],
                                                .source = &from[i],
                                                .source_count = 1,
                                                .destination = &to[i],
                                                .destination_count = 1};
        aead_nonce_from_counter(workspace.items[i].nonce, i);
    }
}

/* Seals and opens once; right whatever was chosen.  `wide`: both must have gone that way. */
static void pass(uint32_t bytes, bool wide)
{
    uint32_t before = saves, wide_before = wide_calls, narrow_before = narrow_calls;
    for (uint32_t i = 0; i < PACKETS; i++) {
        memset(keys[i], (int)(0x40 + i), sizeof(keys[i]));
        for (uint32_t j = 0; j < PLAIN; j++)
            plain[i][j] = (uint8_t)(i * 31 + j * 7);
    }
    memset(sealed, 0, sizeof(sealed));
    memset(opened, 0, sizeof(opened));
    describe(true);
    wide_seal(&workspace, PACKETS, bytes);
    CHECK(!saved);
    for (uint32_t i = 0; i < PACKETS; i++) {
        uint8_t nonce[AEAD_NONCE_BYTES];
        aead_nonce_from_counter(nonce, i);
        chacha20poly1305_seal(expected, plain[i], PLAIN, NULL, 0, nonce, keys[i]);
        CHECK(workspace.items[i].ok && memcmp(sealed[i], expected, sizeof(expected)) == 0);
    }
    sealed[1][700] ^= 1; /* one that does not open */
    describe(false);
    wide_open(&workspace, PACKETS, bytes);
    CHECK(!saved);
    for (uint32_t i = 0; i < PACKETS; i++)
        CHECK(workspace.items[i].ok == (i != 1) && (memcmp(opened[i], plain[i], PLAIN) == 0) == (i != 1));
    CHECK_MSG(wide_calls - wide_before == (wide ? 2 : 0) && narrow_calls - narrow_before == (wide ? 0 : 2),
              "%u wide, %u narrow", wide_calls - wide_before, narrow_calls - narrow_before);
    CHECK(saves - before == (wide ? 2 : 0));
}

/* ---- tests ---- */

/* Every processor under every system: the best that both have, tested on the way up. */
static void test_choice(void)
{
    static const uint32_t steps[] = {0, SSSE3, AVX2, AVX512};
    broken = ~0u;
    for (uint32_t features = 0; features <= AVX512; features++)
        for (uint32_t components = 0; components < 16; components++) {
            ULONG64 system =
                XSTATE_MASK_LEGACY | (components & 1 ? YMM : 0) | (ULONG64)(components >> 1) << 5;
            uint32_t best = 0, tests = 0, of_wide = 0;
            for (uint32_t i = 0; i < 4; i++)
                if ((steps[i] & ~features) == 0 && (touched(steps[i]) & ~system) == 0) {
                    best = steps[i];
                    tests++;
                    of_wide += touched(best) != 0;
                }
            CHECK(!start(features, system, 0));
            CHECK_MSG(chosen == best && ladder == best, "processor %#x, system %#lx: %#x, %#x", features,
                      system, chosen, ladder);
            CHECK(self_tests == tests && saves == of_wide);
            pass(PACKETS * PLAIN, touched(best) != 0);
        }
}

/* The system says that it has the state and then does not save it. */
static void test_refusal(void)
{
    broken = ~0u;
    CHECK(!start(AVX512, XSTATE_MASK_LEGACY | ZMM, XSTATE_MASK_AVX512));
    CHECK(chosen == AVX2 && ladder == AVX2 && self_tests == 3);
    pass(PACKETS * PLAIN, true);
    CHECK(!start(AVX512, XSTATE_MASK_LEGACY | ZMM, ~0ull));
    CHECK(chosen == SSSE3 && ladder == SSSE3 && self_tests == 2 && saves == 0);
    pass(PACKETS * PLAIN, false);

    /* A single call that is refused is narrow, the next one wide again. */
    CHECK(!start(AVX512, XSTATE_MASK_LEGACY | ZMM, 0));
    pass(PACKETS * PLAIN, true);
    refused = ~0ull;
    pass(PACKETS * PLAIN, false);
    refused = 0;
    pass(PACKETS * PLAIN, true);
    CHECK(chosen == AVX512);
}

/* Little work is not worth the saving. */
static void test_little(void)
{
    broken = ~0u;
    CHECK(!start(AVX2, XSTATE_MASK_LEGACY | YMM, 0));
    pass(0, false);
    pass(WIDE_MIN_BYTES - 1, false);
    pass(WIDE_MIN_BYTES, true);
}

/* A path that fails its test: its name is returned, so that the driver does not start; better paths are not
 * tried, and the registers are as they were. */
static void test_broken(void)
{
    static const uint32_t steps[] = {0, SSSE3, AVX2, AVX512};
    for (uint32_t i = 0; i < 4; i++) {
        broken = steps[i];
        const char *failed = start(AVX512, XSTATE_MASK_LEGACY | ZMM, 0);
        CHECK(failed && strcmp(failed, "a path") == 0);
        CHECK(self_tests == i + 1 && saves == (i < 2 ? 0 : i - 1));
    }
    /* One that this processor or this system has not is not tested, so it cannot fail. */
    broken = AVX512;
    CHECK(!start(AVX2, XSTATE_MASK_LEGACY | ZMM, 0) && chosen == AVX2);
    CHECK(!start(AVX512, XSTATE_MASK_LEGACY | YMM, 0) && chosen == AVX2);
    pass(PACKETS * PLAIN, true);
}

int main(void)
{
    test_choice();
    test_refusal();
    test_little();
    test_broken();
    return check_summary();
}
