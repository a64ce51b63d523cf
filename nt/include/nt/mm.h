/*
 * Memory descriptor lists: a chain of MDLs describes the bytes of every net buffer, datagram and direct
 * IOCTL. The accessors are those that Microsoft inlines as plain memory access.
 */
#ifndef NT_MM_H
#define NT_MM_H

#include "ke.h"
#include "types.h"

typedef enum _MEMORY_CACHING_TYPE {
    MmNonCached = 0,
    MmCached = 1,
    MmWriteCombined = 2,
    MmHardwareCoherentCached = 3,
    MmNonCachedUnordered = 4,
    MmUSWCCached = 5,
    MmMaximumCacheType = 6,
    MmNotMapped = -1,
} MEMORY_CACHING_TYPE;
typedef MEMORY_CACHING_TYPE *PMEMORY_CACHING_TYPE;

typedef enum _MM_PAGE_PRIORITY {
    LowPagePriority = 0,
    NormalPagePriority = 16,
    HighPagePriority = 32,
} MM_PAGE_PRIORITY;
typedef MM_PAGE_PRIORITY *PMM_PAGE_PRIORITY;

typedef enum _LOCK_OPERATION {
    IoReadAccess = 0,
    IoWriteAccess = 1,
    IoModifyAccess = 2,
} LOCK_OPERATION;
typedef LOCK_OPERATION *PLOCK_OPERATION;

#define MdlMappingNoWrite   0x80000000u
#define MdlMappingNoExecute 0x40000000u

#define MDL_ALLOCATED_FIXED_SIZE    8
#define MDL_DESCRIBES_AWE           0x400
#define MDL_FREE_EXTRA_PTES         0x200
#define MDL_INTERNAL                0x8000
#define MDL_IO_PAGE_READ            0x40
#define MDL_IO_SPACE                0x800
#define MDL_LOCKED_PAGE_TABLES      0x100
#define MDL_MAPPED_TO_SYSTEM_VA     1
#define MDL_MAPPING_CAN_FAIL        0x2000
#define MDL_NETWORK_HEADER          0x1000
#define MDL_PAGES_LOCKED            2
#define MDL_PAGE_CONTENTS_INVARIANT 0x4000
#define MDL_PARTIAL                 0x10
#define MDL_PARTIAL_HAS_BEEN_MAPPED 0x20
#define MDL_SOURCE_IS_NONPAGED_POOL 4
#define MDL_WRITE_OPERATION         0x80

/* The page frame numbers of the described pages follow the structure. */
typedef struct _MDL {
    struct _MDL *Next;
    SHORT Size;
    SHORT MdlFlags;
    struct _KPROCESS *Process;
    PVOID MappedSystemVa;
    PVOID StartVa;
    ULONG ByteCount;
    ULONG ByteOffset;
} MDL;

NTKERNELAPI PMDL NTAPI IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer,
                                     BOOLEAN ChargeQuota, PIRP Irp);
NTKERNELAPI VOID NTAPI IoFreeMdl(PMDL Mdl);
NTKERNELAPI VOID NTAPI IoBuildPartialMdl(PMDL SourceMdl, PMDL TargetMdl, PVOID VirtualAddress, ULONG Length);
NTKERNELAPI VOID NTAPI MmBuildMdlForNonPagedPool(PMDL MemoryDescriptorList);
NTKERNELAPI PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                                                     MEMORY_CACHING_TYPE CacheType, PVOID RequestedAddress,
                                                     ULONG BugCheckOnFailure, ULONG Priority);
NTKERNELAPI VOID NTAPI MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList);
NTKERNELAPI VOID NTAPI MmProbeAndLockPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                                           LOCK_OPERATION Operation);
NTKERNELAPI VOID NTAPI MmUnlockPages(PMDL MemoryDescriptorList);
NTKERNELAPI PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName);

#define BYTE_OFFSET(Va) ((ULONG)((ULONG_PTR)(Va) & (PAGE_SIZE - 1)))
#define PAGE_ALIGN(Va)  ((PVOID)((ULONG_PTR)(Va) & ~(ULONG_PTR)(PAGE_SIZE - 1)))
#define ADDRESS_AND_SIZE_TO_SPAN_PAGES(Va, Size)                                                             \
    ((ULONG)((((ULONG_PTR)BYTE_OFFSET(Va)) + (SIZE_T)(Size) + PAGE_SIZE - 1) >> PAGE_SHIFT))

static inline ULONG MmGetMdlByteCount(const MDL *Mdl)
{
    return Mdl->ByteCount;
}

static inline ULONG MmGetMdlByteOffset(const MDL *Mdl)
{
    return Mdl->ByteOffset;
}

static inline PVOID MmGetMdlVirtualAddress(const MDL *Mdl)
{
    return (PVOID)((PCHAR)Mdl->StartVa + Mdl->ByteOffset);
}

/* Size in bytes of an MDL that describes Length bytes at Base, page frame numbers included. */
static inline SIZE_T MmSizeOfMdl(PVOID Base, SIZE_T Length)
{
    return sizeof(MDL) + sizeof(PFN_NUMBER) * ADDRESS_AND_SIZE_TO_SPAN_PAGES(Base, Length);
}

/* Fills an MDL in memory of MmSizeOfMdl() bytes; MmBuildMdlForNonPagedPool then maps it. */
static inline VOID MmInitializeMdl(PMDL Mdl, PVOID BaseVa, SIZE_T Length)
{
    Mdl->Next = NULL;
    Mdl->Size = (SHORT)MmSizeOfMdl(BaseVa, Length);
    Mdl->MdlFlags = 0;
    Mdl->StartVa = PAGE_ALIGN(BaseVa);
    Mdl->ByteOffset = BYTE_OFFSET(BaseVa);
    Mdl->ByteCount = (ULONG)Length;
}

/* Kernel address of the described bytes, or NULL when they cannot be mapped. */
static inline PVOID MmGetSystemAddressForMdlSafe(PMDL Mdl, ULONG Priority)
{
    if (Mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)) {
        return Mdl->MappedSystemVa;
    }
    return MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, Priority);
}

#endif
