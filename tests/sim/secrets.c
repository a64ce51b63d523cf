/* See secrets.h. */
#include "secrets.h"
#include "flow.h"
#include <stdlib.h>
#include <string.h>

/* A search walks all memory: of many old keys only some are looked for, of the newest all. */
#define NEWEST_ALWAYS 4
#define OLDER_ABOUT   6

/* A compiler may keep a key's halves in different registers and spill one: half a key is a find as well. */
#define NEEDLE_BYTES 16

struct secret {
    enum secret_kind kind;
    uint8_t node, peer, key[32];
    uint64_t noted_ns;
};

static struct secret *secrets;
static unsigned count;

void secret_note(enum secret_kind kind, uint8_t node, uint8_t peer, const uint8_t key[32])
{
    static const uint8_t none[32];
    if (memcmp(key, none, 32) == 0)
        return;
    for (unsigned i = 0; i < count; i++)
        if (secrets[i].node == node && memcmp(secrets[i].key, key, 32) == 0)
            return;
    struct secret *grown = realloc(secrets, (count + 1) * sizeof(*secrets));
    if (!grown)
        abort();
    secrets = grown;
    secrets[count] = (struct secret){.kind = kind, .node = node, .peer = peer, .noted_ns = now_ns()};
    memcpy(secrets[count++].key, key, 32);
}

static const char *kind_name(enum secret_kind kind)
{
    return kind == SECRET_PRIVATE_KEY     ? "private key"
           : kind == SECRET_PRESHARED_KEY ? "preshared key"
                                          : "session key";
}

static bool matches(const struct secret *secret, unsigned kinds, uint8_t node, uint8_t peer)
{
    return (secret->kind & kinds) && secret->node == node && (peer == END_ANY || secret->peer == peer);
}

void secrets_expect_gone(unsigned kinds, uint8_t node, uint8_t peer, uint64_t before_ns, const char *why)
{
    struct sim_memory_hit hit;
    unsigned looked_for = 0;
    for (unsigned i = count; i-- > 0;) {
        if (!matches(&secrets[i], kinds, node, peer) || secrets[i].noted_ns >= before_ns)
            continue;
        if (looked_for++ >= NEWEST_ALWAYS && random_below(count) >= OLDER_ABOUT)
            continue;
        bool wanted[2] = {true, true};
        if (looked_for > 2) /* of the newest both halves, of the others one */
            wanted[random_below(2)] = false;
        for (unsigned half = 0; half < 2; half++)
            if (wanted[half] &&
                sim->memory_search(secrets[i].key + half * NEEDLE_BYTES, NEEDLE_BYTES, &hit, 1)) {
                violation("secret-in-memory", "%s of end %u (peer %u) after %s: %s",
                          kind_name(secrets[i].kind), node, secrets[i].peer, why, hit.where);
                break;
            }
    }
}

unsigned secrets_found(unsigned kinds, uint8_t node, uint8_t peer)
{
    struct sim_memory_hit hit;
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++)
        if (matches(&secrets[i], kinds, node, peer) && sim->memory_search(secrets[i].key, 32, &hit, 1))
            found++;
    return found;
}

void secrets_reset(void)
{
    free(secrets);
    secrets = NULL;
    count = 0;
}
