/* See the header.  All ChaCha20 blocks of the call are cut into sets of sixteen: the body of a packet in sets
 * of its own, as their setting up and their addresses are simple; what is left of each packet, and the blocks
 * that become Poly1305 keys, in pooled sets, each lane with an address of its own.  Two sets are computed at
 * a time. */
#include "crypto/aead_avx512.h"

#include "crypto/bytes.h"
#include "crypto/chacha20_avx512.h"
#include "crypto/poly1305_avx512.h"
#include "crypto/secure_memory.h"
#include "crypto/segments.h"

#define SET_BYTES ((size_t)CHACHA20_SET_BLOCKS * CHACHA20_BLOCK_BYTES)

/* What happens with the keystream of one lane of a pooled set. */
struct lane {
    const uint8_t *source; /* `readable` bytes, then zeros */
    uint8_t *destination;  /* `writable` bytes */
    uint8_t readable, writable;
};

struct set {
    struct chacha20_set state;
    const uint8_t *key; /* whose words are in the state's lanes */
    bool mixed;         /* not in all of them */
    bool pooled;
    uint32_t lanes; /* pooled: used ones */
    const uint8_t *source;
    uint8_t *destination;
    struct lane lane[CHACHA20_SET_BLOCKS];
};

/* When opening, the keystream of so short a packet is made together with its key and kept until its tag has
 * been verified: the sets are set up once, and computed two at a time. */
#define SHORT_BYTES ((size_t)2 * CHACHA20_BLOCK_BYTES)

#define SETS 3 /* a pooled one that is being filled, and two that are computed */

struct workspace {
    struct set *pooled, *ready[2];
    uint32_t ready_count, free_count;
    struct set *free[SETS];
    struct set sets[SETS];
    struct poly1305_message messages[AEAD_AVX512_ITEMS];
    _Alignas(64) uint8_t keystream[AEAD_AVX512_ITEMS][SHORT_BYTES];
};

_Static_assert(sizeof(struct workspace) <= AEAD_WORKSPACE_BYTES, "the public workspace is too small");

static const uint8_t no_source[1];

/* ---- sets ---- */

INLINE void fill(uint32_t *words, uint32_t value)
{
    _mm512_store_si512(words, _mm512_set1_epi32((int)value));
}

INLINE void fill_lanes(uint32_t *words, __mmask16 lanes, uint32_t value)
{
    _mm512_mask_store_epi32(words, lanes, _mm512_set1_epi32((int)value));
}

static void set_key(struct set *set, const uint8_t *key)
{
    if (set->key == key && !set->mixed) /* mostly: a batch is of one session */
        return;
    for (int i = 0; i < 8; i++)
        fill(set->state.word[4 + i], load_le32(key + 4 * i));
    set->key = key;
    set->mixed = false;
}

static void sets_start(struct workspace *ws)
{
    static const uint32_t constants[4] = {CHACHA20_CONSTANT_0, CHACHA20_CONSTANT_1, CHACHA20_CONSTANT_2,
                                          CHACHA20_CONSTANT_3};
    ws->pooled = NULL;
    ws->ready_count = 0;
    ws->free_count = 0;
    for (int i = 0; i < SETS; i++) {
        for (int k = 0; k < 4; k++)
            fill(ws->sets[i].state.word[k], constants[k]);
        ws->sets[i].key = NULL;
        ws->free[ws->free_count++] = &ws->sets[i];
    }
}

INLINE __m512i lane_numbers(void)
{
    return _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}

static struct set *take_set(struct workspace *ws)
{
    return ws->free[--ws->free_count];
}

INLINE void crypt_full(uint8_t *destination, const uint8_t *source, __m512i keystream)
{
    _mm512_storeu_si512(destination, _mm512_xor_si512(_mm512_loadu_si512(source), keystream));
}

INLINE void crypt_lane(const struct lane *lane, __m512i keystream)
{
    if (lane->readable == CHACHA20_BLOCK_BYTES) {
        crypt_full(lane->destination, lane->source, keystream);
        return;
    }
    __mmask64 readable = _bzhi_u64(~UINT64_C(0), lane->readable),
              writable = _bzhi_u64(~UINT64_C(0), lane->writable);
    __m512i text = _mm512_maskz_loadu_epi8(readable, lane->source);
    _mm512_mask_storeu_epi8(lane->destination, writable, _mm512_xor_si512(text, keystream));
}

INLINE void use_keystream(const struct set *set, __m512i x[16])
{
    transpose_16(x);
    if (!set->pooled) {
        UNROLLED for (size_t i = 0; i < CHACHA20_SET_BLOCKS; i++) crypt_full(
            set->destination + i * CHACHA20_BLOCK_BYTES, set->source + i * CHACHA20_BLOCK_BYTES, x[i]);
        return;
    }
    UNROLLED for (uint32_t i = 0; i < CHACHA20_SET_BLOCKS; i++) if (i < set->lanes)
        crypt_lane(&set->lane[i], x[i]);
}

