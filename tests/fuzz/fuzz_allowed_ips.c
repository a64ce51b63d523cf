/* The tries of allowed IPs against a list that is searched from end to end. */
#include "input.h"
#include "protocol/allowed_ips.h"

#include <stdio.h>
#include <stdlib.h>

#define PEERS     4u
#define MODEL_MAX 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    enum allowed_ips_family family;
    uint8_t address[16], length;
    struct allowed_ips_peer *peer;
} model[MODEL_MAX];
static unsigned model_count;

/* Nothing reads beside this thread; what is freed at once is what the sanitizer can watch. */
static void *allocate(void *context, size_t size)
{
    unsigned *left = context;
    return *left && (*left)-- ? malloc(size) : NULL;
}

static void release(void *context, void *block, size_t size)
{
    free(block);
}

static void wrong(const char *what)
{
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static bool covers(const uint8_t *prefix, unsigned bits, const uint8_t *address)
{
    for (unsigned i = 0; i < bits; i++)
        if ((prefix[i / 8] ^ address[i / 8]) >> (7 - i % 8) & 1)
            return false;
    return true;
}

static unsigned model_find(enum allowed_ips_family family, const uint8_t *address, unsigned length)
{
    unsigned i = 0;
    while (i < model_count && !(model[i].family == family && model[i].length == length &&
                                covers(model[i].address, length, address)))
        i++;
    return i;
}

static void model_remove(unsigned i)
{
    model[i] = model[--model_count];
}

static void check_lookup(const struct allowed_ips *table, enum allowed_ips_family family,
                         const uint8_t *address)
{
    struct allowed_ips_peer *expected = NULL, *found;
    int longest = -1;
    for (unsigned i = 0; i < model_count; i++) {
        if (model[i].family == family && model[i].length > longest &&
            covers(model[i].address, model[i].length, address)) {
            longest = model[i].length;
            expected = model[i].peer;
        }
    }
    found = family == ALLOWED_IPS_V4 ? allowed_ips_lookup_v4(table, address)
                                     : allowed_ips_lookup_v6(table, address);
    if (found != expected)
        wrong("a lookup finds another peer than a search does");
}

static void check_counts(struct allowed_ips_peer *peers)
{
    for (unsigned p = 0; p < PEERS; p++) {
        struct allowed_ips_entry *cursor = NULL;
        struct allowed_ips_prefix prefix;
        unsigned iterated = 0, expected = 0;
        for (unsigned i = 0; i < model_count; i++)
            expected += model[i].peer == &peers[p];
        while (allowed_ips_iterate(&peers[p], &cursor, &prefix)) {
            unsigned at = model_find(prefix.family, prefix.address, prefix.prefix_length);
            if (at == model_count || model[at].peer != &peers[p])
                wrong("a peer's list has a prefix that it was not given");
            iterated++;
        }
        if (iterated != expected || allowed_ips_count(&peers[p]) != expected)
            wrong("a peer's list has another length");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    unsigned left = 10000;
    struct allowed_ips table;
    struct allowed_ips_peer peers[PEERS];
    struct allowed_ips_memory memory = {allocate, release, &left};
    allowed_ips_init(&table, &memory);
    for (unsigned p = 0; p < PEERS; p++)
        allowed_ips_peer_init(&peers[p]);
    model_count = 0;
    if (input_u8(&input) & 1)
        left = input_u8(&input);
    while (input_more(&input) && model_count < MODEL_MAX) {
        uint8_t choice = input_u8(&input), length = input_u8(&input), address[16];
        enum allowed_ips_family family = choice & 1 ? ALLOWED_IPS_V6 : ALLOWED_IPS_V4;
        struct allowed_ips_peer *peer = &peers[choice >> 4 & 3];
        input_copy(&input, address, family == ALLOWED_IPS_V6 && choice & 128 ? 16 : 4);
        if (!(choice & 128))
            memset(address + 4, choice & 64 ? 0xff : 0, 12);
        unsigned at = model_find(family, address, length);
        enum allowed_ips_result result;
        switch (choice >> 1 & 7) {
        case 0:
        case 1:
        case 2:
            result = allowed_ips_insert(&table, family, address, length, peer);
            if ((result == ALLOWED_IPS_BAD_PREFIX_LENGTH) != (length > (family == ALLOWED_IPS_V6 ? 128 : 32)))
                wrong("prefix lengths are not checked");
            if (result == ALLOWED_IPS_NO_MEMORY && left)
                wrong("no memory, though there is some");
            if (result != ALLOWED_IPS_OK)
                break;
            if (at == model_count) {
                model[model_count].family = family;
                model[model_count].length = length;
                memcpy(model[model_count++].address, address, 16);
            }
            model[at].peer = peer;
            break;
        case 3:
            result = allowed_ips_remove(&table, family, address, length, peer);
            if ((result == ALLOWED_IPS_OK) != (at < model_count && model[at].peer == peer))
                wrong("a removal does what it should not");
            if (result == ALLOWED_IPS_OK)
                model_remove(at);
            break;
        case 4:
            if (length & 7)
                break;
            allowed_ips_remove_by_peer(&table, peer);
            for (unsigned i = model_count; i-- > 0;)
                if (model[i].peer == peer)
                    model_remove(i);
            break;
        default:
            break;
        }
        check_lookup(&table, family, address);
    }
    check_counts(peers);
    for (unsigned p = 0; p < PEERS; p++)
        allowed_ips_remove_by_peer(&table, &peers[p]);
    if (table.roots[0] || table.roots[1])
        wrong("an empty table has nodes");
    return 0;
}
