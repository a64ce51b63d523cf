/* The batch AEAD: cuts packets into lane work, keeps the vector cores (aead_core.h) fed, and weaves the
 * Poly1305 input of one packet into the cipher rounds of another.
 *
 * Each packet is split into a body, whole groups of lanes * 64 bytes, which a core encrypts in one run, and a
 * tail.  The keystream blocks of all tails, and of all Poly1305 keys, are pooled over the packets of a
 * portion of the batch, so that they fill lanes together.  Packets go in pairs: while two are encrypted, the
 * two before them (when opening: the two behind them) are absorbed by Poly1305. */
#include "crypto/aead_batch.h"

#include "crypto/aead_avx512.h"
#include "crypto/aead_core.h"
#include "crypto/bytes.h"
#include "crypto/chacha20.h"
#include "crypto/cpu_features.h"
#include "crypto/secure_memory.h"
#include "crypto/segments.h"

/* Items handled together; enough to fill lanes and to overlap packets, few enough for the workspace. */
#define PORTION_ITEMS 32

#define GROUP_MAX_BYTES (AEAD_CORE_MAX_LANES * CHACHA20_BLOCK_BYTES)
/* Block 0 (the Poly1305 key), then the tail's blocks. */
#define POOLED_MAX_BYTES (CHACHA20_BLOCK_BYTES + GROUP_MAX_BYTES)

struct packet {
    struct aead_item *item;
    struct segment_cursor source, destination;
    size_t length; /* of the ciphertext without the tag */
    size_t body_groups;
    size_t tail_bytes;
    uint8_t *pooled; /* keystream: block 0, whose first half is the Poly1305 key, then the tail's blocks */
    struct poly1305_state poly;
    struct aead_feed feed; /* ciphertext that is contiguous in memory and waits for Poly1305 */
    const uint8_t
        *tail; /* the contiguous ciphertext's last, partial Poly1305 block; NULL: absorbed already */
};

struct workspace {
    uint8_t pool[PORTION_ITEMS * POOLED_MAX_BYTES];
    struct packet packets[PORTION_ITEMS];
    uint8_t bounce[GROUP_MAX_BYTES];
    uint8_t unused_lane[CHACHA20_BLOCK_BYTES];
    struct aead_run run;
    struct aead_lane lanes[AEAD_CORE_MAX_LANES];
    struct aead_feed empty_feed;
    struct poly1305_state empty_poly;
    uint8_t tags[2][AEAD_TAG_BYTES];
    uint32_t packet_count;
    uint32_t pooled_packets;           /* all their pooled blocks are there, */
    uint32_t pooled_blocks;            /* and so many of the next packet's */
    uint32_t absorb_first, absorb_end; /* the packets that wait for Poly1305 */
};

_Static_assert(sizeof(struct workspace) <= AEAD_WORKSPACE_BYTES, "the public workspace is too small");

/* From the slowest to the fastest. */
static const struct aead_core *const cores[] = {
    &aead_core_sse2, /* of whatever the target's baseline is */
#if defined(__x86_64__)
    &aead_core_ssse3,
    &aead_core_avx2,
#endif
};
static const struct aead_core *selected_core = &aead_core_sse2, *narrow_core = &aead_core_sse2;

/* Whole portions of ordinary packets are done by AVX-512 code, which has no use for cores. */
static bool avx512_selected;

uint32_t aead_core_select(uint32_t features)
{
    const uint32_t avx512 = CPU_FEATURE_AVX512 | CPU_FEATURE_AVX512_IFMA;
    avx512_selected = WYRM_HAS_AVX512 && (features & avx512) == avx512;
    for (size_t i = 0; i < sizeof cores / sizeof cores[0]; i++)
        if ((cores[i]->features & ~features) == 0)
            selected_core = cores[i];
#if defined(__x86_64__)
    narrow_core = (features & CPU_FEATURE_SSSE3) != 0 ? &aead_core_ssse3 : &aead_core_sse2;
#endif
    return selected_core->features | (avx512_selected ? avx512 : 0);
}

