/* A process's memory that another of its threads changes while the driver reads it - after each single
 * access, so that a value that is fetched twice differs the second time, on every run the same. And a byte
 * that is read twice in one call is reported at once, whether or not the input happens to change it
 * meanwhile. */
#pragma once

#include "input.h"

#define USER_MEMORY_BYTES 16384u

void user_memory_start(void);
/* `length` bytes that end where the memory ends, zeroed; unwatched until user_memory_watch(). */
uint8_t *user_memory_get(size_t length);
/* From now on each access to it, the driver's or the host's, is followed by the next change that `changes`
 * says: three bytes each, how many accesses to let pass, where (near the last access, or anywhere), what. */
void user_memory_watch(struct input *changes);
/* Ends that. How many accesses there were. */
unsigned user_memory_unwatch(void);
