/* Several X25519: one after the other, or in the lanes of the wide ladder. */
#include "crypto/x25519_batch.h"

#include "crypto/cpu_features.h"

const uint8_t x25519_base_point[X25519_KEY_BYTES] = {9}; /* RFC 7748, section 4.1 */

static bool wide;

void x25519_batch_use(uint32_t features)
{
#ifdef __x86_64__
    const uint32_t needed = CPU_FEATURE_AVX512 | CPU_FEATURE_AVX512_IFMA;
    wide = (features & needed) == needed;
#else
    (void)features;
#endif
}

bool x25519_batch_is_wide(void)
{
    return wide;
}

void x25519_batch(struct x25519_job *const jobs[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct x25519_job *job = jobs[i];
        job->valid = true;
        if (job->point == x25519_base_point)
            x25519_base(job->out, job->scalar);
        else
            job->valid = x25519(job->out, job->scalar, job->point);
    }
}

void x25519_batch_wide(struct x25519_workspace *workspace, struct x25519_job *const jobs[], size_t count)
{
#ifdef __x86_64__
    for (size_t done = 0; done < count; done += X25519_LANES) {
        size_t left = count - done;
        x25519_lanes_ifma(workspace, jobs + done, left < X25519_LANES ? left : X25519_LANES);
    }
#else
    (void)workspace;
    x25519_batch(jobs, count);
#endif
}
