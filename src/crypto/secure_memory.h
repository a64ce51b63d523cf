/* Handling of secret bytes: erasing them so that no compiler drops it, and comparing them in constant time.
 * Any IRQL; no memory is allocated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Overwrites `length` bytes with zeros; never removed as a dead store. */
void secure_zero(void *memory, size_t length);

/* True when the `length` bytes are equal.  Time depends on `length` only. */
bool secure_equal(const void *left, const void *right, size_t length);

/* True when all `length` bytes are zero.  Time depends on `length` only. */
bool secure_is_zero(const void *memory, size_t length);
