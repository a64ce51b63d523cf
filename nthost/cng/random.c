/* cng.sys: random numbers come from the scheduler interface, so that a simulation can make them repeatable.
 */
#include "nt/bcrypt.h"
#include "sched/sched.h"

NTSTATUS NTAPI BCryptGenRandom(BCRYPT_ALG_HANDLE hAlgorithm, PUCHAR pbBuffer, ULONG cbBuffer, ULONG dwFlags)
{
    if (hAlgorithm != NULL)
        return STATUS_INVALID_HANDLE;
    if (!(dwFlags & BCRYPT_USE_SYSTEM_PREFERRED_RNG) || (!pbBuffer && cbBuffer))
        return STATUS_INVALID_PARAMETER;
    sched_random(pbBuffer, cbBuffer);
    return STATUS_SUCCESS;
}

BOOLEAN NTAPI SystemPrng(PVOID pbBuffer, SIZE_T cbBuffer)
{
    sched_random(pbBuffer, cbBuffer);
    return TRUE;
}
