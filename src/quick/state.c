/* See state.h. */
#include "state.h"

#include "config.h"
#include "programs.h"
#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_SUFFIX ".state"

/* The directory must be root's alone: its files name commands that `down` runs. */
static int directory_make(void)
{
    struct stat status;
    if (mkdir(STATE_DIRECTORY, 0700) < 0 && errno != EEXIST)
        return -errno;
    if (lstat(STATE_DIRECTORY, &status) < 0)
        return -errno;
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 0022)) {
        say("%s is writable by others: remove it", STATE_DIRECTORY);
        return -EPERM;
    }
    return 0;
}

static int state_open(const char *name, int flags, struct state *state)
{
    *state = (struct state){.fd = -1};
    int result = directory_make();
    if (result)
        return result;
    snprintf(state->name, sizeof state->name, "%s", name);
    if (asprintf(&state->path, "%s/%s%s", STATE_DIRECTORY, name, STATE_SUFFIX) < 0) {
        state->path = NULL;
        return -ENOMEM;
    }
    state->fd = open(state->path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (state->fd >= 0)
        return 0;
    result = -errno;
    state_free(state);
    return result;
}

/* One process at a time works on a tunnel.  Who had the lock before may have removed the file meanwhile. */
static int lock(const struct state *state)
{
    struct stat status;
    if (flock(state->fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (fstat(state->fd, &status) < 0)
        return -errno;
    return status.st_nlink ? 0 : -ENOENT;
}

int state_create(const char *name, struct state *state)
{
    int result = state_open(name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, state);
    if (result)
        return result;
    result = lock(state);
    if (result)
        state_free(state);
    return result == -ENOENT ? -EBUSY : result;
}

static int remember(struct state *state, const char *word, const char *rest)
{
    struct state_line *lines = reallocarray(state->lines, state->count + 1, sizeof *lines);
    if (!lines)
        return -ENOMEM;
    state->lines = lines;
    lines[state->count] = (struct state_line){strdup(word), strdup(rest)};
    if (!lines[state->count].word || !lines[state->count].rest) {
        free(lines[state->count].word);
        free(lines[state->count].rest);
        return -ENOMEM;
    }
    state->count++;
    return 0;
}

static int read_lines(struct state *state, FILE *file)
{
    char *line = NULL;
    int result = 0;
    size_t size = 0;
    ssize_t length;
    while (!result && (length = getline(&line, &size, file)) > 0) {
        if (line[length - 1] != '\n')
            break; /* half a line: `up` was killed while it wrote, the step was not taken */
        line[length - 1] = 0;
        char *tab = strchr(line, '\t');
        if (tab)
            *tab = 0;
        result = remember(state, line, tab ? tab + 1 : "");
    }
    if (line)
        explicit_bzero(line, size);
    free(line);
    return result;
}

static int load(const char *name, struct state *state, bool to_work_on)
{
    int result = state_open(name, O_RDONLY, state);
    if (result)
        return result;
    if (to_work_on)
        result = lock(state);
    /* The lock stays with the first descriptor. */
    int fd = result ? -1 : fcntl(state->fd, F_DUPFD_CLOEXEC, 0);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!result)
        result = file ? read_lines(state, file) : -errno;
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    if (result) {
        state_free(state);
    } else if (!to_work_on) {
        close(state->fd);
        state->fd = -1;
    }
    return result;
}

int state_load(const char *name, struct state *state)
{
    return load(name, state, false);
}

int state_take(const char *name, struct state *state)
{
    return load(name, state, true);
}

int state_add(struct state *state, const char *word, const char *rest)
{
    char *line;
    if (strchr(rest, '\n'))
        return -EINVAL;
    int length = asprintf(&line, "%s\t%s\n", word, rest), result = 0;
    if (length < 0)
        return -ENOMEM;
    if (write(state->fd, line, (size_t)length) != length)
        result = errno ? -errno : -EIO;
    explicit_bzero(line, (size_t)length);
    free(line);
    return result ? result : remember(state, word, rest);
}

int state_add_undo(struct state *state, const char *const *argv)
{
    char line[1024];
    size_t at = 0;
    for (; *argv; argv++) {
        int length = snprintf(line + at, sizeof line - at, "%s%s", at ? "\t" : "", *argv);
        if (length < 0 || (size_t)length >= sizeof line - at)
            return -E2BIG;
        at += (size_t)length;
    }
    return state_add(state, "undo", line);
}

const char *state_find(const struct state *state, const char *word)
{
    for (size_t i = state->count; i-- > 0;)
        if (!strcmp(state->lines[i].word, word))
            return state->lines[i].rest;
    return NULL;
}

int state_add_sysctl(struct state *state, const char *path, const char *value)
{
    char line[256];
    snprintf(line, sizeof line, "%s\t%s", path, value);
    return state_add(state, "sysctl", line);
}

/* Whether no other tunnel's process is alive. */
static bool is_only_tunnel(const struct state *state)
{
    char **names;
    bool only = true;
    size_t count = state_names(&names);
    for (size_t i = 0; i < count; i++) {
        struct state other;
        if (strcmp(names[i], state->name) != 0 && state_load(names[i], &other) == 0) {
            only = only && !state_process(&other);
            state_free(&other);
        }
        free(names[i]);
    }
    free(names);
    return only;
}

static bool undo_command(const char *line)
{
    const char *argv[SPAWN_ARGUMENTS_MAX + 1];
    size_t count = 0;
    char *copy = strdup(line), *next = copy;
    while (next && count < SPAWN_ARGUMENTS_MAX)
        argv[count++] = strsep(&next, "\t");
    argv[count] = NULL;
    bool done = copy && spawn_run(argv, NULL, NULL, 0, false) == 0;
    free(copy);
    return done;
}

static bool undo_sysctl(const char *line)
{
    char *copy = strdup(line), *value = copy ? strchr(copy, '\t') : NULL;
    bool done = false;
    if (value) {
        *value++ = 0;
        int fd = open(copy, O_WRONLY | O_CLOEXEC);
        done = fd >= 0 && write(fd, value, strlen(value)) > 0;
        if (fd >= 0)
            close(fd);
    }
    free(copy);
    return done;
}

unsigned state_undo(const struct state *state)
{
    unsigned failed = 0;
    for (size_t i = state->count; i-- > 0;) {
        const struct state_line *line = &state->lines[i];
        bool done = true;
        if (!strcmp(line->word, "undo"))
            done = undo_command(line->rest);
        else if (!strcmp(line->word, "sysctl") && is_only_tunnel(state))
            done = undo_sysctl(line->rest);
        if (!done) {
            say("%s: this could not be undone: %s", state->name, line->rest);
            failed++;
        }
    }
    return failed;
}

/* Field 22 of /proc/PID/stat: start time in clock ticks (proc(5)). 0: no such process, or only its remains.
 */
static unsigned long long process_start(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (length <= 0)
        return 0;
    text[length] = 0;
    char *at = strrchr(text, ')');                            /* the name may hold spaces and parentheses */
    if (at && (at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')) /* field 3: the state */
        return 0;
    for (unsigned field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

int state_add_process(struct state *state, pid_t pid)
{
    char text[64];
    snprintf(text, sizeof text, "%d %llu", (int)pid, process_start(pid));
    return state_add(state, "pid", text);
}

pid_t state_process(const struct state *state)
{
    int pid;
    unsigned long long start;
    const char *text = state_find(state, "pid");
    if (!text || sscanf(text, "%d %llu", &pid, &start) != 2 || pid <= 0 || !start)
        return 0;
    return process_start(pid) == start ? pid : 0;
}

void state_remove(struct state *state)
{
    unlink(state->path);
}

void state_free(struct state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        explicit_bzero(state->lines[i].rest, strlen(state->lines[i].rest)); /* hooks may carry secrets */
        free(state->lines[i].word);
        free(state->lines[i].rest);
    }
    free(state->lines);
    free(state->path);
    if (state->fd >= 0)
        close(state->fd);
    *state = (struct state){.fd = -1};
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t state_names(char ***names)
{
    size_t count = 0;
    DIR *directory = opendir(STATE_DIRECTORY);
    *names = NULL;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        size_t length = strlen(entry->d_name), suffix = strlen(STATE_SUFFIX);
        if (length <= suffix || strcmp(entry->d_name + length - suffix, STATE_SUFFIX) != 0)
            continue;
        char **grown = reallocarray(*names, count + 1, sizeof *grown);
        if (!grown)
            break;
        *names = grown;
        grown[count] = strndup(entry->d_name, length - suffix);
        if (grown[count] && config_name_valid(grown[count]))
            count++;
        else
            free(grown[count]);
    }
    if (directory)
        closedir(directory);
    if (count)
        qsort(*names, count, sizeof **names, compare_names);
    return count;
}
