/* Memory descriptor lists.  Host and driver share one address space, so "mapping" returns the address itself;
 * the flags change exactly as on Windows, and verify mode checks that the verbs come in pairs. */
#include "host.h"
#include "nt/mm.h"
#include "verify/verify.h"

#include "mm/mdl.h"

#include "nt/io.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static void fill_page_frames(PMDL mdl)
{
    PFN_NUMBER *frames = (PFN_NUMBER *)(mdl + 1);
    ULONG count = ADDRESS_AND_SIZE_TO_SPAN_PAGES(MmGetMdlVirtualAddress(mdl), mdl->ByteCount);
    for (ULONG i = 0; i < count; i++)
        frames[i] = ((ULONG_PTR)mdl->StartVa >> PAGE_SHIFT) + i;
}

PMDL mdl_allocate(PVOID address, ULONG length)
{
    PMDL mdl = lent_allocate(MmSizeOfMdl(address, length), "MDL", RULE_MDL_MISUSE);
    if (mdl)
        MmInitializeMdl(mdl, address, length);
    return mdl;
}

PMDL NTAPI IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, BOOLEAN ChargeQuota,
                         PIRP Irp)
{
    (void)ChargeQuota;
    PMDL mdl = mdl_allocate(VirtualAddress, Length);
    if (!mdl)
        return NULL;
    if (Irp && SecondaryBuffer) {
        PMDL *link = &Irp->MdlAddress;
        while (*link)
            link = &(*link)->Next;
        *link = mdl;
    } else if (Irp) {
        Irp->MdlAddress = mdl;
    }
    host_count_add(HOST_MDL, 1);
    if (host_options.verify)
        ledger_add(HOST_MDL, mdl, OWNER_DRIVER, "MDL");
    return mdl;
}

VOID NTAPI IoFreeMdl(PMDL Mdl)
{
    if (host_options.verify) {
        ledger_remove(HOST_MDL, Mdl, OWNER_DRIVER, RULE_MDL_MISUSE);
        if (Mdl->MdlFlags & MDL_PAGES_LOCKED)
            verify_report(RULE_MDL_MISUSE,
                          "IoFreeMdl: the pages of the MDL are still locked (MmUnlockPages)");
    }
    host_count_add(HOST_MDL, -1);
    lent_free(Mdl);
}

VOID NTAPI MmBuildMdlForNonPagedPool(PMDL MemoryDescriptorList)
{
    MemoryDescriptorList->Process = NULL;
    MemoryDescriptorList->MappedSystemVa = MmGetMdlVirtualAddress(MemoryDescriptorList);
    MemoryDescriptorList->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
    fill_page_frames(MemoryDescriptorList);
}

VOID NTAPI IoBuildPartialMdl(PMDL SourceMdl, PMDL TargetMdl, PVOID VirtualAddress, ULONG Length)
{
    ULONG_PTR offset = (ULONG_PTR)VirtualAddress - (ULONG_PTR)MmGetMdlVirtualAddress(SourceMdl);
    if (Length == 0)
        Length = SourceMdl->ByteCount - (ULONG)offset;
    if (host_options.verify && (offset > SourceMdl->ByteCount || Length > SourceMdl->ByteCount - offset ||
                                MmSizeOfMdl(VirtualAddress, Length) > (SIZE_T)(USHORT)TargetMdl->Size))
        verify_report(RULE_MDL_MISUSE,
                      "IoBuildPartialMdl: the range is outside of the source, or too long for the target");
    TargetMdl->StartVa = PAGE_ALIGN(VirtualAddress);
    TargetMdl->ByteOffset = BYTE_OFFSET(VirtualAddress);
    TargetMdl->ByteCount = Length;
    TargetMdl->Process = SourceMdl->Process;
    TargetMdl->MdlFlags = (SHORT)((TargetMdl->MdlFlags & MDL_ALLOCATED_FIXED_SIZE) | MDL_PARTIAL |
                                  (SourceMdl->MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL |
                                                          MDL_MAPPED_TO_SYSTEM_VA | MDL_IO_PAGE_READ)));
    TargetMdl->MappedSystemVa = SourceMdl->MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA)
                                    ? (PCHAR)SourceMdl->MappedSystemVa + offset
                                    : NULL;
    fill_page_frames(TargetMdl);
}

PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                                         MEMORY_CACHING_TYPE CacheType, PVOID RequestedAddress,
                                         ULONG BugCheckOnFailure, ULONG Priority)
{
    (void)CacheType, (void)RequestedAddress, (void)BugCheckOnFailure, (void)Priority;
    if (host_options.verify) {
        if (AccessMode != KernelMode)
            verify_report(RULE_MDL_MISUSE,
                          "MmMapLockedPagesSpecifyCache: this host maps for kernel mode only");
        if (!(MemoryDescriptorList->MdlFlags &
              (MDL_PAGES_LOCKED | MDL_PARTIAL | MDL_SOURCE_IS_NONPAGED_POOL)))
            verify_report(RULE_MDL_MISUSE, "MmMapLockedPagesSpecifyCache: the MDL's pages are not locked");
        if (MemoryDescriptorList->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA)
            verify_report(RULE_MDL_MISUSE, "MmMapLockedPagesSpecifyCache: the MDL is mapped already");
    }
    MemoryDescriptorList->MappedSystemVa = MmGetMdlVirtualAddress(MemoryDescriptorList);
    MemoryDescriptorList->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    if (MemoryDescriptorList->MdlFlags & MDL_PARTIAL)
        MemoryDescriptorList->MdlFlags |= MDL_PARTIAL_HAS_BEEN_MAPPED;
    return MemoryDescriptorList->MappedSystemVa;
}

VOID NTAPI MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList)
{
    if (host_options.verify && (!(MemoryDescriptorList->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) ||
                                BaseAddress != MemoryDescriptorList->MappedSystemVa))
        verify_report(RULE_MDL_MISUSE, "MmUnmapLockedPages: %p is not what this MDL is mapped at",
                      BaseAddress);
    MemoryDescriptorList->MdlFlags &= (SHORT) ~(MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
    MemoryDescriptorList->MappedSystemVa = NULL;
}

/* One byte of each page is read through the kernel, which answers instead of faulting. */
static bool readable(const void *address, size_t length)
{
    const char *start = address, *end = start + length;
    for (const char *at = start; at < end;
         at = (const char *)(((uintptr_t)at & ~(uintptr_t)(PAGE_SIZE - 1)) + PAGE_SIZE)) {
        char byte;
        struct iovec local = {&byte, 1}, remote = {(void *)(uintptr_t)at, 1};
        if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1)
            return false;
    }
    return true;
}

VOID NTAPI MmProbeAndLockPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                               LOCK_OPERATION Operation)
{
    (void)AccessMode;
    if (host_options.verify &&
        (MemoryDescriptorList->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL)))
        verify_report(RULE_MDL_MISUSE,
                      "MmProbeAndLockPages: the MDL is locked already, or describes pool memory");
    /* Windows raises an exception, which this host cannot deliver to the driver's handler. */
    if (!readable(MmGetMdlVirtualAddress(MemoryDescriptorList), MemoryDescriptorList->ByteCount))
        host_fatal("MmProbeAndLockPages: %p is not accessible (an exception on Windows; not supported here)",
                   MmGetMdlVirtualAddress(MemoryDescriptorList));
    mdl_lock(MemoryDescriptorList, Operation != IoReadAccess);
}

void mdl_lock(PMDL mdl, bool write)
{
    mdl->MdlFlags |= MDL_PAGES_LOCKED;
    if (write)
        mdl->MdlFlags |= MDL_WRITE_OPERATION;
    fill_page_frames(mdl);
}

VOID NTAPI MmUnlockPages(PMDL MemoryDescriptorList)
{
    if (host_options.verify && !(MemoryDescriptorList->MdlFlags & MDL_PAGES_LOCKED))
        verify_report(RULE_MDL_MISUSE, "MmUnlockPages: the MDL's pages are not locked");
    if (MemoryDescriptorList->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA)
        MmUnmapLockedPages(MemoryDescriptorList->MappedSystemVa, MemoryDescriptorList);
    MemoryDescriptorList->MdlFlags &= (SHORT) ~(MDL_PAGES_LOCKED | MDL_WRITE_OPERATION);
}
