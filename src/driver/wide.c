/* See the header.  On x64 the XMM registers belong to whoever runs; the upper halves of YMM and ZMM, ZMM16-31
 * and the mask registers do not (Microsoft: "Using extended processor features in Windows drivers"). */
#include "wide.h"
#include "crypto/cpu_features.h"
#include "crypto/self_test.h"
#include "crypto/x25519_batch.h"
#include "nt/ke.h"
#include "nt/rtl.h"

/* Less is done sooner than the state is saved and restored. */
#define WIDE_MIN_BYTES 256

#define WIDE_AVX2   (CPU_FEATURE_SSSE3 | CPU_FEATURE_AVX2)
#define WIDE_AVX512 (WIDE_AVX2 | CPU_FEATURE_AVX512 | CPU_FEATURE_AVX512_IFMA)

static ULONG64 state_mask; /* of what the selected code uses; 0: nothing but XMM */

static ULONG64 mask_of(uint32_t features)
{
    ULONG64 mask = 0;
    if (features & CPU_FEATURE_AVX2)
        mask |= XSTATE_MASK_AVX;
    if (features & CPU_FEATURE_AVX512)
        mask |= XSTATE_MASK_AVX | XSTATE_MASK_AVX512;
    return mask;
}

static bool state_save(XSTATE_SAVE *save)
{
    return state_mask != 0 && NT_SUCCESS(KeSaveExtendedProcessorState(state_mask, save));
}

/* Selects `features` and tests them; false: the processor lacks them, or the system cannot save their state.
 */
static bool try_features(uint32_t features, struct workspace *workspace, const char **failed)
{
    XSTATE_SAVE save;
    ULONG64 mask = mask_of(features);
    if ((features & ~cpu_features_detect()) != 0 || RtlGetEnabledExtendedFeatures(mask) != mask)
        return false;
    if (mask != 0 && !NT_SUCCESS(KeSaveExtendedProcessorState(mask, &save)))
        return false;
    cpu_features_use(features);
    x25519_batch_use(features);
    *failed = crypto_self_test(&workspace->aead);
    if (mask != 0)
        KeRestoreExtendedProcessorState(&save);
    return true;
}

const char *wide_initialize(struct workspace *workspace)
{
    static const uint32_t steps[] = {0, CPU_FEATURE_SSSE3, WIDE_AVX2, WIDE_AVX512};
    uint32_t best = 0;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const char *failed = NULL;
        if (!try_features(steps[i], workspace, &failed))
            continue;
        if (failed)
            return failed;
        best = steps[i];
    }
    cpu_features_use(best);
    x25519_batch_use(best);
    state_mask = mask_of(cpu_features_in_use());
    return NULL;
}

typedef size_t aead_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace);

static void run(struct workspace *workspace, uint32_t count, uint32_t bytes, aead_batch *selected,
                aead_batch *narrow)
{
    XSTATE_SAVE save;
    if (bytes < WIDE_MIN_BYTES || !state_save(&save)) {
        narrow(workspace->items, count, &workspace->aead);
        return;
    }
    selected(workspace->items, count, &workspace->aead);
    KeRestoreExtendedProcessorState(&save);
}

void wide_seal(struct workspace *workspace, uint32_t count, uint32_t bytes)
{
    run(workspace, count, bytes, aead_seal_batch, aead_seal_batch_narrow);
}

void wide_open(struct workspace *workspace, uint32_t count, uint32_t bytes)
{
    run(workspace, count, bytes, aead_open_batch, aead_open_batch_narrow);
}
