/* Known-answer tests of every primitive, for the driver's start: a miscompiled or mislinked cipher must never
 * carry traffic. */
#pragma once

#include "crypto/aead_batch.h"

/* Runs all known-answer tests (well under a millisecond).  Returns NULL, or the name of the first primitive
 * that failed, a constant string.  Any IRQL; DriverEntry's PASSIVE_LEVEL is the intended one. */
const char *crypto_self_test(struct aead_workspace *workspace);
