/* Which packets the transmit side takes for its own ciphertext (loop_guard.c), and reading packets that are
 * spread over MDLs (workspace.c). */
#include "adapter.h"
#include "check.h"
#include "loop_guard.h"
#include "memory.h"
#include "protocol/constants.h"
#include "protocol/messages.h"
#include "workspace.h"

#include <stdlib.h>

#define PORT 51820

/* ---- the parts of the kernel that the code under test calls ---- */

void *memory_allocate_uninitialized(enum memory_kind kind, size_t bytes)
{
    (void)kind;
    return malloc(bytes);
}

void memory_free(enum memory_kind kind, void *memory, size_t bytes)
{
    (void)kind, (void)bytes;
    free(memory);
}

VOID NTAPI InitializeSListHead(PSLIST_HEADER head)
{
    __builtin_memset(head, 0, sizeof(*head));
}

USHORT NTAPI ExQueryDepthSList(PSLIST_HEADER head)
{
    return head->HeaderX64.Words[1] != 0;
}

PSLIST_ENTRY NTAPI ExpInterlockedPopEntrySList(PSLIST_HEADER head)
{
    PSLIST_ENTRY entry = (PSLIST_ENTRY)(uintptr_t)head->HeaderX64.Words[1];
    if (entry)
        head->HeaderX64.Words[1] = (uintptr_t)entry->Next;
    return entry;
}

PSLIST_ENTRY NTAPI ExpInterlockedPushEntrySList(PSLIST_HEADER head, PSLIST_ENTRY entry)
{
    entry->Next = (PSLIST_ENTRY)(uintptr_t)head->HeaderX64.Words[1];
    head->HeaderX64.Words[1] = (uintptr_t)entry;
    return entry->Next;
}

/* An MDL that is not mapped yet and cannot be. */
PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDL mdl, KPROCESSOR_MODE mode, MEMORY_CACHING_TYPE type,
                                         PVOID address, ULONG bug_check, ULONG priority)
{
    (void)mdl, (void)mode, (void)type, (void)address, (void)bug_check, (void)priority;
    return NULL;
}

/* ---- packets ---- */

/* `bytes` spread over MDLs of `piece` bytes each, behind `skip` bytes that do not belong to the packet.  Each
 * piece is a heap block of its own, so that AddressSanitizer sees every byte too far. */
struct spread {
    MDL mdls[256];
    NET_BUFFER buffer;
    uint32_t count;
};

static void spread_make(struct spread *spread, const uint8_t *bytes, uint32_t length, uint32_t skip,
                        uint32_t piece)
{
    memset(spread, 0, sizeof(*spread));
    uint32_t total = skip + length;
    for (uint32_t at = 0; at < total; at += piece) {
        MDL *mdl = &spread->mdls[spread->count++];
        uint32_t here = total - at < piece ? total - at : piece;
        uint8_t *block = malloc(here);
        for (uint32_t i = 0; i < here; i++)
            block[i] = at + i < skip ? 0xee : bytes[at + i - skip];
        mdl->MdlFlags = MDL_MAPPED_TO_SYSTEM_VA;
        mdl->MappedSystemVa = block;
        mdl->ByteCount = here;
        if (spread->count > 1)
            mdl[-1].Next = mdl;
    }
    MDL *first = spread->mdls;
    while (skip >= first->ByteCount && first->Next) {
        skip -= first->ByteCount;
        first = first->Next;
    }
    NET_BUFFER_CURRENT_MDL(&spread->buffer) = first;
    NET_BUFFER_CURRENT_MDL_OFFSET(&spread->buffer) = skip;
    NET_BUFFER_DATA_LENGTH(&spread->buffer) = length;
}

static void spread_free(struct spread *spread)
{
    for (uint32_t i = 0; i < spread->count; i++)
        free(spread->mdls[i].MappedSystemVa);
}

static uint32_t put_udp(uint8_t *at, uint16_t source, uint32_t type, uint32_t index, uint32_t payload)
{
    memset(at, 0, 8 + payload);
    at[0] = (uint8_t)(source >> 8), at[1] = (uint8_t)source;
    at[4] = (uint8_t)((8 + payload) >> 8), at[5] = (uint8_t)(8 + payload);
    if (payload >= 8) {
        store_le32(at + 8, type);
        store_le32(at + 12, index);
    }
    return 8 + payload;
}

enum kind { V4, V4_OPTIONS, V4_FRAGMENT, V4_TCP, V6, V6_FIRST_FRAGMENT, V6_FRAGMENT };

