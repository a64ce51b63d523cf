/* See engine_process.h. */
#include "engine_process.h"

#include "programs.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_PATIENCE_MS  30000
#define STOP_PATIENCE_MS   20000
#define LOOK_INTERVAL_MS   50
#define LOG_TAIL_BYTES     4096
#define DEFAULT_DIRECTORY  "/var/run/wireguard"
#define ENGINE_WORDS_LIMIT 128

static void log_path(char *path, size_t size, const char *name)
{
    snprintf(path, size, STATE_DIRECTORY "/%s.log", name);
}

/* What the engine said before it ended. */
static void log_show(const char *name)
{
    char path[64], text[LOG_TAIL_BYTES + 1];
    log_path(path, sizeof path, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    off_t end = lseek(fd, 0, SEEK_END);
    lseek(fd, end > LOG_TAIL_BYTES ? end - LOG_TAIL_BYTES : 0, SEEK_SET);
    ssize_t length = read(fd, text, LOG_TAIL_BYTES);
    close(fd);
    if (length > 0)
        fwrite(text, 1, (size_t)length, stderr);
}

/* Waits for "ready"; the end of the pipe means that the engine died. */
static bool wait_ready(const char *name, int fd)
{
    char text[8];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int result = poll(&ready, 1, READY_PATIENCE_MS);
    if (result == 1 && read(fd, text, sizeof text) >= 5 && !memcmp(text, "ready", 5))
        return true;
    if (result == 0)
        say("%s: the driver was not ready after %d seconds", name, READY_PATIENCE_MS / 1000);
    else
        say("%s: the driver did not start:", name);
    log_show(name);
    return false;
}

static bool serves(const struct quick_options *options, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s.sock",
             options->control_dir ? options->control_dir : DEFAULT_DIRECTORY, name);
    int fd = if_nametoindex(name) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    bool done = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return done;
}

/* The interface's end is the engine's, wherever it went: wg-quick(8) counts on the same. */
static bool record_interface(struct state *state)
{
    const char *argv[] = {"ip", "link", "delete", "dev", state->name, NULL};
    return state_add_undo(state, argv) == 0;
}

/* Until its socket answers.  An engine that goes to the background ends with 0 and is then known only by its
 * interface. */
static bool wait_serving(const struct quick_options *options, struct state *state, pid_t pid)
{
    bool background = false;
    int status = 0;
    for (unsigned waited = 0; waited < READY_PATIENCE_MS; waited += LOOK_INTERVAL_MS) {
        if (!background && waitpid(pid, &status, WNOHANG) == pid) {
            if (!WIFEXITED(status) || WEXITSTATUS(status)) {
                say("%s: %s did not start (status %d):", state->name, options->engine[0],
                    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
                log_show(state->name);
                return false;
            }
            background = true;
            if (!record_interface(state))
                return false;
        }
        if (serves(options, state->name))
            return true;
        poll(NULL, 0, LOOK_INTERVAL_MS);
    }
    say("%s: %s did not make the interface and its socket in %d seconds:", state->name, options->engine[0],
        READY_PATIENCE_MS / 1000);
    log_show(state->name);
    return false;
}

bool engine_start(const struct quick_options *options, struct state *state)
{
    char path[64];
    const char *argv[ENGINE_WORDS_LIMIT];
    size_t count = 0;
    int pipes[2];
    for (; options->engine[count] && count + 1 < ENGINE_WORDS_LIMIT; count++)
        argv[count] = strcmp(options->engine[count], "%i") ? options->engine[count] : state->name;
    argv[count] = NULL;
    log_path(path, sizeof path, state->name);
    int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0 || pipe2(pipes, O_CLOEXEC) < 0) {
        say("%s: %s", path, strerror(errno));
        if (log >= 0)
            close(log);
        return false;
    }
    if (!options->reports_ready)
        setenv("WG_PROCESS_FOREGROUND", "1", 1);
    int pid = spawn_daemon(argv, log, pipes[1]);
    close(log);
    close(pipes[1]);
    bool done = pid > 0;
    if (!done)
        say("%s: %s was not started: %s", state->name, argv[0], strerror(-pid));
    done = done && state_add_process(state, pid) == 0;
    done = done &&
           (options->reports_ready ? wait_ready(state->name, pipes[0]) : wait_serving(options, state, pid));
    close(pipes[0]);
    return done;
}

bool engine_stop(const struct state *state)
{
    pid_t pid = state_process(state);
    int fd = pid ? pidfd_open(pid, 0) : -1;
    if (!pid)
        return true;
    bool done = true;
    kill(pid, SIGTERM);
    struct pollfd end = {.fd = fd, .events = POLLIN};
    if (fd < 0 || poll(&end, 1, STOP_PATIENCE_MS) != 1) {
        say("%s: the driver did not unload in %d seconds and is killed; see " STATE_DIRECTORY "/%s.log",
            state->name, STOP_PATIENCE_MS / 1000, state->name);
        kill(pid, SIGKILL);
        if (fd >= 0)
            poll(&end, 1, STOP_PATIENCE_MS);
        done = false;
    }
    waitpid(pid, NULL, WNOHANG); /* ours when `up` failed */
    if (fd >= 0)
        close(fd);
    return done;
}
