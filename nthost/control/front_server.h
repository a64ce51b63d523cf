/* The part that both fronts share: a listening AF_UNIX stream socket and a thread per connection.  The
 * threads are adopted by the scheduler (they may call into the driver at PASSIVE_LEVEL) and never are the
 * loop thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct front;

struct front_service {
    const char *thread_name;
    /* Serves one connection until its end; returns when reading gives 0 or an error (front_close() shuts the
     * socket down to get there).  The caller closes `fd`. */
    void (*serve)(void *context, int fd);
    /* After the last connection ended: frees `context`. */
    void (*destroy)(void *context);
};

/* Makes DIRECTORY (0700) if needed and listens on DIRECTORY/NAME`suffix` (0600).  A socket file that nobody
 * serves is replaced; one that answers is an error.  0, or a negative errno with `error` filled; `context`
 * belongs to the front only after success. */
int front_listen(const char *directory, const char *name, const char *suffix,
                 const struct front_service *service, void *context, struct front **front, char *error,
                 unsigned size);

/* Reads or writes all of it.  false: end of file or error. */
bool front_read_all(int fd, void *data, size_t length);
bool front_write_all(int fd, const void *data, size_t length);
