/* Access checks over security descriptors, for SeAccessCheck and for opening devices. */
#pragma once

#include "io/file.h"
#include "nt/ob_ps_se.h"

#include <stdbool.h>

/* May `token` have `desired` (generic bits are mapped) on an object protected by `descriptor` (absolute or
 * self-relative; damaged ones grant nothing)?  `previously` was granted before. MAXIMUM_ALLOWED is
 * understood. On success *granted holds the rights; otherwise 0 and *status says why. */
bool access_check(PSECURITY_DESCRIPTOR descriptor, const struct io_token *token, ACCESS_MASK desired,
                  ACCESS_MASK previously, const GENERIC_MAPPING *mapping, ACCESS_MASK *granted,
                  NTSTATUS *status);

/* The mapping of files and devices. */
extern GENERIC_MAPPING file_generic_mapping;

NTKERNELAPI VOID NTAPI RtlMapGenericMask(PACCESS_MASK AccessMask, const GENERIC_MAPPING *GenericMapping);
