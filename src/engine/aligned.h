/* Memory aligned to 64 bytes, for what vector registers load: the C library of Windows has no aligned_alloc,
 * and its own function has a release of its own. */
#pragma once

#include <stdlib.h>
#ifdef _WIN32
#include <malloc.h>
#endif

#define MEMORY_ALIGNMENT 64u

/* NULL: no memory. */
static inline void *aligned_memory(size_t bytes)
{
#ifdef _WIN32
    return _aligned_malloc(bytes, MEMORY_ALIGNMENT);
#else
    return aligned_alloc(MEMORY_ALIGNMENT,
                         (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT);
#endif
}

/* NULL is allowed. */
static inline void aligned_memory_free(void *memory)
{
#ifdef _WIN32
    _aligned_free(memory);
#else
    free(memory);
#endif
}
