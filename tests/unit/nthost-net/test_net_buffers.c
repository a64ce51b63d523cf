/* NET_BUFFERs and their pools: what NdisGetDataBuffer, Advance, Retreat and Copy do to every split of the
 * same bytes. */
#include "check.h"
#include "host.h"
#include "nt/ndis.h"
#include "test_network.h"

#include <stdlib.h>

#define BYTES 300u

static uint64_t state = 99;

static uint32_t below(uint32_t n)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % n;
}

struct split { /* BYTES bytes 0, 1, 2 ... after `front` unused ones, in up to 5 MDLs */
    uint8_t memory[5][BYTES + 40];
    MDL *mdl[5];
    unsigned count;
    uint32_t front;
};

static void split_make(struct split *s)
{
    uint32_t done = 0;

    s->front = below(40);
    s->count = 0;
    while (done < BYTES) {
        uint32_t front = s->count == 0 ? s->front : 0;
        uint32_t take = s->count == 4 ? BYTES - done : 1 + below(BYTES - done);

        for (uint32_t i = 0; i < take; i++)
            s->memory[s->count][front + i] = (uint8_t)(done + i);
        s->mdl[s->count] = NdisAllocateMdl(NULL, s->memory[s->count], front + take);
        if (s->count)
            s->mdl[s->count - 1]->Next = s->mdl[s->count];
        s->count++;
        done += take;
    }
}

static void split_free(struct split *s)
{
    for (unsigned i = 0; i < s->count; i++)
        NdisFreeMdl(s->mdl[i]);
}

static bool holds(NET_BUFFER *buffer, uint32_t from, uint32_t bytes)
{
    uint8_t storage[BYTES], *data = NdisGetDataBuffer(buffer, bytes, storage, 1, 0);

    for (uint32_t i = 0; data && i < bytes; i++)
        if (data[i] != (uint8_t)(from + i))
            return false;
    return data != NULL;
}

static void one_split(NDIS_HANDLE lists, NDIS_HANDLE buffers)
{
    static struct split s, t;
    uint8_t aligned[BYTES];
    NET_BUFFER_LIST *list;
    NET_BUFFER *buffer, *other;
    uint32_t advance, retreat, from, bytes;
    ULONG copied;

    split_make(&s);
    split_make(&t);
    for (unsigned i = 0; i < t.count; i++)
        memset(t.memory[i], 0, sizeof t.memory[i]);
    list = NdisAllocateNetBufferAndNetBufferList(lists, 0, 0, s.mdl[0], s.front, BYTES);
    buffer = list->FirstNetBuffer;
    CHECK(buffer->DataLength == BYTES && buffer->DataOffset == s.front && buffer->MdlChain == s.mdl[0]);
    CHECK(holds(buffer, 0, BYTES) && holds(buffer, 0, 1));
    CHECK(NdisGetDataBuffer(buffer, BYTES + 1, aligned, 1, 0) == NULL);
    CHECK(NdisGetDataBuffer(buffer, BYTES, NULL, 1, 0) == NULL || s.count == 1);
    advance = below(BYTES - 1);
    NdisAdvanceNetBufferDataStart(buffer, advance, FALSE, NULL);
    CHECK(buffer->DataLength == BYTES - advance && buffer->CurrentMdlOffset < buffer->CurrentMdl->ByteCount);
    CHECK(holds(buffer, advance, BYTES - advance));
    retreat = below(advance + 1);
    CHECK(NdisRetreatNetBufferDataStart(buffer, retreat, 0, NULL) == NDIS_STATUS_SUCCESS);
    CHECK(holds(buffer, advance - retreat, BYTES - advance + retreat));

    /* Beyond the front: new memory, whose bytes are the caller's to write; taken back by advancing. */
    retreat = buffer->DataOffset + 1 + below(50);
    CHECK(NdisRetreatNetBufferDataStart(buffer, retreat, below(20), NULL) == NDIS_STATUS_SUCCESS);
    CHECK(buffer->MdlChain != s.mdl[0] && buffer->MdlChain->Next == s.mdl[0]);
    bytes = buffer->DataLength;
    NdisAdvanceNetBufferDataStart(buffer, retreat, TRUE, NULL);
    CHECK(buffer->DataLength == bytes - retreat);
    CHECK(holds(buffer, (uint8_t)(BYTES - buffer->DataLength), buffer->DataLength));

    other = NdisAllocateNetBuffer(buffers, t.mdl[0], t.front, BYTES);
    from = below(buffer->DataLength);
    CHECK(NdisCopyFromNetBufferToNetBuffer(other, 0, BYTES, buffer, from, &copied) == NDIS_STATUS_SUCCESS);
    CHECK(copied == buffer->DataLength - from);
    CHECK(holds(other, (uint8_t)(BYTES - copied), copied));
    NdisFreeNetBuffer(other);
    NdisFreeNetBufferList(list);
    split_free(&s);
    split_free(&t);
}

void test_net_buffers(void)
{
    NET_BUFFER_LIST_POOL_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = 0x54534554,
    };
    NET_BUFFER_POOL_PARAMETERS buffer_parameters = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1},
        .PoolTag = 0x54534554,
    };
    NDIS_HANDLE lists = NdisAllocateNetBufferListPool(NULL, &parameters);
    NDIS_HANDLE buffers = NdisAllocateNetBufferPool(NULL, &buffer_parameters), with_data;
    NET_BUFFER_LIST *list;

    for (unsigned i = 0; i < 500; i++)
        one_split(lists, buffers);
    list = NdisAllocateNetBufferList(lists, 64, 16);
    CHECK(list->Context && list->Context->Size == 80 && list->Context->Offset == 16);
    memset(NET_BUFFER_LIST_CONTEXT_DATA_START(list), 1, 64);
    CHECK(list->ParentNetBufferList == NULL && list->Status == 0 && list->NdisPoolHandle == lists);
    NdisFreeNetBufferList(list);
    parameters.DataSize = 500;
    parameters.ContextSize = 64;
    with_data = NdisAllocateNetBufferListPool(NULL, &parameters);
    list = NdisAllocateNetBufferList(with_data, 0, 0);
    CHECK(list->FirstNetBuffer->MdlChain->ByteCount == 500 && ((uintptr_t)list & 15) == 0);
    memset(MmGetSystemAddressForMdlSafe(list->FirstNetBuffer->MdlChain, NormalPagePriority), 1, 500);
    NdisFreeNetBufferList(list);
    NdisFreeNetBufferListPool(with_data);
    NdisFreeNetBufferListPool(lists);
    NdisFreeNetBufferPool(buffers);
    CHECK(host_count_read(HOST_NBL_OWN).now == 0 && host_count_read(HOST_NBL_POOL).now == 0 &&
          host_count_read(HOST_MDL).now == 0);
    checks_hand_over();
}
