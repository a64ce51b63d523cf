/* Pools of NET_BUFFER_LISTs and NET_BUFFERs as the driver gets them, and helpers on their data that the rest
 * of ndis/ uses.  Every element carries a hidden header in front, so that foreign or freed ones are
 * recognised. */
#pragma once

#include "nt/ndis_nbl.h"
#include "spin.h"

#include <stdint.h>

#define NBL_POOL_MAGIC 0x4c424e6cu
#define NB_POOL_MAGIC  0x4c6f424eu

/* Largest number of page frame entries behind an embedded MDL of `bytes` at any address. */
#define MDL_BYTES(bytes) (sizeof(MDL) + sizeof(PFN_NUMBER) * (((bytes) + 2 * 4096u - 2) / 4096u + 1))

/* Describes non-paged, mapped memory; `mdl` has room for MDL_BYTES(length). */
static inline void mdl_describe(MDL *mdl, void *memory, uint32_t length)
{
    MmInitializeMdl(mdl, memory, length);
    mdl->MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
    mdl->Process = NULL;
    mdl->MappedSystemVa = memory;
}

/* Sets a NET_BUFFER's data to `length` bytes that start `offset` bytes into the chain. */
void net_buffer_set_data(NET_BUFFER *buffer, MDL *chain, uint32_t offset, uint32_t length);