static uint32_t make_packet(uint8_t *packet, enum kind kind, uint16_t source, uint32_t type, uint32_t index,
                            uint32_t payload)
{
    uint32_t header = kind < V6 ? 20 : 40;
    memset(packet, 0, 96);
    if (kind < V6) {
        packet[0] = 0x45;
        packet[9] = kind == V4_TCP ? 6 : 17;
        if (kind == V4_OPTIONS) {
            packet[0] = 0x48;
            header = 32;
        }
        if (kind == V4_FRAGMENT)
            packet[7] = 0x10;
    } else {
        packet[0] = 0x60;
        packet[6] = 17;
        if (kind != V6) {
            packet[6] = 44;
            packet[40] = 17;
            packet[43] = kind == V6_FRAGMENT ? 0x08 : 0x01; /* offset, or only "more fragments" */
            header = 48;
        }
    }
    return header + put_udp(packet + header, source, type, index, payload);
}

#define PEER 7
static struct adapter adapter;
static uint64_t now_ns = 1;

static bool is_own(enum kind kind, uint16_t source, uint32_t type, uint32_t index, uint32_t payload,
                   uint32_t piece)
{
    static struct spread spread;
    uint8_t packet[512];
    uint32_t length = make_packet(packet, kind, source, type, index, payload);
    spread_make(&spread, packet, length, 3, piece);
    bool own = loop_guard_refuses(&adapter, PEER, &spread.buffer, packet, kind < V6 ? 4 : 6, now_ns);
    spread_free(&spread);
    return own;
}

static void test_loop_guard(void)
{
    static _Alignas(64) uint8_t memory[8192];
    static const uint8_t key[INDEX_KEY_BYTES] = {1, 2, 3};
    static _Alignas(16) uint8_t object[16];
    adapter.listen_port = PORT;
    CHECK(index_table_memory_bytes(64) <= sizeof(memory));
    CHECK(index_table_init(&adapter.indexes, memory, 64, key));
    uint32_t ours = index_table_insert(&adapter.indexes, object, INDEX_KIND_HANDSHAKE);
    uint32_t theirs = 0x12345678;
    CHECK(ours != INDEX_NONE);

    CHECK(!is_own(V4, PORT, MESSAGE_DATA, theirs, 64, 512)); /* nothing was sent there yet */
    loop_guard_note(&adapter, PEER, theirs);
    for (uint32_t piece = 1; piece < 100; piece += 7) {
        CHECK_MSG(is_own(V4, PORT, MESSAGE_DATA, theirs, 64, piece), "pieces of %u", piece);
        CHECK_MSG(is_own(V4_OPTIONS, PORT, MESSAGE_DATA, theirs, 64, piece), "pieces of %u", piece);
        CHECK_MSG(is_own(V6, PORT, MESSAGE_DATA, theirs, 64, piece), "pieces of %u", piece);
        CHECK_MSG(is_own(V6_FIRST_FRAGMENT, PORT, MESSAGE_DATA, theirs, 64, piece), "pieces of %u", piece);
    }
    CHECK(is_own(V4, PORT, MESSAGE_INITIATION, ours, 148, 512));
    CHECK(is_own(V6, PORT, MESSAGE_RESPONSE, ours, 92, 512));

    CHECK(!is_own(V4, PORT + 1, MESSAGE_DATA, theirs, 64, 512)); /* another socket's */
    CHECK(!is_own(V4, PORT, MESSAGE_DATA, theirs ^ 0x10000, 64,
                  512)); /* same place in the table, other index */
    CHECK(!is_own(V4, PORT, MESSAGE_DATA, INDEX_NONE, 64, 512));
    CHECK(!is_own(V4, PORT, MESSAGE_INITIATION, ours ^ 1, 148,
                  512)); /* a client behind us has its own tunnel */
    CHECK(!is_own(V4, PORT, 5, theirs, 64, 512));
    CHECK(!is_own(V4_TCP, PORT, MESSAGE_DATA, theirs, 64, 512));
    CHECK(!is_own(V4_FRAGMENT, PORT, MESSAGE_DATA, theirs, 64, 512));
    CHECK(!is_own(V6_FRAGMENT, PORT, MESSAGE_DATA, theirs, 64, 512));
    for (uint32_t payload = 0; payload < 8; payload++) /* too short to say */
        CHECK(!is_own(V4, PORT, MESSAGE_DATA, theirs, payload, 512));

    loop_guard_note(&adapter, PEER,
                    theirs + LOOP_GUARD_ENTRIES); /* pushes the old one out: late, not wrong */
    CHECK(!is_own(V4, PORT, MESSAGE_DATA, theirs, 64, 512));
    CHECK(is_own(V4, PORT, MESSAGE_DATA, theirs + LOOP_GUARD_ENTRIES, 64, 512));
}

/* Does the adapter on `port` refuse to let its peer carry a data message to `index`, sent from `source`? */
static bool refuses(uint16_t port, uint64_t peer, uint16_t source, uint32_t index)
{
    static struct adapter carrier;
    static struct spread spread;
    uint8_t packet[512];
    carrier.listen_port = port;
    spread_make(&spread, packet, make_packet(packet, V4, source, MESSAGE_DATA, index, 64), 0, 512);
    bool refused = loop_guard_refuses(&carrier, peer, &spread.buffer, packet, 4, now_ns);
    spread_free(&spread);
    return refused;
}