__attribute__((noinline)) static void compute_two(const struct set *first, const struct set *second)
{
    const struct chacha20_set *states[2] = {&first->state, &second->state};
    __m512i x[2][16];
    chacha20_words(states, x, 2);
    use_keystream(first, x[0]);
    use_keystream(second, x[1]);
}

__attribute__((noinline)) static void compute_one(const struct set *set)
{
    const struct chacha20_set *states[1] = {&set->state};
    __m512i x[1][16];
    chacha20_words(states, x, 1);
    use_keystream(set, x[0]);
}

static void give_back(struct workspace *ws)
{
    while (ws->ready_count > 0)
        ws->free[ws->free_count++] = ws->ready[--ws->ready_count];
}

static void set_is_ready(struct workspace *ws, struct set *set)
{
    ws->ready[ws->ready_count++] = set;
    if (ws->ready_count == 2) {
        compute_two(ws->ready[0], ws->ready[1]);
        give_back(ws);
    }
}

static void flush(struct workspace *ws)
{
    if (ws->pooled != NULL) {
        struct set *set = ws->pooled;
        ws->pooled = NULL;
        set_is_ready(ws, set);
    }
    if (ws->ready_count == 1) {
        compute_one(ws->ready[0]);
        give_back(ws);
    }
}

static void add_body(struct workspace *ws, const struct aead_item *item, uint32_t counter,
                     const uint8_t *source, uint8_t *destination)
{
    struct set *set = take_set(ws);
    set_key(set, item->key);
    _mm512_store_si512(set->state.word[12],
                       _mm512_add_epi32(_mm512_set1_epi32((int)counter), lane_numbers()));
    for (int i = 0; i < 3; i++)
        fill(set->state.word[13 + i], load_le32(item->nonce + 4 * i));
    set->pooled = false;
    set->source = source;
    set->destination = destination;
    set_is_ready(ws, set);
}

/* The next lanes of the pooled set, at most `count`, for the packet's blocks from `counter` on: how many, and
 * the first. */
INLINE uint32_t add_lanes(struct workspace *ws, const struct aead_item *item, uint32_t counter, size_t count,
                          struct lane **lane)
{
    struct set *set = ws->pooled;
    if (set == NULL) {
        set = ws->pooled = take_set(ws);
        set_key(set, item->key);
        set->pooled = true;
        set->lanes = 0;
    }
    uint32_t at = set->lanes, room = CHACHA20_SET_BLOCKS - at, taken = count < room ? (uint32_t)count : room;
    __mmask16 these = (__mmask16)(((1u << taken) - 1) << at);
    if (set->key != item->key) {
        for (int i = 0; i < 8; i++)
            fill_lanes(set->state.word[4 + i], these, load_le32(item->key + 4 * i));
        set->mixed = true;
    }
    _mm512_mask_store_epi32(set->state.word[12], these,
                            _mm512_add_epi32(_mm512_set1_epi32((int)(counter - at)), lane_numbers()));
    for (int i = 0; i < 3; i++)
        fill_lanes(set->state.word[13 + i], these, load_le32(item->nonce + 4 * i));
    *lane = &set->lane[at];
    set->lanes = at + taken;
    return taken;
}

/* When the lanes have been told what to do. */
INLINE void lanes_added(struct workspace *ws)
{
    struct set *set = ws->pooled;
    if (set->lanes == CHACHA20_SET_BLOCKS) {
        ws->pooled = NULL;
        set_is_ready(ws, set);
    }
}

/* ---- packets ---- */

/* The block that becomes the packet's Poly1305 key. */
static void add_key(struct workspace *ws, const struct aead_item *item, struct poly1305_message *message)
{
    struct lane *lane;
    add_lanes(ws, item, 0, 1, &lane);
    *lane = (struct lane){no_source, message->key, 0, CHACHA20_BLOCK_BYTES};
    lanes_added(ws);
}

static size_t at_most(size_t value, size_t limit)
{
    return value < limit ? value : limit;
}

/* `length` bytes from `source`, which has `readable` of them and then zeros.  With `message`, its key as
 * well: in one go with the blocks behind it where there is no body. */
static void add_text(struct workspace *ws, const struct aead_item *item, struct poly1305_message *message,
                     const uint8_t *source, size_t readable, uint8_t *destination, size_t length)
{
    size_t at = 0, key = message != NULL;
    for (; at + SET_BYTES <= length && at + SET_BYTES <= readable; at += SET_BYTES)
        add_body(ws, item, (uint32_t)(1 + at / CHACHA20_BLOCK_BYTES), source + at, destination + at);
    if (key && at > 0) {
        add_key(ws, item, message);
        key = 0;
    }
    while (key || at < length) {
        size_t blocks = (length - at + CHACHA20_BLOCK_BYTES - 1) / CHACHA20_BLOCK_BYTES;
        struct lane *lane;
        uint32_t taken =
            add_lanes(ws, item, (uint32_t)(1 - key + at / CHACHA20_BLOCK_BYTES), blocks + key, &lane);
        if (key) {
            *lane++ = (struct lane){no_source, message->key, 0, CHACHA20_BLOCK_BYTES};
            taken--;
            key = 0;
        }
        for (uint32_t i = 0; i < taken; i++, at += CHACHA20_BLOCK_BYTES) {
            size_t here = at < readable ? at_most(readable - at, CHACHA20_BLOCK_BYTES) : 0;
            lane[i] = (struct lane){here > 0 ? source + at : no_source, destination + at, (uint8_t)here,
                                    (uint8_t)at_most(length - at, CHACHA20_BLOCK_BYTES)};
        }
        lanes_added(ws);
    }
}

