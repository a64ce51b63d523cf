/* The batch AEAD against libcrypto's EVP: random lengths, batch sizes, keys, segment splits, in place and
 * not, padding, AAD, forgeries; guard bytes around every destination segment.  test_crypto_batch [PACKETS
 * [SEED]] */
#include <openssl/evp.h>
#include <stdlib.h>

#include "check.h"
#include "cpu_paths.h"
#include "crypto/aead_batch.h"

#define DEFAULT_PACKETS 100000 /* for each CPU path */
#define BATCH_MAX       64
#define LENGTH_MAX      9100
#define PADDING_MAX     300
#define AAD_MAX         70
#define SEGMENTS_MAX    7
#define GUARD_MAX       17
#define GUARD_BYTE      0xa5
#define UNWRITTEN_BYTE  0x5a
#define MESSAGE_MAX     (LENGTH_MAX + PADDING_MAX + AEAD_TAG_BYTES)
#define KEYS            5

/* A scattered buffer inside an allocation of its exact size; everything between the segments is guard bytes.
 */
struct scattered {
    uint8_t *arena;
    size_t arena_bytes, count;
    struct aead_segment segments[SEGMENTS_MAX + 1];
};

struct packet {
    uint8_t plaintext[MESSAGE_MAX], expected[MESSAGE_MAX], aad[AAD_MAX];
    size_t length, padding, aad_length, key;
    bool in_place, forged, too_short;
    struct scattered source, destination;
};

static uint64_t random_state;
static struct packet packets[BATCH_MAX];
static struct aead_item items[BATCH_MAX];
static uint8_t keys[KEYS][32];
static EVP_CIPHER_CTX *contexts[KEYS];
static struct aead_workspace workspace;

static uint64_t random_64(void)
{
    /* splitmix64 */
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static size_t random_below(size_t bound)
{
    return bound ? (size_t)(random_64() % bound) : 0;
}

static void random_bytes(uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i += 8) {
        uint64_t value = random_64();
        memcpy(bytes + i, &value, length - i < 8 ? length - i : 8);
    }
}

/* Cuts `length` bytes into one to SEGMENTS_MAX segments, some of them empty, with guards between. */
static void scatter(struct scattered *s, size_t length, uint8_t fill)
{
    size_t cuts[SEGMENTS_MAX + 1], offsets[SEGMENTS_MAX], total = 0;
    s->count = random_below(2) ? 1 : 1 + random_below(SEGMENTS_MAX);
    cuts[0] = 0;
    for (size_t i = 1; i < s->count; i++)
        cuts[i] = cuts[i - 1] + random_below(random_below(4) ? (length - cuts[i - 1]) / 2 + 1 : 1);
    cuts[s->count] = length;
    for (size_t i = 0; i < s->count; i++) {
        total += 1 + random_below(GUARD_MAX);
        offsets[i] = total;
        total += cuts[i + 1] - cuts[i];
    }
    /* Often the last segment ends where the allocation ends, so that the sanitizer watches. */
    total += random_below(2) ? random_below(GUARD_MAX) : 0;
    s->arena_bytes = total;
    s->arena = malloc(total);
    if (s->arena == NULL)
        abort();
    memset(s->arena, GUARD_BYTE, total);
    for (size_t i = 0; i < s->count; i++) {
        s->segments[i] = (struct aead_segment){s->arena + offsets[i], cuts[i + 1] - cuts[i]};
        memset(s->segments[i].data, fill, s->segments[i].length);
    }
}

static void scattered_put(const struct scattered *s, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < s->count && length > 0; i++) {
        size_t piece = s->segments[i].length < length ? s->segments[i].length : length;
        memcpy(s->segments[i].data, bytes, piece);
        bytes += piece;
        length -= piece;
    }
}

/* Whether the first bytes are `bytes` and every later one is `rest`. */
static bool scattered_is(const struct scattered *s, const uint8_t *bytes, size_t length, uint8_t rest)
{
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; k < s->segments[i].length; k++) {
            uint8_t wanted = length > 0 ? *bytes : rest;
            if (s->segments[i].data[k] != wanted)
                return false;
            if (length > 0) {
                bytes++;
                length--;
            }
        }
    return length == 0;
}

static bool guards_intact(const struct scattered *s)
{
    size_t at = 0;
    for (size_t i = 0; i <= s->count; i++) {
        size_t end = i < s->count ? (size_t)(s->segments[i].data - s->arena) : s->arena_bytes;
        for (; at < end; at++)
            if (s->arena[at] != GUARD_BYTE)
                return false;
        if (i < s->count)
            at = end + s->segments[i].length;
    }
    return true;
}

