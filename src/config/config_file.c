/* Reading a configuration from a file or a pipe; every copy of it is wiped. */
#include "config.h"

#include "secure_buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_FILE_LIMIT_BYTES (64u << 20)
#define READ_BYTES              65536u

/* 0 or a positive errno. */
static int read_all(int fd, struct secure_buffer *text)
{
    for (;;) {
        if (!secure_buffer_reserve(text, READ_BYTES))
            return ENOMEM;
        ssize_t got = read(fd, text->data + text->length, READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : 0;
        text->length += (size_t)got;
        if (text->length > CONFIG_FILE_LIMIT_BYTES)
            return EFBIG;
    }
}

static int check_kind(const struct stat *status, enum config_kind kind)
{
    if (S_ISDIR(status->st_mode))
        return EISDIR;
    if (kind == CONFIG_QUICK && !S_ISREG(status->st_mode))
        return EINVAL;
    return S_ISREG(status->st_mode) && status->st_size > CONFIG_FILE_LIMIT_BYTES ? EFBIG : 0;
}

struct config *config_load(const char *path, enum config_kind kind, const char *program, char *error,
                           size_t error_size)
{
    struct secure_buffer text = {0};
    struct config *config = NULL;
    struct stat status;
    bool standard = kind == CONFIG_WG && !strcmp(path, "-");
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        snprintf(error, error_size, "%s: cannot open the configuration: %s", path, strerror(errno));
        return NULL;
    }
    int problem = fstat(fd, &status) < 0 ? errno : check_kind(&status, kind);
    if (!problem && S_ISREG(status.st_mode) && (status.st_mode & 0007))
        fprintf(stderr, "%s: warning: %s holds keys and every user can reach it: chmod 600 it\n", program,
                standard ? "standard input" : path);
    if (!problem)
        problem = read_all(fd, &text);
    if (!standard)
        close(fd);
    if (problem)
        snprintf(error, error_size, "%s: cannot read the configuration: %s", path, strerror(problem));
    else
        config = config_parse((const char *)text.data, text.length, kind, standard ? "standard input" : path,
                              error, error_size);
    secure_buffer_free(&text);
    return config;
}
