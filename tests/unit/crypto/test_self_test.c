/* crypto_self_test passes, and names the primitive when one is broken: each is wrapped by the linker (--wrap)
 * and spoilt in turn. */
#include "check.h"
#include "cpu_paths.h"
#include "crypto/aead_batch.h"
#include "crypto/blake2s.h"
#include "crypto/chacha20.h"
#include "crypto/self_test.h"
#include "crypto/x25519_batch.h"
#include "crypto/xchacha20poly1305.h"

static enum { NOTHING, BLOCK, SUBKEY, HASH, DERIVATION, CURVE, CURVES, SEAL, OPEN_RESULT, OPEN_TEXT } broken;

void __real_chacha20_block(uint8_t *out, const uint8_t *key, uint32_t counter, const uint8_t *nonce);
void __wrap_chacha20_block(uint8_t *out, const uint8_t *key, uint32_t counter, const uint8_t *nonce);
void __wrap_chacha20_block(uint8_t *out, const uint8_t *key, uint32_t counter, const uint8_t *nonce)
{
    __real_chacha20_block(out, key, counter, nonce);
    out[0] ^= broken == BLOCK;
}

void __real_hchacha20(uint8_t *subkey, const uint8_t *nonce, const uint8_t *key);
void __wrap_hchacha20(uint8_t *subkey, const uint8_t *nonce, const uint8_t *key);
void __wrap_hchacha20(uint8_t *subkey, const uint8_t *nonce, const uint8_t *key)
{
    __real_hchacha20(subkey, nonce, key);
    subkey[0] ^= broken == SUBKEY;
}

void __real_blake2s(uint8_t *out, size_t out_length, const void *input, size_t input_length,
                    const uint8_t *key, size_t key_length);
void __wrap_blake2s(uint8_t *out, size_t out_length, const void *input, size_t input_length,
                    const uint8_t *key, size_t key_length);
void __wrap_blake2s(uint8_t *out, size_t out_length, const void *input, size_t input_length,
                    const uint8_t *key, size_t key_length)
{
    __real_blake2s(out, out_length, input, input_length, key, key_length);
    out[0] ^= broken == HASH;
}

void __real_hkdf_blake2s(uint8_t *first, uint8_t *second, uint8_t *third, const uint8_t *key,
                         const void *input, size_t input_length);
void __wrap_hkdf_blake2s(uint8_t *first, uint8_t *second, uint8_t *third, const uint8_t *key,
                         const void *input, size_t input_length);
void __wrap_hkdf_blake2s(uint8_t *first, uint8_t *second, uint8_t *third, const uint8_t *key,
                         const void *input, size_t input_length)
{
    __real_hkdf_blake2s(first, second, third, key, input, input_length);
    third[0] ^= broken == DERIVATION;
}

bool __real_x25519(uint8_t *out, const uint8_t *scalar, const uint8_t *point);
bool __wrap_x25519(uint8_t *out, const uint8_t *scalar, const uint8_t *point);
bool __wrap_x25519(uint8_t *out, const uint8_t *scalar, const uint8_t *point)
{
    bool result = __real_x25519(out, scalar, point);
    out[0] ^= broken == CURVE;
    return result;
}

void __real_x25519_lanes_ifma(struct x25519_workspace *workspace, struct x25519_job *const jobs[],
                              size_t count);
void __wrap_x25519_lanes_ifma(struct x25519_workspace *workspace, struct x25519_job *const jobs[],
                              size_t count);
void __wrap_x25519_lanes_ifma(struct x25519_workspace *workspace, struct x25519_job *const jobs[],
                              size_t count)
{
    __real_x25519_lanes_ifma(workspace, jobs, count);
    jobs[1]->out[0] ^= broken == CURVES;
}

size_t __real_aead_seal_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace);
size_t __wrap_aead_seal_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace);
size_t __wrap_aead_seal_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    size_t succeeded = __real_aead_seal_batch(items, count, workspace);
    items[0].destination[0].data[0] ^= broken == SEAL;
    return succeeded;
}

size_t __real_aead_open_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace);
size_t __wrap_aead_open_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace);
size_t __wrap_aead_open_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    size_t succeeded = __real_aead_open_batch(items, count, workspace);
    items[0].destination[0].data[0] ^= broken == OPEN_TEXT && succeeded == 1;
    return broken == OPEN_RESULT ? count : succeeded;
}

int main(void)
{
    static struct aead_workspace workspace;
    static const char *const expected[] = {
        [BLOCK] = "ChaCha20-Poly1305",
        [SUBKEY] = "XChaCha20-Poly1305",
        [HASH] = "BLAKE2s",
        [DERIVATION] = "BLAKE2s",
        [CURVE] = "X25519",
        [CURVES] = "X25519 batch",
        [SEAL] = "ChaCha20-Poly1305 batch",
        [OPEN_RESULT] = "ChaCha20-Poly1305 batch",
        [OPEN_TEXT] = "ChaCha20-Poly1305 batch",
    };
    x25519_batch_use(cpu_features_detect());
    FOR_EACH_CPU_PATH(i)
    CHECK(crypto_self_test(&workspace) == NULL);
    for (broken = BLOCK; broken <= OPEN_TEXT; broken++) {
        if (broken == CURVES && !x25519_batch_is_wide()) {
            CHECK_SKIP("this processor has no %s", "AVX-512 IFMA");
            continue;
        }
        const char *found = crypto_self_test(&workspace);
        CHECK_MSG(found != NULL && strcmp(found, expected[broken]) == 0, "broken: %s, found: %s",
                  expected[broken], found != NULL ? found : "nothing");
    }
    broken = NOTHING;
    CHECK(crypto_self_test(&workspace) == NULL);
    return check_summary();
}
