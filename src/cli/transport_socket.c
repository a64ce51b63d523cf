/* transport.h over the sockets of the WireGuard userspace protocol, NAME.sock in one directory: adapters in
 * nthost, and those of any other implementation in user space. */
#include "transport.h"

#include "uapi.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define DIRECTORY          "/var/run/wireguard"
#define SUFFIX             ".sock"
#define ANSWER_LIMIT_BYTES (512u << 20)
#define READ_BYTES         65536u
/* Nobody is waited for without an end. */
#define SILENCE_S 30

/* A connected socket, or -1 with errno. */
static int connect_to(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval silence = {.tv_sec = SILENCE_S};
    snprintf(address.sun_path, sizeof address.sun_path, DIRECTORY "/%s" SUFFIX, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof silence);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int problem = errno;
    close(fd);
    errno = problem;
    return -1;
}

/* ---- names ---- */

static bool add_name(struct name_list *names, const char *name)
{
    char **items = realloc(names->items, (names->count + 1) * sizeof *items);
    if (!items)
        return false;
    names->items = items;
    items[names->count] = strdup(name);
    if (!items[names->count])
        return false;
    names->count++;
    return true;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Whether somebody listens; what a process that died left behind does not count. */
static bool answers(const char *name)
{
    int fd = connect_to(name);
    if (fd < 0)
        return errno == EACCES; /* there, though not for this user: the next step says so */
    close(fd);
    return true;
}

bool transport_list(struct name_list *names, struct failure *failure)
{
    DIR *directory = opendir(DIRECTORY);
    if (!directory)
        return errno == ENOENT || fail_errno(failure, errno, DIRECTORY " cannot be read");
    bool done = true;
    for (const struct dirent *entry; done && (entry = readdir(directory));) {
        char name[sizeof entry->d_name];
        size_t length = strlen(entry->d_name), suffix = strlen(SUFFIX);
        if (length <= suffix || strcmp(entry->d_name + length - suffix, SUFFIX) != 0)
            continue;
        memcpy(name, entry->d_name, length - suffix);
        name[length - suffix] = 0;
        if (config_name_valid(name) && answers(name))
            done = add_name(names, name) || fail(failure, EXIT_REFUSED, "out of memory");
    }
    closedir(directory);
    if (names->count)
        qsort(names->items, names->count, sizeof *names->items, compare_names);
    return done;
}

void name_list_free(struct name_list *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct name_list){0};
}

/* ---- the conversation ---- */

static bool send_all(int fd, const struct secure_buffer *request)
{
    for (size_t at = 0; at < request->length;) {
        ssize_t put = send(fd, request->data + at, request->length - at, MSG_NOSIGNAL);
        if (put < 0 && errno != EINTR)
            return false;
        at += put > 0 ? (size_t)put : 0;
    }
    return true;
}

/* Up to and with the empty line. */
static bool receive_answer(int fd, struct secure_buffer *answer)
{
    while (answer->length < 2 || memcmp(answer->data + answer->length - 2, "\n\n", 2) != 0) {
        errno = ENOMEM;
        if (answer->length > ANSWER_LIMIT_BYTES || !secure_buffer_reserve(answer, READ_BYTES))
            return false;
        ssize_t got = read(fd, answer->data + answer->length, READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EPIPE;
        if (got <= 0)
            return false;
        answer->length += (size_t)got;
    }
    return true;
}

static bool fail_connect(const char *name, struct failure *failure)
{
    if (errno == ENOENT || errno == ENOTDIR || errno == ECONNREFUSED)
        return fail(failure, EXIT_NO_ADAPTER,
                    "there is no adapter %s (nothing answers at " DIRECTORY "/%s" SUFFIX ")", name, name);
    return fail_errno(failure, errno, DIRECTORY "/%s" SUFFIX " cannot be reached", name);
}

static bool converse(const char *name, const struct secure_buffer *request, struct secure_buffer *answer,
                     struct failure *failure)
{
    if (!config_name_valid(name))
        return fail(failure, EXIT_USAGE,
                    "\"%.60s\" cannot be the name of an adapter: use 1 to 15 of a-z A-Z 0-9 _ = + . -", name);
    int fd = connect_to(name);
    if (fd < 0)
        return fail_connect(name, failure);
    bool done = send_all(fd, request) && receive_answer(fd, answer);
    int problem = errno;
    close(fd);
    if (!done) {
        bool silent = problem == EAGAIN || problem == EWOULDBLOCK;
        return silent
                   ? fail(failure, EXIT_NO_ANSWER, "%s does not answer within %d s", name, SILENCE_S)
                   : fail(failure, EXIT_NO_ANSWER, "%s: the connection broke: %s", name, strerror(problem));
    }
    int number = uapi_errno((const char *)answer->data, answer->length);
    if (number < 0)
        return fail(failure, EXIT_NO_ANSWER, "%s: the answer has no errno", name);
    return !number || fail_errno(failure, number, "%s refused it (errno %d)", name, number);
}

bool transport_get(const char *name, struct device *device, struct failure *failure)
{
    struct secure_buffer request = {0}, answer = {0};
    bool done = secure_buffer_printf(&request, "get=1\n\n") || fail(failure, EXIT_REFUSED, "out of memory");
    snprintf(device->name, sizeof device->name, "%s", name);
    done = done && converse(name, &request, &answer, failure) &&
           uapi_get_parse((char *)answer.data, answer.length, device, failure);
    secure_buffer_free(&request);
    secure_buffer_free(&answer);
    return done;
}

bool transport_set(const char *name, const struct change *change, struct failure *failure)
{
    struct secure_buffer request = {0}, answer = {0};
    bool done = uapi_set_format(&request, change) || fail(failure, EXIT_REFUSED, "out of memory");
    done = done && converse(name, &request, &answer, failure);
    secure_buffer_free(&request);
    secure_buffer_free(&answer);
    return done;
}