static size_t group_bytes(const struct aead_core *core)
{
    return core->lanes * CHACHA20_BLOCK_BYTES;
}

/* --- lengths --- */

static bool packet_prepare(struct packet *packet, struct aead_item *item, bool seal,
                           const struct aead_core *core)
{
    size_t source_length, destination_length;
    if (!segments_length(item->source, item->source_count, AEAD_MESSAGE_MAX_BYTES + AEAD_TAG_BYTES,
                         &source_length))
        return false;
    if (item->aad_length > AEAD_MESSAGE_MAX_BYTES)
        return false;
    if (seal) {
        if (item->padding > AEAD_MESSAGE_MAX_BYTES || source_length + item->padding > AEAD_MESSAGE_MAX_BYTES)
            return false;
        packet->length = source_length + item->padding;
    } else {
        if (source_length < AEAD_TAG_BYTES)
            return false;
        packet->length = source_length - AEAD_TAG_BYTES;
    }
    size_t needed = packet->length + (seal ? AEAD_TAG_BYTES : 0);
    if (!segments_length(item->destination, item->destination_count, SIZE_MAX, &destination_length) ||
        destination_length < needed)
        return false;

    packet->item = item;
    segment_cursor_init(&packet->source, item->source, item->source_count);
    segment_cursor_init(&packet->destination, item->destination, item->destination_count);
    packet->body_groups = packet->length / group_bytes(core);
    packet->tail_bytes = packet->length % group_bytes(core);
    return true;
}

/* --- Poly1305 keys and tails: pooled lanes --- */

static uint32_t pooled_blocks(const struct packet *packet)
{
    return 1 + (uint32_t)((packet->tail_bytes + CHACHA20_BLOCK_BYTES - 1) / CHACHA20_BLOCK_BYTES);
}

/* Where the pooled blocks of each packet go.  Returns how many bytes they are. */
static size_t pool_lay_out(struct workspace *ws)
{
    uint8_t *next = ws->pool;
    for (uint32_t p = 0; p < ws->packet_count; p++) {
        ws->packets[p].pooled = next;
        next += pooled_blocks(&ws->packets[p]) * CHACHA20_BLOCK_BYTES;
    }
    ws->pooled_packets = 0;
    ws->pooled_blocks = 0;
    return (size_t)(next - ws->pool);
}

/* The first packets that wait for Poly1305 and have enough for a core; `count` feeds, empty ones at the end.
 */
static void choose_feeds(struct workspace *ws, struct aead_feed **feeds, uint32_t count,
                         const struct aead_core *core)
{
    uint32_t found = 0;
    for (uint32_t p = ws->absorb_first; p < ws->absorb_end && found < count; p++)
        if (ws->packets[p].feed.blocks >= core->lanes / 2)
            feeds[found++] = &ws->packets[p].feed;
    while (found < count)
        feeds[found++] = &ws->empty_feed;
}

/* Computes the next pooled blocks, as many as there are lanes. */
static void pool_next_lanes(struct workspace *ws, const struct aead_core *core)
{
    struct aead_feed *feeds[AEAD_FEEDS];
    uint32_t filled = 0;
    while (filled < core->lanes && ws->pooled_packets < ws->packet_count) {
        const struct packet *packet = &ws->packets[ws->pooled_packets];
        uint32_t block = ws->pooled_blocks;
        struct aead_lane *lane = &ws->lanes[filled++];
        lane->key = packet->item->key;
        store_le32(lane->counter_nonce,
                   block == 0 ? 0 : (uint32_t)(packet->body_groups * core->lanes) + block);
        __builtin_memcpy(lane->counter_nonce + 4, packet->item->nonce, AEAD_NONCE_BYTES);
        lane->out = packet->pooled + (size_t)block * CHACHA20_BLOCK_BYTES;
        if (++ws->pooled_blocks == pooled_blocks(packet)) {
            ws->pooled_packets++;
            ws->pooled_blocks = 0;
        }
    }
    bool few = filled <= core->few_lanes;
    for (uint32_t i = filled; i < (few ? core->few_lanes : core->lanes); i++) {
        ws->lanes[i] = ws->lanes[0];
        ws->lanes[i].out = ws->unused_lane;
    }
    if (few) {
        core->keystream_few(ws->lanes);
    } else {
        choose_feeds(ws, feeds, AEAD_FEEDS, core);
        core->keystream(ws->lanes, feeds);
    }
}