/* The plaintext in one piece: where it is, or gathered where the ciphertext goes. */
static const uint8_t *gather(const struct aead_item *item)
{
    uint8_t *to = item->destination->data;
    if (item->source_count == 1)
        return item->source->data;
    for (size_t i = 0; i < item->source_count; i++) {
        const struct aead_segment *segment = &item->source[i];
        if (segment->length > 0 && segment->data != to) /* else it is in place */
            __builtin_memcpy(to, segment->data, segment->length);
        to += segment->length;
    }
    return item->destination->data;
}

static void seal(struct workspace *ws, struct aead_item *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct aead_item *item = items[i];
        struct poly1305_message *message = &ws->messages[i];
        size_t readable = 0;
        for (size_t k = 0; k < item->source_count; k++)
            readable += item->source[k].length;
        message->data = item->destination->data;
        message->length = readable + item->padding;
        add_text(ws, item, message, gather(item), readable, item->destination->data, message->length);
    }
    flush(ws);
    poly1305_avx512(ws->messages, count);
    for (size_t i = 0; i < count; i++) {
        __builtin_memcpy(items[i]->destination->data + ws->messages[i].length, ws->messages[i].tag,
                         AEAD_TAG_BYTES);
        items[i]->ok = true;
    }
}

static void crypt_short(const struct aead_item *item, const uint8_t *keystream, size_t length)
{
    for (size_t at = 0; at < length; at += CHACHA20_BLOCK_BYTES) {
        uint8_t here = (uint8_t)at_most(length - at, CHACHA20_BLOCK_BYTES);
        struct lane lane = {item->source->data + at, item->destination->data + at, here, here};
        crypt_lane(&lane, _mm512_load_si512(keystream + at));
    }
}

static void open(struct workspace *ws, struct aead_item *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ws->messages[i].data = items[i]->source->data;
        ws->messages[i].length = items[i]->source->length - AEAD_TAG_BYTES;
        if (ws->messages[i].length <= SHORT_BYTES)
            add_text(ws, items[i], &ws->messages[i], no_source, 0, ws->keystream[i], ws->messages[i].length);
        else
            add_key(ws, items[i], &ws->messages[i]);
    }
    flush(ws);
    poly1305_avx512(ws->messages, count);
    for (size_t i = 0; i < count; i++) {
        struct aead_item *item = items[i];
        size_t length = ws->messages[i].length;
        item->ok =
            secure_equal((const uint8_t *)ws->messages[i].tag, item->source->data + length, AEAD_TAG_BYTES);
        if (!item->ok)
            continue;
        if (length <= SHORT_BYTES)
            crypt_short(item, ws->keystream[i], length);
        else
            add_text(ws, item, NULL, item->source->data, length, item->destination->data, length);
    }
    flush(ws);
}

bool aead_avx512_fits(const struct aead_item *item, bool seals)
{
    size_t length;
    if (item->aad_length != 0 || item->destination_count != 1)
        return false;
    if (!seals)
        return item->source_count == 1 && item->source->length >= AEAD_TAG_BYTES &&
               item->source->length <= AEAD_MESSAGE_MAX_BYTES &&
               item->destination->length >= item->source->length - AEAD_TAG_BYTES;
    return segments_length(item->source, item->source_count, AEAD_MESSAGE_MAX_BYTES, &length) &&
           item->padding <= AEAD_MESSAGE_MAX_BYTES - length &&
           item->destination->length >= length + item->padding + AEAD_TAG_BYTES;
}

/* `length` is a multiple of 64, as the structures' sizes are.  Volatile: the compiler would make it a call of
 * memset, which costs more. */
INLINE void wipe(void *memory, size_t length)
{
    for (size_t i = 0; i < length; i += 64)
        *(volatile __m512i *)((uint8_t *)memory + i) = _mm512_setzero_si512();
}

/* What the functions below here may have spilled: Poly1305's frames are the largest, 1.9 KB. */
__attribute__((noinline)) static void scrub_stack(void)
{
    _Alignas(64) uint8_t spilled[2304];
    wipe(spilled, sizeof spilled);
}

void aead_avx512(struct aead_item *const *items, size_t count, bool seals, void *workspace)
{
    struct workspace *ws = workspace;
    sets_start(ws);
    if (seals)
        seal(ws, items, count);
    else
        open(ws, items, count);
    wipe(ws, offsetof(struct workspace, messages) + count * sizeof ws->messages[0]);
    if (!seals)
        wipe(ws->keystream, count * sizeof ws->keystream[0]);
    scrub_stack();
}