static void evp_seal(const struct packet *packet, const uint8_t nonce[12], uint8_t *sealed)
{
    EVP_CIPHER_CTX *context = contexts[packet->key];
    size_t total = packet->length + packet->padding;
    int written = 0, ok = EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce);
    if (packet->aad_length > 0)
        ok &= EVP_EncryptUpdate(context, NULL, &written, packet->aad, (int)packet->aad_length);
    ok &= EVP_EncryptUpdate(context, sealed, &written, packet->plaintext, (int)total);
    ok &= EVP_EncryptFinal_ex(context, sealed + total, &written);
    ok &= EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, sealed + total);
    if (ok != 1) {
        fprintf(stderr, "EVP failed\n");
        exit(2);
    }
}

static size_t random_length(void)
{
    static const size_t edges[] = {0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 511, 512, 513, 1024, 1420};
    switch (random_below(4)) {
    case 0:
        return edges[random_below(sizeof edges / sizeof edges[0])];
    case 1:
        return random_below(600);
    case 2:
        return random_below(1600);
    default:
        return random_below(LENGTH_MAX + 1);
    }
}

static void prepare_seal(struct packet *packet, struct aead_item *item)
{
    packet->length = random_length();
    packet->padding = random_below(3) ? 0 : random_below(random_below(2) ? 16 : PADDING_MAX);
    packet->aad_length = random_below(2) ? 0 : random_below(AAD_MAX);
    packet->key = random_below(KEYS);
    packet->in_place = random_below(3) == 0;
    packet->too_short = random_below(40) == 0;
    size_t total = packet->length + packet->padding;
    random_bytes(packet->plaintext, packet->length);
    memset(packet->plaintext + packet->length, 0, packet->padding);
    random_bytes(packet->aad, packet->aad_length);

    size_t room = packet->too_short ? total + random_below(AEAD_TAG_BYTES) : total + AEAD_TAG_BYTES;
    if (!packet->too_short && random_below(3) == 0)
        room += random_below(20);
    scatter(&packet->destination, room, UNWRITTEN_BYTE);
    memset(item, 0, sizeof *item);
    item->key = keys[packet->key];
    item->aad = packet->aad_length > 0 ? packet->aad : NULL;
    item->aad_length = packet->aad_length;
    item->padding = packet->padding;
    random_bytes(item->nonce, sizeof item->nonce);
    item->destination = packet->destination.segments;
    item->destination_count = packet->destination.count;
    if (packet->in_place) {
        /* The source is the destination's first `length` bytes, cut at one more place when there is room. */
        struct scattered *s = &packet->source;
        size_t left = packet->length;
        s->arena = NULL;
        s->count = 0;
        for (size_t i = 0; i < packet->destination.count && left > 0; i++) {
            struct aead_segment segment = packet->destination.segments[i];
            if (segment.length > left)
                segment.length = left;
            if (s->count == i && segment.length > 1 && random_below(2)) {
                size_t cut = random_below(segment.length);
                s->segments[s->count++] = (struct aead_segment){segment.data, cut};
                s->segments[s->count++] = (struct aead_segment){segment.data + cut, segment.length - cut};
            } else {
                s->segments[s->count++] = segment;
            }
            left -= segment.length;
        }
    } else {
        scatter(&packet->source, packet->length, 0);
    }
    scattered_put(&packet->source, packet->plaintext, packet->length);
    item->source = packet->source.count > 0 ? packet->source.segments : NULL;
    item->source_count = packet->source.count;
    item->ok = random_below(2);
    evp_seal(packet, item->nonce, packet->expected);
}

static void release(struct packet *packet)
{
    free(packet->destination.arena);
    free(packet->source.arena);
}

static void check_sealed(struct packet *packet, const struct aead_item *item, size_t number)
{
    const char *place = packet->in_place ? "in place" : "apart";
    size_t total = packet->length + packet->padding;
    CHECK_MSG(item->ok == !packet->too_short, "packet %zu", number);
    if (!packet->too_short)
        CHECK_MSG(
            scattered_is(&packet->destination, packet->expected, total + AEAD_TAG_BYTES, UNWRITTEN_BYTE),
            "seal, packet %zu, %zu + %zu bytes, %zu -> %zu segments, %s", number, packet->length,
            packet->padding, packet->source.count, packet->destination.count, place);
    else
        CHECK_MSG(scattered_is(&packet->destination, packet->plaintext, packet->in_place ? packet->length : 0,
                               UNWRITTEN_BYTE),
                  "refused packet %zu was written", number);
    CHECK_MSG(guards_intact(&packet->destination), "seal guards, packet %zu", number);
    if (!packet->in_place)
        CHECK_MSG(scattered_is(&packet->source, packet->plaintext, packet->length, 0) &&
                      guards_intact(&packet->source),
                  "source of packet %zu changed", number);
}