/* Makes the pooled keystream of the packets before `end`, if there are so many. */
static void pool_until(struct workspace *ws, uint32_t end, const struct aead_core *core)
{
    if (end > ws->packet_count)
        end = ws->packet_count;
    while (ws->pooled_packets < end)
        pool_next_lanes(ws, core);
}

static void packet_start_poly(struct workspace *ws, uint32_t p)
{
    struct packet *packet = &ws->packets[p];
    poly1305_init(&packet->poly, packet->pooled);
    poly1305_padded(&packet->poly, packet->item->aad, packet->item->aad_length);
    packet->feed = (struct aead_feed){.poly = &packet->poly};
    packet->tail = NULL;
}

/* Absorbs what still waits of one or two packets and computes their tags. */
static void packets_finish_poly(struct workspace *ws, uint32_t first, uint32_t count)
{
    struct packet *packet = &ws->packets[first];
    size_t common = 0;
    if (count == 2)
        common =
            packet[0].feed.blocks < packet[1].feed.blocks ? packet[0].feed.blocks : packet[1].feed.blocks;
    if (common > 0) {
        struct aead_feed *a = &packet[0].feed, *b = &packet[1].feed;
        poly1305_blocks_of_two(a->poly, a->data, b->poly, b->data, common);
        a->data += common * POLY1305_BLOCK_BYTES;
        b->data += common * POLY1305_BLOCK_BYTES;
        a->blocks -= common;
        b->blocks -= common;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct aead_feed *feed = &packet[i].feed;
        poly1305_blocks(feed->poly, feed->data, feed->blocks);
        feed->blocks = 0;
        if (packet[i].tail != NULL)
            poly1305_padded(feed->poly, packet[i].tail, packet[i].length % POLY1305_BLOCK_BYTES);
        poly1305_lengths(feed->poly, packet[i].item->aad_length, packet[i].length);
        poly1305_final(feed->poly, ws->tags[i]);
    }
}

/* --- cipher --- */

static void xor_bytes(uint8_t *destination, const uint8_t *source, const uint8_t *keystream, size_t length)
{
    typedef uint64_t row __attribute__((vector_size(16), aligned(1), may_alias));
    size_t i = 0;
    for (; i + 16 <= length; i += 16)
        *(row *)(destination + i) = *(const row *)(source + i) ^ *(const row *)(keystream + i);
    for (; i < length; i++)
        destination[i] = source[i] ^ keystream[i];
}

/* Encrypts or decrypts the body; the packets that wait are absorbed meanwhile.  With `seal`, the packet's own
 * output is absorbed too: through its feed when `contiguous`, else piece by piece. */
