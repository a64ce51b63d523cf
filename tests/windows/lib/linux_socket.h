/* Raw Linux system calls for code that runs under Wine: sockets of the AF_UNIX family, which Wine's own
 * Winsock does not offer to every process and drivers have not at all.  x86-64 only.  Results are those of
 * the kernel: negative numbers are -errno.  (Linux man-pages, syscall(2), unix(7).) */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    LINUX_EINTR = 4,
    LINUX_ENAMETOOLONG = 36,
    LINUX_CALL_READ = 0,
    LINUX_CALL_WRITE = 1,
    LINUX_CALL_CLOSE = 3,
    LINUX_CALL_SOCKET = 41,
    LINUX_CALL_CONNECT = 42,
    LINUX_CALL_SHUTDOWN = 48,
    LINUX_AF_UNIX = 1,
    LINUX_SOCK_STREAM = 1,
    LINUX_SOCK_CLOEXEC = 02000000,
    LINUX_SHUT_RDWR = 2,
    LINUX_PATH_BYTES = 108, /* of sockaddr_un, with the final zero */
};

struct linux_unix_address {
    uint16_t family;
    char path[LINUX_PATH_BYTES];
};

static inline int64_t linux_call(int64_t number, int64_t first, const void *second, int64_t third)
{
    int64_t result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third)
                     : "rcx", "r11", "memory");
    return result;
}

static inline void linux_close(int fd)
{
    linux_call(LINUX_CALL_CLOSE, fd, NULL, 0);
}

/* Wakes whoever reads from it. */
static inline void linux_shutdown(int fd)
{
    linux_call(LINUX_CALL_SHUTDOWN, fd, (const void *)LINUX_SHUT_RDWR, 0);
}

/* A connected stream socket, or -errno. */
static inline int linux_connect(const char *path)
{
    struct linux_unix_address address = {.family = LINUX_AF_UNIX};
    size_t length = 0;
    int64_t fd, result;

    while (path[length] && length < LINUX_PATH_BYTES - 1) {
        address.path[length] = path[length];
        length++;
    }
    if (path[length]) {
        return -LINUX_ENAMETOOLONG;
    }
    fd = linux_call(LINUX_CALL_SOCKET, LINUX_AF_UNIX, (const void *)(LINUX_SOCK_STREAM | LINUX_SOCK_CLOEXEC),
                    0);
    if (fd < 0) {
        return (int)fd;
    }
    do {
        result = linux_call(LINUX_CALL_CONNECT, fd, &address, sizeof(address));
    } while (result == -LINUX_EINTR);
    if (result < 0) {
        linux_close((int)fd);
        return (int)result;
    }
    return (int)fd;
}

/* All bytes, or 0 when the connection ends or fails before. */
static inline int linux_transfer(int64_t call, int fd, const void *bytes, size_t count)
{
    const uint8_t *position = bytes;

    while (count) {
        int64_t done = linux_call(call, fd, position, (int64_t)count);
        if (done == -LINUX_EINTR) {
            continue;
        }
        if (done <= 0) {
            return 0;
        }
        position += done;
        count -= (size_t)done;
    }
    return 1;
}

static inline int linux_read_all(int fd, void *bytes, size_t count)
{
    return linux_transfer(LINUX_CALL_READ, fd, bytes, count);
}

static inline int linux_write_all(int fd, const void *bytes, size_t count)
{
    return linux_transfer(LINUX_CALL_WRITE, fd, bytes, count);
}