/* The sealed message of EVP becomes the source; one in four is damaged. */
static void prepare_open(struct packet *packet, struct aead_item *item)
{
    size_t total = packet->length + packet->padding, sealed = total + AEAD_TAG_BYTES;
    packet->forged = random_below(4) == 0;
    packet->too_short = random_below(40) == 0 && total > 0;
    packet->in_place = random_below(3) == 0;
    scatter(&packet->source, sealed, 0);
    if (packet->forged) {
        size_t bits = 8 * (sealed + packet->aad_length + sizeof item->nonce), bit = random_below(bits);
        if (random_below(2))
            bit = 8 * total + random_below(8 * AEAD_TAG_BYTES);
        uint8_t flip = (uint8_t)(1 << bit % 8);
        size_t byte = bit / 8;
        if (byte < sealed)
            packet->expected[byte] ^= flip;
        else if (byte < sealed + packet->aad_length)
            packet->aad[byte - sealed] ^= flip;
        else
            item->nonce[byte - sealed - packet->aad_length] ^= flip;
    }
    scattered_put(&packet->source, packet->expected, sealed);
    item->source = packet->source.segments;
    item->source_count = packet->source.count;
    item->padding = 0;
    if (packet->in_place) {
        packet->destination = packet->source;
        packet->destination.arena = NULL;
        packet->too_short = false;
    } else {
        size_t room = packet->too_short ? random_below(total) : total + random_below(3) * 7;
        scatter(&packet->destination, room, UNWRITTEN_BYTE);
    }
    item->destination = packet->destination.segments;
    item->destination_count = packet->destination.count;
}

static void check_opened(struct packet *packet, const struct aead_item *item, size_t number)
{
    size_t total = packet->length + packet->padding, sealed = total + AEAD_TAG_BYTES;
    bool good = !packet->forged && !packet->too_short;
    CHECK_MSG(item->ok == good, "open, packet %zu, forged %d", number, packet->forged);
    if (packet->in_place) {
        /* In place the tag stays behind the plaintext. */
        if (good)
            memcpy(packet->plaintext + total, packet->expected + total, AEAD_TAG_BYTES);
        CHECK_MSG(scattered_is(&packet->source, good ? packet->plaintext : packet->expected, sealed, 0),
                  "open in place, packet %zu, %zu bytes", number, total);
    } else {
        CHECK_MSG(scattered_is(&packet->destination, packet->plaintext, good ? total : 0, UNWRITTEN_BYTE),
                  "open, packet %zu, %zu bytes, %zu -> %zu segments", number, total, packet->source.count,
                  packet->destination.count);
        CHECK_MSG(guards_intact(&packet->destination), "open guards, packet %zu", number);
        CHECK_MSG(scattered_is(&packet->source, packet->expected, sealed, 0), "source of packet %zu changed",
                  number);
    }
    CHECK_MSG(guards_intact(&packet->source), "source guards, packet %zu", number);
}

/* Returns how many packets it was. */
static size_t run_batch(size_t first)
{
    size_t count = 1 + random_below(BATCH_MAX), expected = 0, succeeded;
    if (random_below(4) == 0)
        count = 1 + random_below(4);

    for (size_t i = 0; i < count; i++) {
        prepare_seal(&packets[i], &items[i]);
        expected += !packets[i].too_short;
    }
    succeeded = aead_seal_batch(items, count, &workspace);
    CHECK_MSG(succeeded == expected, "seal batch of %zu at packet %zu", count, first);
    for (size_t i = 0; i < count; i++) {
        check_sealed(&packets[i], &items[i], first + i);
        release(&packets[i]);
    }

    expected = 0;
    for (size_t i = 0; i < count; i++) {
        prepare_open(&packets[i], &items[i]);
        expected += !packets[i].forged && !packets[i].too_short;
    }
    succeeded = aead_open_batch(items, count, &workspace);
    CHECK_MSG(succeeded == expected, "open batch of %zu at packet %zu", count, first);
    for (size_t i = 0; i < count; i++) {
        check_opened(&packets[i], &items[i], first + i);
        release(&packets[i]);
    }
    return count;
}

/* What the random batches rely on must itself be able to fail. */
static void test_positive_controls(void)
{
    struct scattered s;
    uint8_t bytes[500];
    random_bytes(bytes, sizeof bytes);
    for (int i = 0; i < 50; i++) {
        scatter(&s, sizeof bytes, 0);
        scattered_put(&s, bytes, sizeof bytes);
        CHECK(scattered_is(&s, bytes, sizeof bytes, 0) && guards_intact(&s));
        size_t at = random_below(sizeof bytes);
        bytes[at] ^= 1;
        CHECK(!scattered_is(&s, bytes, sizeof bytes, 0));
        bytes[at] ^= 1;
        s.segments[0].data[-1] ^= 1;
        CHECK(!guards_intact(&s));
        free(s.arena);
    }
}

