/*
 * The part of the kernel's cryptography driver (cng.sys) that is used: random numbers.
 */
#ifndef NT_BCRYPT_H
#define NT_BCRYPT_H

#include "status.h"
#include "types.h"

typedef PVOID BCRYPT_ALG_HANDLE;
#define BCRYPT_USE_SYSTEM_PREFERRED_RNG 0x00000002

/* cbBuffer bytes; <= DISPATCH_LEVEL with BCRYPT_USE_SYSTEM_PREFERRED_RNG and hAlgorithm NULL. */
NTKERNELAPI NTSTATUS NTAPI BCryptGenRandom(BCRYPT_ALG_HANDLE hAlgorithm, PUCHAR pbBuffer, ULONG cbBuffer,
                                           ULONG dwFlags);
/* Undocumented, same source of randomness; FALSE on failure. */
NTKERNELAPI BOOLEAN NTAPI SystemPrng(PVOID pbBuffer, SIZE_T cbBuffer);

#endif
