/* Erasing what compilers left of secrets on the stack.  Primitives erase their arrays, but not the copies
 * that a compiler spilled between registers and stack; one sweep at the end of each handshake step covers all
 * of them. */
#pragma once

/* Zeroes STACK_ERASE_BYTES of stack below the caller's frame: more than any handshake step uses there. */
#define STACK_ERASE_BYTES 3072
void stack_erase(void);