/* Lengths that no packet may have, and batches of nothing. */
static void test_limits(void)
{
    uint8_t buffer[64] = {0};
    static const uint8_t untouched[64];
    struct aead_segment huge[2] = {{buffer, AEAD_MESSAGE_MAX_BYTES}, {buffer, SIZE_MAX - 100}};
    struct aead_segment small = {buffer, sizeof buffer};
    struct aead_item item = {.key = keys[0],
                             .source = huge,
                             .source_count = 2,
                             .destination = &small,
                             .destination_count = 1,
                             .ok = true};
    CHECK(aead_seal_batch(NULL, 0, &workspace) == 0 && aead_open_batch(NULL, 0, &workspace) == 0);
    CHECK(aead_seal_batch(&item, 1, &workspace) == 0 && !item.ok);
    CHECK(aead_open_batch(&item, 1, &workspace) == 0 && !item.ok);
    item.source = &small;
    item.source_count = 1;
    item.padding = SIZE_MAX - 10;
    CHECK(aead_seal_batch(&item, 1, &workspace) == 0 && !item.ok);
    item.padding = 0;
    item.destination_count = 0;
    CHECK(aead_seal_batch(&item, 1, &workspace) == 0 && !item.ok);
    item.source_count = 0;
    item.destination_count = 1;
    CHECK(aead_open_batch(&item, 1, &workspace) == 0 && !item.ok);
    CHECK(memcmp(buffer, untouched, sizeof buffer) == 0);
}

static size_t left_in_workspace(void)
{
    size_t left = 0;
    for (size_t i = 0; i < sizeof workspace.opaque; i++)
        left += workspace.opaque[i] != 0;
    return left;
}

/* Nothing secret stays in the workspace, neither keys nor keystream nor anything else: after sealing, opening
 * and refusing `count` packets of `length` bytes. */
static void check_erased(size_t length, size_t count)
{
    static uint8_t buffers[BATCH_MAX][1000 + AEAD_TAG_BYTES];
    struct aead_segment plain[BATCH_MAX], sealed[BATCH_MAX];
    for (size_t i = 0; i < count; i++) {
        plain[i] = (struct aead_segment){buffers[i], length};
        sealed[i] = (struct aead_segment){buffers[i], length + AEAD_TAG_BYTES};
        items[i] = (struct aead_item){.key = keys[i % KEYS],
                                      .source = &plain[i],
                                      .source_count = 1,
                                      .destination = &sealed[i],
                                      .destination_count = 1};
    }
    memset(&workspace, 0, sizeof workspace);
    CHECK(aead_seal_batch(items, count, &workspace) == count);
    CHECK_MSG(left_in_workspace() == 0, "%zu sealed packets of %zu bytes", count, length);
    for (size_t i = 0; i < count; i++) {
        items[i].source = &sealed[i];
        items[i].destination = &plain[i];
    }
    CHECK(aead_open_batch(items, count, &workspace) == count);
    CHECK_MSG(left_in_workspace() == 0, "%zu opened packets of %zu bytes", count, length);
    for (size_t i = 0; i < count; i++)
        buffers[i][length] ^= 1; /* plaintext and a wrong tag */
    CHECK(aead_open_batch(items, count, &workspace) == 0);
    CHECK_MSG(left_in_workspace() == 0, "%zu refused packets of %zu bytes", count, length);
}

static void test_workspace_erased(void)
{
    static const size_t lengths[] = {0, 1, 63, 64, 65, 128, 129, 1000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        check_erased(lengths[i], 1);
        check_erased(lengths[i], 3);
        check_erased(lengths[i], BATCH_MAX);
    }
}

int main(int argc, char **argv)
{
    size_t wanted = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_PACKETS;
    random_state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    fprintf(stderr, "at least %zu packets for each path, seed %llu\n", wanted,
            (unsigned long long)random_state);

    EVP_CIPHER *algorithm = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    for (int i = 0; i < KEYS; i++) {
        random_bytes(keys[i], sizeof keys[i]);
        contexts[i] = EVP_CIPHER_CTX_new();
        if (algorithm == NULL || contexts[i] == NULL ||
            !EVP_EncryptInit_ex(contexts[i], algorithm, NULL, keys[i], NULL)) {
            fprintf(stderr, "EVP has no ChaCha20-Poly1305\n");
            return 2;
        }
    }

    test_positive_controls();
    FOR_EACH_CPU_PATH(path)
    {
        test_limits();
        test_workspace_erased();
        for (size_t done = 0; done < wanted && check_failed < 20;)
            done += run_batch(done);
    }

    for (int i = 0; i < KEYS; i++)
        EVP_CIPHER_CTX_free(contexts[i]);
    EVP_CIPHER_free(algorithm);
    return check_summary();
}
