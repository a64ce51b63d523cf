/* platform.h on Linux. */
#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

void platform_start(void)
{
}

void platform_sleep_s(unsigned seconds)
{
    sleep(seconds);
}

const char *platform_resolver_text(int problem)
{
    return gai_strerror(problem);
}

bool platform_random(void *bytes, size_t length, struct failure *failure)
{
    for (size_t at = 0; at < length;) {
        ssize_t got = getrandom((char *)bytes + at, length - at, 0);
        if (got < 0 && errno != EINTR)
            return fail_errno(failure, errno, "no random numbers from the system");
        at += got > 0 ? (size_t)got : 0;
    }
    return true;
}

bool platform_is_standard_input(const char *path)
{
    return !strcmp(path, "-") || !strcmp(path, "/dev/stdin") || !strcmp(path, "/dev/fd/0") ||
           !strcmp(path, "/proc/self/fd/0");
}

bool platform_read_secret(const char *path, size_t limit, struct secure_buffer *text, struct failure *failure)
{
    bool standard = !strcmp(path, "-");
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(failure, errno, "%.200s cannot be opened", path);
    int problem = secure_buffer_reserve(text, limit + 1) ? 0 : ENOMEM;
    while (!problem && text->length <= limit) {
        ssize_t got = read(fd, text->data + text->length, limit + 1 - text->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            problem = errno;
        if (got <= 0)
            break;
        text->length += (size_t)got;
    }
    if (!standard)
        close(fd);
    if (problem)
        return fail_errno(failure, problem, "%.200s cannot be read", standard ? "standard input" : path);
    if (text->length > limit)
        return fail(failure, EXIT_INVALID, "%.200s is too long for a key",
                    standard ? "standard input" : path);
    return true;
}

bool platform_write_output(const void *data, size_t length, struct failure *failure)
{
    for (size_t at = 0; at < length;) {
        ssize_t put = write(STDOUT_FILENO, (const char *)data + at, length - at);
        if (put < 0 && errno != EINTR)
            return fail_errno(failure, errno, "the output cannot be written");
        at += put > 0 ? (size_t)put : 0;
    }
    return true;
}

bool platform_output_is_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

bool platform_output_is_exposed(void)
{
    struct stat status;
    return fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0007);
}
