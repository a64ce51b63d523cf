/* A listening AF_UNIX stream socket in a directory of its own, and a thread per connection: what the control
 * sockets of nthost and of the user-space engine have in common.  On Windows (src/engine/windows/front.c) it
 * is a named pipe, and `fd` the number of a connection. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct front;

struct front_service {
    /* Serves one connection until its end; returns when reading gives 0 or an error (front_close() shuts the
     * socket down to get there).  The caller closes `fd`. */
    void (*serve)(void *context, int fd);
    /* After the last connection ended: frees `context`. */
    void (*destroy)(void *context);
    /* One line for people, when a connection has to be refused. */
    void (*warn)(const char *format, ...) __attribute__((format(printf, 1, 2)));
};

/* Makes DIRECTORY (0700) if needed and listens on DIRECTORY/NAME`suffix` (0600).  A socket file that nobody
 * serves is replaced; one that answers is an error.  0, or a negative errno with `error` filled; `context`
 * belongs to the front only after success. */
int front_listen(const char *directory, const char *name, const char *suffix,
                 const struct front_service *service, void *context, struct front **front, char *error,
                 unsigned size);

/* Waits for some bytes, at most `length`.  0: end of file or error. */
size_t front_read_some(int fd, void *data, size_t length);
/* Reads or writes all of it.  false: end of file or error. */
bool front_read_all(int fd, void *data, size_t length);
bool front_write_all(int fd, const void *data, size_t length);

/* Stops listening, closes connections (shutting them down ends their `serve`), removes the socket file.  NULL
 * is allowed. */
void front_close(struct front *front);