static void packet_body(struct workspace *ws, struct packet *packet, bool seal, bool contiguous,
                        const struct aead_core *core)
{
    const size_t group = group_bytes(core);
    struct aead_run *run = &ws->run;
    size_t groups = packet->body_groups;

    if (groups == 0 || group == 0)
        return;
    run->key = packet->item->key;
    store_le32(run->counter_nonce, 1);
    __builtin_memcpy(run->counter_nonce + 4, packet->item->nonce, AEAD_NONCE_BYTES);
    choose_feeds(ws, run->feeds, AEAD_FEEDS - 1, core);
    run->feeds[AEAD_FEEDS - 1] = seal && contiguous ? &packet->feed : &ws->empty_feed;
    run->produced_blocks = seal && contiguous ? group / POLY1305_BLOCK_BYTES : 0;

    while (groups > 0) {
        size_t readable = segment_cursor_contiguous(&packet->source);
        size_t writable = segment_cursor_contiguous(&packet->destination);
        size_t both = (readable < writable ? readable : writable) / group;
        if (both > 0) {
            run->groups = both < groups ? both : groups;
            run->source = segment_cursor_data(&packet->source);
            run->destination = segment_cursor_data(&packet->destination);
            size_t bytes = run->groups * group;
            groups -= run->groups;
            if (seal && !contiguous) {
                const uint8_t *written = run->destination;
                core->run(run);
                poly1305_blocks(&packet->poly, written, bytes / POLY1305_BLOCK_BYTES);
            } else {
                core->run(run);
            }
            segment_cursor_skip(&packet->source, bytes);
            segment_cursor_skip(&packet->destination, bytes);
        } else {
            /* A group that crosses a segment boundary.  A contiguous destination is written directly, because
             * the feed points into it. */
            segment_cursor_read(&packet->source, ws->bounce, group);
            run->groups = 1;
            run->source = ws->bounce;
            run->destination = writable >= group ? segment_cursor_data(&packet->destination) : ws->bounce;
            core->run(run);
            groups--;
            if (writable >= group) {
                if (seal && !contiguous)
                    poly1305_blocks(&packet->poly, segment_cursor_data(&packet->destination),
                                    group / POLY1305_BLOCK_BYTES);
                segment_cursor_skip(&packet->destination, group);
            } else {
                if (seal)
                    poly1305_blocks(&packet->poly, ws->bounce, group / POLY1305_BLOCK_BYTES);
                segment_cursor_write(&packet->destination, ws->bounce, group);
            }
        }
    }
}

/* Encrypts or decrypts the tail with pooled keystream; the output is absorbed with `seal`. */
static void packet_tail(struct workspace *ws, struct packet *packet, bool seal, bool contiguous)
{
    const uint8_t *keystream = packet->pooled + CHACHA20_BLOCK_BYTES;
    size_t length = packet->tail_bytes;
    const uint8_t *source = ws->bounce;
    uint8_t *destination = ws->bounce;

    if (length == 0)
        return;
    if (segment_cursor_contiguous(&packet->source) >= length)
        source = segment_cursor_data(&packet->source);
    else
        segment_cursor_read(&packet->source, ws->bounce, length);
    bool direct = segment_cursor_contiguous(&packet->destination) >= length;
    if (direct)
        destination = segment_cursor_data(&packet->destination);

    xor_bytes(destination, source, keystream, length);
    if (seal && contiguous) {
        size_t rest = length % POLY1305_BLOCK_BYTES;
        packet->feed.blocks += length / POLY1305_BLOCK_BYTES;
        if (rest > 0)
            packet->tail = destination + length - rest;
    } else if (seal) {
        poly1305_padded(&packet->poly, destination, length);
    }
    if (direct)
        segment_cursor_skip(&packet->destination, length);
    else
        segment_cursor_write(&packet->destination, ws->bounce, length);
}

/* --- seal --- */

/* Packets of a pair: two, or one at the end. */
static uint32_t pair_size(const struct workspace *ws, uint32_t first)
{
    uint32_t left = ws->packet_count - first;
    return left < 2 ? left : 2;
}

/* The tags go behind the ciphertexts, where the destination cursors stand. */
static void pair_finish_seal(struct workspace *ws, uint32_t first)
{
    uint32_t count = pair_size(ws, first);
    packets_finish_poly(ws, first, count);
    for (uint32_t i = 0; i < count; i++) {
        struct packet *packet = &ws->packets[first + i];
        segment_cursor_write(&packet->destination, ws->tags[i], AEAD_TAG_BYTES);
        packet->item->ok = true;
    }
}

