/* `struct iovec` for edge/edge.h (POSIX, <sys/uio.h>). */
#pragma once

#include <stddef.h>

struct iovec {
    void *iov_base;
    size_t iov_len;
};
