/* Project Wycheproof's vectors for the AEADs and X25519.  test_crypto_wycheproof DIRECTORY; a file that is
 * not there is counted as skipped.  Only cases with a 96-bit (XChaCha20: 192-bit) nonce and 128-bit tag
 * apply. */
#include <json-c/json.h>
#include <stdlib.h>
#include <unistd.h>

#include "aead_one.h"
#include "check.h"
#include "cpu_paths.h"
#include "crypto/chacha20poly1305.h"
#include "crypto/x25519_batch.h"
#include "crypto/xchacha20poly1305.h"
#include "hex.h"

#define FIELD_MAX 4096

static struct json_object *member(struct json_object *object, const char *name)
{
    struct json_object *value;
    if (!json_object_object_get_ex(object, name, &value)) {
        fprintf(stderr, "the vectors have no member '%s'\n", name);
        exit(2);
    }
    return value;
}

static const char *text(struct json_object *object, const char *name)
{
    return json_object_get_string(member(object, name));
}

static size_t bytes(struct json_object *object, const char *name, uint8_t out[FIELD_MAX])
{
    return hex_decode(out, FIELD_MAX, text(object, name));
}

static void aead_case(struct json_object *test, bool x)
{
    static uint8_t key[FIELD_MAX], nonce[FIELD_MAX], aad[FIELD_MAX], message[FIELD_MAX], sealed[FIELD_MAX],
        tag[FIELD_MAX], out[FIELD_MAX];
    int id = json_object_get_int(member(test, "tcId"));
    bool valid = strcmp(text(test, "result"), "valid") == 0;
    bytes(test, "key", key);
    bytes(test, "iv", nonce);
    size_t aad_length = bytes(test, "aad", aad), length = bytes(test, "msg", message);
    size_t sealed_length = bytes(test, "ct", sealed);
    size_t tag_length = bytes(test, "tag", tag);
    CHECK_MSG(tag_length == 16 && sealed_length + 16 <= sizeof sealed, "case %d", id);
    memcpy(sealed + sealed_length, tag, 16);
    sealed_length += 16;

    bool opened = x ? xchacha20poly1305_open(out, sealed, sealed_length, aad, aad_length, nonce, key)
                    : chacha20poly1305_open(out, sealed, sealed_length, aad, aad_length, nonce, key);
    CHECK_MSG(opened == valid && (!valid || memcmp(out, message, length) == 0), "case %d", id);
    if (valid) {
        if (x)
            xchacha20poly1305_seal(out, message, length, aad, aad_length, nonce, key);
        else
            chacha20poly1305_seal(out, message, length, aad, aad_length, nonce, key);
        CHECK_MSG(memcmp(out, sealed, sealed_length) == 0, "case %d", id);
    }
    if (x)
        return;
    opened = aead_one(false, out, sealed_length - 16, sealed, sealed_length, aad, aad_length, nonce, key);
    CHECK_MSG(opened == valid && (!valid || memcmp(out, message, length) == 0), "batch, case %d", id);
    if (valid) {
        CHECK(aead_one(true, out, sealed_length, message, length, aad, aad_length, nonce, key));
        CHECK_MSG(memcmp(out, sealed, sealed_length) == 0, "batch, case %d", id);
    }
}

static void x25519_case(struct json_object *test)
{
    static uint8_t private_key[FIELD_MAX], public_key[FIELD_MAX], out[32];
    static const uint8_t zero[64];
    int id = json_object_get_int(member(test, "tcId"));
    if (bytes(test, "private", private_key) != 32 || bytes(test, "public", public_key) != 32)
        return;
    bool nonzero = x25519(out, private_key, public_key);
    CHECK_MSG(hex_equal(out, 32, text(test, "shared")), "case %d", id);
    CHECK_MSG(nonzero == (memcmp(out, zero, 32) != 0), "case %d", id);

    if (!x25519_batch_is_wide())
        return;
    static struct x25519_workspace workspace;
    struct x25519_job job = {.scalar = private_key, .point = public_key}, *jobs[] = {&job};
    x25519_batch_wide(&workspace, jobs, 1);
    CHECK_MSG(job.valid == nonzero && memcmp(job.out, out, 32) == 0, "wide, case %d", id);
}

static void run_file(const char *directory, const char *name, int kind)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (access(path, F_OK) != 0) {
        CHECK_SKIP("%s: no such file", path);
        return;
    }
    struct json_object *file = json_object_from_file(path);
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, json_util_get_last_err());
        exit(2);
    }
    uint64_t before = check_passed + check_failed;
    struct json_object *groups = member(file, "testGroups");
    for (size_t g = 0; g < json_object_array_length(groups); g++) {
        struct json_object *group = json_object_array_get_idx(groups, g), *tests = member(group, "tests");
        if (kind < 2 && (json_object_get_int(member(group, "ivSize")) != (kind == 1 ? 192 : 96) ||
                         json_object_get_int(member(group, "tagSize")) != 128))
            continue;
        for (size_t t = 0; t < json_object_array_length(tests); t++) {
            if (kind < 2)
                aead_case(json_object_array_get_idx(tests, t), kind == 1);
            else
                x25519_case(json_object_array_get_idx(tests, t));
        }
    }
    CHECK_MSG(check_passed + check_failed >= before + 100, "%s: suspiciously few cases", path);
    json_object_put(file);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: test_crypto_wycheproof DIRECTORY\n");
        return 2;
    }
    FOR_EACH_CPU_PATH(i)
    run_file(argv[1], "chacha20_poly1305_test.json", 0);
    run_file(argv[1], "xchacha20_poly1305_test.json", 1);
    x25519_batch_use(cpu_features_detect());
    if (!x25519_batch_is_wide())
        CHECK_SKIP("this processor has no %s", "AVX-512 with IFMA");
    run_file(argv[1], "x25519_test.json", 2);
    int status = check_summary();
    return check_passed == 0 && check_failed == 0 ? 0 : status;
}