static void seal_portion(struct workspace *ws, const struct aead_core *core)
{
    /* One pair's ciphertext is absorbed while the next one is encrypted. */
    for (uint32_t pair = 0; pair < ws->packet_count; pair += 2) {
        ws->absorb_first = pair < 2 ? 0 : pair - 2;
        ws->absorb_end = pair;
        pool_until(ws, pair + 2, core);
        for (uint32_t p = pair; p < pair + pair_size(ws, pair); p++) {
            struct packet *packet = &ws->packets[p];
            bool contiguous = segment_cursor_contiguous(&packet->destination) >= packet->length;
            packet_start_poly(ws, p);
            if (contiguous)
                packet->feed.data = packet->length > 0 ? segment_cursor_data(&packet->destination) : NULL;
            packet_body(ws, packet, true, contiguous, core);
            packet_tail(ws, packet, true, contiguous);
            /* Later, the pair before is enough, and its two are to end together. */
            if (pair == 0)
                ws->absorb_end = p + 1;
        }
        if (pair > 0)
            pair_finish_seal(ws, pair - 2);
    }
    if (ws->packet_count > 0)
        pair_finish_seal(ws, (ws->packet_count - 1) & ~1u);
}

/* --- open --- */

/* Makes the ciphertext available to Poly1305: as a feed when contiguous, else absorbs it at once. */
static void packet_start_open(struct workspace *ws, uint32_t p)
{
    struct packet *packet = &ws->packets[p];
    packet_start_poly(ws, p);
    if (packet->length == 0)
        return;
    if (segment_cursor_contiguous(&packet->source) >= packet->length) {
        const uint8_t *data = segment_cursor_data(&packet->source);
        packet->feed.data = data;
        packet->feed.blocks = packet->length / POLY1305_BLOCK_BYTES;
        if (packet->length % POLY1305_BLOCK_BYTES > 0)
            packet->tail = data + packet->length - packet->length % POLY1305_BLOCK_BYTES;
        return;
    }
    struct segment_cursor cursor = packet->source;
    for (size_t left = packet->length; left > 0;) {
        size_t piece = left < sizeof ws->bounce ? left : sizeof ws->bounce;
        segment_cursor_read(&cursor, ws->bounce, piece);
        poly1305_padded(&packet->poly, ws->bounce, piece);
        left -= piece;
    }
}

static void pair_verify(struct workspace *ws, uint32_t first)
{
    uint32_t count = pair_size(ws, first);
    packets_finish_poly(ws, first, count);
    for (uint32_t i = 0; i < count; i++) {
        struct packet *packet = &ws->packets[first + i];
        const uint8_t *received;
        uint8_t gathered[AEAD_TAG_BYTES];
        if (segment_cursor_contiguous(&packet->source) >= packet->length + AEAD_TAG_BYTES) {
            received = segment_cursor_data(&packet->source) + packet->length;
        } else {
            struct segment_cursor cursor = packet->source;
            segment_cursor_skip(&cursor, packet->length);
            segment_cursor_read(&cursor, gathered, sizeof gathered);
            received = gathered;
        }
        packet->item->ok = secure_equal(ws->tags[i], received, AEAD_TAG_BYTES);
    }
}

static void pair_start_open(struct workspace *ws, uint32_t first)
{
    ws->absorb_first = first;
    ws->absorb_end = first + pair_size(ws, first);
    for (uint32_t p = first; p < ws->absorb_end; p++)
        packet_start_open(ws, p);
}

