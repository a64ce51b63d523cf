/* See programs.h. */
#include "programs.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A file in memory with this content, at its start.  -1 on failure. */
static int input_file(const char *input)
{
    if (!input)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = memfd_create("input", MFD_CLOEXEC);
    size_t length = strlen(input);
    for (size_t done = 0; fd >= 0 && done < length;) {
        ssize_t put = write(fd, input + done, length - done);
        if (put <= 0) {
            close(fd);
            return -1;
        }
        done += (size_t)put;
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

static void collect(int fd, char *output, size_t size)
{
    size_t length = 0;
    char rest[512];
    for (;;) {
        bool full = length + 1 >= size;
        ssize_t got = read(fd, full ? rest : output + length, full ? sizeof rest : size - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        if (!full)
            length += (size_t)got;
    }
    output[length] = 0;
}

int spawn_run(const char *const *argv, const char *input, char *output, size_t output_size, bool quiet)
{
    int pipes[2] = {-1, -1}, result = 127;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    int in = input_file(input);
    if (output)
        output[0] = 0;
    if (in < 0 || (output && pipe2(pipes, O_CLOEXEC) < 0))
        goto close_input;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, output ? pipes[1] : 2, 1);
    if (quiet)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int error = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (output) {
        close(pipes[1]);
        if (!error)
            collect(pipes[0], output, output_size);
        close(pipes[0]);
    }
    if (!error)
        result = wait_for(pid);
    else if (!quiet)
        say("cannot run %s: %s", argv[0], strerror(error));
close_input:
    if (in >= 0)
        close(in);
    return result;
}

int spawn_shell(const char *command)
{
    const char *argv[] = {"sh", "-c", command, NULL};
    pid_t pid;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (say_is_heard())
        posix_spawn_file_actions_adddup2(&actions, 2, 1);
    int error = posix_spawn(&pid, "/bin/sh", &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error) {
        say("cannot run /bin/sh: %s", strerror(error));
        return 127;
    }
    return wait_for(pid);
}

bool spawn_exists(const char *program)
{
    const char *path = getenv("PATH");
    char candidate[4096];
    for (path = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"; *path;) {
        size_t length = strcspn(path, ":");
        int wrote = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, path, program);
        if (wrote > 0 && (size_t)wrote < sizeof candidate && access(candidate, X_OK) == 0)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

int spawn_daemon(const char *const *argv, int log_fd, int ready_fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, log_fd, 1);
    posix_spawn_file_actions_adddup2(&actions, log_fd, 2);
    posix_spawn_file_actions_adddup2(&actions, ready_fd, 3);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawnp(&pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error ? -error : pid;
}
