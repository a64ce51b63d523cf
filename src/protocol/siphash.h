/* SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"): hash tables that outsiders fill. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_BYTES 16

/* Pure, any IRQL. */
uint64_t siphash24(const uint8_t key[SIPHASH_KEY_BYTES], const void *input, size_t length);