static void open_portion(struct workspace *ws, const struct aead_core *core)
{
    if (ws->packet_count == 0)
        return;
    ws->absorb_first = ws->absorb_end = 0;
    pool_until(ws, 2, core);
    pair_start_open(ws, 0);
    /* While one verified pair is decrypted, the next one's ciphertext is absorbed. */
    for (uint32_t pair = 0; pair < ws->packet_count; pair += 2) {
        uint32_t end = pair + pair_size(ws, pair);
        pool_until(ws, pair + 4, core);
        pair_verify(ws, pair);
        ws->absorb_first = ws->absorb_end = end;
        if (end < ws->packet_count)
            pair_start_open(ws, end);
        for (uint32_t p = pair; p < end; p++) {
            struct packet *packet = &ws->packets[p];
            if (packet->item->ok) {
                packet_body(ws, packet, false, false, core);
                packet_tail(ws, packet, false, false);
            }
        }
    }
}

/* --- batches --- */

/* Overwrites what the cores and inlined functions below may have left on the stack, keys among it. */
#define STACK_USED_BYTES 3072
__attribute__((noinline)) static void scrub_stack(void)
{
    uint8_t spilled[STACK_USED_BYTES];
    secure_zero(spilled, sizeof spilled);
}

static size_t cores_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace, bool seal,
                          const struct aead_core *core)
{
    struct workspace *ws = (struct workspace *)workspace->opaque;
    size_t succeeded = 0, pool_used = 0;

    __builtin_memset(&ws->empty_poly, 0, sizeof ws->empty_poly);
    ws->empty_feed = (struct aead_feed){.poly = &ws->empty_poly};

    for (size_t first = 0; first < count; first += PORTION_ITEMS) {
        size_t portion = count - first < PORTION_ITEMS ? count - first : PORTION_ITEMS;
        ws->packet_count = 0;
        for (size_t i = 0; i < portion; i++) {
            struct aead_item *item = &items[first + i];
            item->ok = false;
            if (packet_prepare(&ws->packets[ws->packet_count], item, seal, core))
                ws->packet_count++;
        }
        size_t pooled = pool_lay_out(ws);
        if (pooled > pool_used)
            pool_used = pooled;
        if (seal)
            seal_portion(ws, core);
        else
            open_portion(ws, core);
        for (size_t i = 0; i < portion; i++)
            succeeded += items[first + i].ok;
    }

    size_t used = count < PORTION_ITEMS ? count : PORTION_ITEMS;
    secure_zero(ws->pool, pool_used);
    secure_zero(ws->packets, used * sizeof ws->packets[0]);
    secure_zero(ws->bounce, sizeof *ws - offsetof(struct workspace, bounce));
    scrub_stack();
    return succeeded;
}

#if WYRM_HAS_AVX512
static size_t avx512_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace, bool seal)
{
    struct aead_item *fitting[AEAD_AVX512_ITEMS];
    size_t succeeded = 0;
    for (size_t next = 0; next < count;) {
        size_t fits = 0;
        for (; next < count && fits < AEAD_AVX512_ITEMS; next++) {
            struct aead_item *item = &items[next];
            item->ok = false;
            if (aead_avx512_fits(item, seal))
                fitting[fits++] = item;
            else
                succeeded += cores_batch(item, 1, workspace, seal, selected_core);
        }
        if (fits > 0)
            aead_avx512(fitting, fits, seal, workspace->opaque);
        for (size_t i = 0; i < fits; i++)
            succeeded += fitting[i]->ok;
    }
    return succeeded;
}
#endif

static size_t process_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace,
                            bool seal)
{
#if WYRM_HAS_AVX512
    if (avx512_selected)
        return avx512_batch(items, count, workspace, seal);
#endif
    return cores_batch(items, count, workspace, seal, selected_core);
}

size_t aead_seal_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    return process_batch(items, count, workspace, true);
}

size_t aead_open_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    return process_batch(items, count, workspace, false);
}

size_t aead_seal_batch_narrow(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    return cores_batch(items, count, workspace, true, narrow_core);
}

size_t aead_open_batch_narrow(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    return cores_batch(items, count, workspace, false, narrow_core);
}