/* Tunnels in tunnels pass, rings of them do not. */
static void test_loop_guard_ring(void)
{
    enum { A = 1001, B = 1002, C = 1003 };
    static struct adapter sender;
    const uint16_t ports[] = {A, B, C};
    for (uint32_t i = 0; i < 3; i++) { /* index 10 * port + peer */
        sender.listen_port = ports[i];
        loop_guard_note(&sender, 1, 10 * ports[i] + 1);
        loop_guard_note(&sender, 2, 10 * ports[i] + 2);
    }
    now_ns += 10 * NS_PER_SECOND;
    CHECK(refuses(A, 1, A, 10 * A + 1)); /* its own */
    CHECK(refuses(A, 2, A, 10 * A + 1)); /* whichever peer would carry it */
    for (uint32_t i = 0; i < 3; i++)     /* A inside B inside C, as often as one likes */
        CHECK(!refuses(B, 1, A, 10 * A + 1) && !refuses(C, 1, B, 10 * B + 1));
    CHECK(refuses(A, 1, B, 10 * B + 1));      /* B inside A closes the ring of two, */
    CHECK(refuses(A, 1, C, 10 * C + 1));      /* C inside A the one of three, */
    CHECK(!refuses(A, 2, C, 10 * C + 1));     /* another peer of A does not, */
    CHECK(!refuses(A, 1, C, 10 * C + 2));     /* nor another peer's data, */
    CHECK(!refuses(A, 1, B + 7, 10 * B + 1)); /* nor what comes from a port that is not B's */
    now_ns += NS_PER_SECOND - 1;
    CHECK(refuses(A, 1, B, 10 * B + 1));
    now_ns += 1; /* A has not been inside B for a second: the other way round is as good now */
    CHECK(!refuses(A, 1, B, 10 * B + 1));
    CHECK(refuses(B, 1, A, 10 * A + 1));
}

/* ---- MDLs ---- */

static void test_mdls(void)
{
    static struct spread spread;
    uint8_t bytes[200], copy[200];
    for (uint32_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    CHECK(NT_SUCCESS(workspace_initialize()));
    struct workspace *workspace = workspace_acquire();

    for (uint32_t piece = 1; piece <= 210; piece += 11) {
        for (uint32_t skip = 0; skip <= 40; skip += 13) {
            spread_make(&spread, bytes, sizeof(bytes), skip, piece);
            MDL *mdl = NET_BUFFER_CURRENT_MDL(&spread.buffer);
            uint32_t offset = NET_BUFFER_CURRENT_MDL_OFFSET(&spread.buffer);
            memset(copy, 0, sizeof(copy));
            CHECK(mdl_copy(copy, mdl, offset, sizeof(bytes)) && !memcmp(copy, bytes, sizeof(bytes)));
            CHECK(!mdl_copy(copy, mdl, offset + 1, sizeof(bytes))); /* one byte beyond the end */
            CHECK(mdl_copy(copy, mdl, offset + 30, 100) && !memcmp(copy, bytes + 30, 100));

            workspace->sources_used = 5;
            uint32_t count = workspace_add_mdl(workspace, mdl, offset + 30, 100, 400), at = 0;
            CHECK(count > 0 && workspace->sources_used == 5 + count);
            for (uint32_t i = 0; i < count; i++) {
                const struct aead_segment *segment = &workspace->sources[5 + i];
                CHECK(segment->length > 0 && !memcmp(segment->data, bytes + 30 + at, segment->length));
                at += (uint32_t)segment->length;
            }
            CHECK(at == 100);
            /* exactly enough room is enough, one less is refused and leaves nothing behind */
            workspace->sources_used = WORKSPACE_SEGMENTS - count;
            CHECK(workspace_add_mdl(workspace, mdl, offset + 30, 100, 400) == count);
            workspace->sources_used = WORKSPACE_SEGMENTS - count + 1;
            CHECK(workspace_add_mdl(workspace, mdl, offset + 30, 100, 400) == 0);
            CHECK(workspace->sources_used == WORKSPACE_SEGMENTS - count + 1);
            workspace->sources_used = 0;
            CHECK(workspace_add_mdl(workspace, mdl, offset + 30, 100, count - 1) == 0);
            CHECK(workspace_add_mdl(workspace, mdl, offset + 1, sizeof(bytes), 400) ==
                  0);        /* chain too short */
            if (count > 1) { /* the last MDL it needs cannot be mapped */
                spread.mdls[spread.count - 1].MdlFlags = 0;
                workspace->sources_used = 0;
                CHECK(workspace_add_mdl(workspace, mdl, offset, sizeof(bytes), 400) == 0);
                CHECK(workspace->sources_used == 0);
                CHECK(!mdl_copy(copy, mdl, offset, sizeof(bytes)));
            }
            spread_free(&spread);
        }
    }
    workspace_release(workspace);
    workspace_uninitialize();
}

int main(void)
{
    test_loop_guard();
    test_loop_guard_ring();
    test_mdls();
    return check_summary();
}
