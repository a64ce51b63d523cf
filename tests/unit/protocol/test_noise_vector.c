/* The symmetric state against Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s vectors (cacophony), which are not
 * WireGuard's own: another prologue and payloads.  They stand beside the repository; without them this test
 * only does its own round trip. */
#include "crypto/chacha20poly1305.h"
#include "crypto/x25519.h"
#include "protocol/symmetric.h"
#include "support.h"

#define VECTORS "../shared/vectors/noise_ikpsk2.json"

static const char protocol_name[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";

/* The hex string that is the value of the n-th occurrence of "name" (an array's first element as well). */
static size_t field(const char *json, const char *name, int n, uint8_t *out)
{
    char quoted[64];
    snprintf(quoted, sizeof(quoted), "\"%s\"", name);
    const char *at = json - 1;
    for (int i = 0; i <= n; i++) {
        at = strstr(at + 1, quoted);
        if (!at)
            return 0;
    }
    at = strchr(at + strlen(quoted), '"') + 1;
    size_t length = (size_t)(strchr(at, '"') - at) / 2;
    unhex(out, length, at);
    return length;
}

struct party {
    struct symmetric_state state;
    uint8_t key[32];
};

static void mix_e(struct symmetric_state *state, const uint8_t *public_key)
{
    symmetric_mix_hash(state, public_key, 32);
    symmetric_mix_chaining_key(state, public_key, 32);
}

/* Both parties through both handshake messages and the transport messages; `expected` tells what the wire
 * must show. */
static void run(const char *json)
{
    uint8_t prologue[64], psk[32], si[32], ei[32], sr[32], er[32], sr_public[32], hash[32];
    size_t prologue_length = field(json, "init_prologue", 0, prologue);
    CHECK(field(json, "init_psks", 0, psk) == 32);
    CHECK(field(json, "init_static", 0, si) == 32 && field(json, "init_ephemeral", 0, ei) == 32);
    CHECK(field(json, "resp_static", 0, sr) == 32 && field(json, "resp_ephemeral", 0, er) == 32);
    CHECK(field(json, "init_remote_static", 0, sr_public) == 32 &&
          field(json, "handshake_hash", 0, hash) == 32);

    uint8_t computed[32], si_public[32], ei_public[32], er_public[32];
    x25519_base(computed, sr);
    CHECK(memcmp(computed, sr_public, 32) == 0);
    x25519_base(si_public, si);
    x25519_base(ei_public, ei);
    x25519_base(er_public, er);

    struct party i, r;
    uint8_t payload[128], wire[256], expected[256], opened[128];
    symmetric_init(&i.state, protocol_name, strlen(protocol_name), prologue, prologue_length);
    symmetric_init(&r.state, protocol_name, strlen(protocol_name), prologue, prologue_length);
    symmetric_mix_hash(&i.state, sr_public, 32);
    symmetric_mix_hash(&r.state, sr_public, 32);

    /* -> e, es, s, ss */
    size_t length = field(json, "payload", 0, payload);
    memcpy(wire, ei_public, 32);
    mix_e(&i.state, ei_public);
    CHECK(symmetric_mix_dh_key(&i.state, i.key, ei, sr_public));
    symmetric_seal(&i.state, wire + 32, si_public, 32, i.key);
    CHECK(symmetric_mix_dh_key(&i.state, i.key, si, sr_public));
    symmetric_seal(&i.state, wire + 80, payload, length, i.key);
    CHECK(field(json, "ciphertext", 0, expected) == 80 + length + 16);
    CHECK(memcmp(wire, expected, 80 + length + 16) == 0);

    mix_e(&r.state, wire);
    CHECK(symmetric_mix_dh_key(&r.state, r.key, sr, wire));
    CHECK(symmetric_open(&r.state, opened, wire + 32, 48, r.key) && memcmp(opened, si_public, 32) == 0);
    CHECK(symmetric_mix_dh_key(&r.state, r.key, sr, si_public));
    struct symmetric_state before = r.state;
    wire[80] ^= 1;
    CHECK(!symmetric_open(&r.state, opened, wire + 80, length + 16, r.key));
    CHECK(!symmetric_open(&r.state, opened, wire + 80, 15, r.key));
    CHECK(memcmp(&before, &r.state, sizeof(before)) == 0);
    wire[80] ^= 1;
    CHECK(symmetric_open(&r.state, opened, wire + 80, length + 16, r.key) &&
          memcmp(opened, payload, length) == 0);

    /* <- e, ee, se, psk */
    length = field(json, "payload", 1, payload);
    memcpy(wire, er_public, 32);
    mix_e(&r.state, er_public);
    CHECK(symmetric_mix_dh(&r.state, er, ei_public) && symmetric_mix_dh(&r.state, er, si_public));
    symmetric_mix_psk(&r.state, r.key, psk);
    symmetric_seal(&r.state, wire + 32, payload, length, r.key);
    CHECK(field(json, "ciphertext", 1, expected) == 32 + length + 16);
    CHECK(memcmp(wire, expected, 32 + length + 16) == 0);

    mix_e(&i.state, wire);
    CHECK(symmetric_mix_dh(&i.state, ei, wire) && symmetric_mix_dh(&i.state, si, wire));
    symmetric_mix_psk(&i.state, i.key, psk);
    CHECK(symmetric_open(&i.state, opened, wire + 32, length + 16, i.key) &&
          memcmp(opened, payload, length) == 0);
    CHECK(memcmp(i.state.hash, hash, 32) == 0 && memcmp(r.state.hash, hash, 32) == 0);

    /* transport, alternating, the initiator first */
    uint8_t keys[2][32];
    symmetric_split(&i.state, keys[0], keys[1]);
    for (int message = 2; message < 6; message++) {
        uint8_t nonce[12] = {0};
        nonce[4] = (uint8_t)((message - 2) / 2);
        length = field(json, "payload", message, payload);
        chacha20poly1305_seal(wire, payload, length, NULL, 0, nonce, keys[message % 2]);
        CHECK(field(json, "ciphertext", message, expected) == length + 16);
        CHECK(memcmp(wire, expected, length + 16) == 0);
    }
}

/* A DH result of zero leaves the state alone. */
static void test_zero_dh(void)
{
    struct symmetric_state state, before;
    uint8_t key[32], private_key[32] = {9}, point[32] = {1};
    symmetric_init(&state, protocol_name, strlen(protocol_name), "", 0);
    before = state;
    memset(key, 0x5a, sizeof(key));
    CHECK(!symmetric_mix_dh(&state, private_key, point));
    CHECK(!symmetric_mix_dh_key(&state, key, private_key, point));
    CHECK(memcmp(&state, &before, sizeof(state)) == 0 && key[0] == 0x5a && key[31] == 0x5a);
}

int main(void)
{
    test_zero_dh();
    static char json[65536];
    FILE *file = fopen(VECTORS, "r");
    if (!file) {
        CHECK_SKIP("%s is not there", VECTORS);
        return check_summary();
    }
    size_t length = fread(json, 1, sizeof(json) - 1, file);
    fclose(file);
    json[length] = 0;
    run(json);
    return check_summary();
}
