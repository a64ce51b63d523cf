/* `nthost up` and `nthost down`: a tunnel from a configuration file, as wg-quick(8) describes it.  Everything
 * that can be checked is checked first; whatever fails later, what was done is undone. */
#include "cli.h"

#include "config.h"
#include "network.h"
#include "spawn.h"
#include "state.h"
#include "wg_client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_PATIENCE_MS 30000
#define STOP_PATIENCE_MS  20000
#define LOG_TAIL_BYTES    4096

struct tunnel {
    struct run_options options;
    char path[PATH_MAX]; /* of the configuration, absolute */
    char name[16];
    struct config *config;
    union endpoint_address *endpoints;
    struct state state;
    uint32_t mark; /* fwmark and table of the default routes; 0 = none */
};

/* ---- names ---- */

/* FILE.conf, or NAME for /etc/wireguard/NAME.conf. false: said why. */
static bool tunnel_name(const char *operand, char *path, size_t path_size, char *name, size_t name_size)
{
    size_t length = strlen(operand);
    bool file = length > 5 && !strcmp(operand + length - 5, ".conf");
    if (!file && (strchr(operand, '/') || !config_name_valid(operand))) {
        cli_error("\"%s\" is neither a file NAME.conf nor the name of a tunnel", operand);
        return false;
    }
    if (file ? !realpath(operand, path) : snprintf(path, path_size, "/etc/wireguard/%s.conf", operand) < 0) {
        if (errno != ENOENT || snprintf(path, path_size, "%s", operand) >= (int)path_size) {
            cli_error("%s: %s", operand, strerror(errno));
            return false;
        }
    }
    /* Of what the user wrote, not of what a link leads to. */
    const char *slash = strrchr(operand, '/');
    const char *base = slash ? slash + 1 : operand;
    size_t base_length = strlen(base) - (file ? 5 : 0);
    if (base_length >= name_size) {
        cli_error("%.*s: the file's name becomes the interface's: at most 15 characters before .conf",
                  (int)base_length, base);
        return false;
    }
    memcpy(name, base, base_length);
    name[base_length] = 0;
    if (!config_name_valid(name)) {
        cli_error("\"%s\" cannot be an interface name: use a-z A-Z 0-9 _ = + . -", name);
        return false;
    }
    return true;
}

/* wyrm.sys beside this program. */
static bool default_driver(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length <= 0)
        return false;
    path[length] = 0;
    char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + sizeof "wyrm.sys" > size)
        return false;
    memcpy(slash + 1, "wyrm.sys", sizeof "wyrm.sys");
    return true;
}

/* ---- hooks ---- */

/* The command with every %i replaced. NULL: no memory. */
static char *hook_expand(const char *command, const char *name)
{
    size_t size = strlen(command) + 1;
    for (const char *at = command; (at = strstr(at, "%i")); at += 2)
        size += strlen(name);
    char *text = malloc(size), *to = text;
    for (const char *at = command; text && *at;) {
        if (at[0] == '%' && at[1] == 'i') {
            to = stpcpy(to, name);
            at += 2;
        } else {
            *to++ = *at++;
        }
    }
    if (text)
        *to = 0;
    return text;
}

static bool hooks_run(const struct tunnel *tunnel, const char *which, const struct config_strings *hooks)
{
    for (size_t i = 0; i < hooks->count; i++) {
        char *command = hook_expand(hooks->items[i], tunnel->name);
        int status = command ? spawn_shell(command) : 127;
        if (command)
            explicit_bzero(command, strlen(command));
        free(command);
        if (status) {
            cli_error("%s: %s number %zu ended with status %d", tunnel->name, which, i + 1, status);
            return false;
        }
    }
    return true;
}

/* Hooks of `down` run as they were when the tunnel came up. */
static bool hooks_record(struct tunnel *tunnel, const char *word, const struct config_strings *hooks)
{
    for (size_t i = 0; i < hooks->count; i++) {
        char *command = hook_expand(hooks->items[i], tunnel->name);
        int result = command ? state_add(&tunnel->state, word, command) : -ENOMEM;
        free(command);
        if (result) {
            cli_error("%s: the state cannot be written: %s", tunnel->name, strerror(-result));
            return false;
        }
    }
    return true;
}

static bool hooks_recorded_run(const struct state *state, const char *word)
{
    bool done = true;
    for (size_t i = 0; i < state->count; i++) {
        if (strcmp(state->lines[i].word, word) != 0)
            continue;
        int status = spawn_shell(state->lines[i].rest);
        if (status) {
            cli_error("%s: a %s hook ended with status %d", state->name, word, status);
            done = false;
        }
    }
    return done;
}

/* ---- the daemon ---- */

static void log_path(char *path, size_t size, const char *name)
{
    snprintf(path, size, STATE_DIRECTORY "/%s.log", name);
}

/* What the daemon said before it ended. */
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

static size_t daemon_arguments(const struct tunnel *tunnel, char *cpus, char *seed, size_t size,
                               const char **argv)
{
    const struct run_options *options = &tunnel->options;
    size_t count = 0;
    snprintf(cpus, size, "%u", options->cpus);
    snprintf(seed, size, "%u", options->fault_seed);
    const char *fixed[] = {"/proc/self/exe", "run", options->driver, "--name", tunnel->name,
                           "--cpus",         cpus,  "--ready-fd",    "3"};
    for (; count < sizeof fixed / sizeof *fixed; count++)
        argv[count] = fixed[count];
    if (options->verify)
        argv[count++] = "--verify";
    if (options->fault_seed) {
        argv[count++] = "--fault-seed";
        argv[count++] = seed;
    }
    if (options->trace)
        argv[count++] = "--trace";
    if (options->perf)
        argv[count++] = "--perf";
    if (options->no_offload)
        argv[count++] = "--no-offload";
    for (unsigned i = 0; i < options->keyword_count; i++) {
        argv[count++] = "--keyword";
        argv[count++] = options->keywords[i];
    }
    if (options->report) {
        argv[count++] = "--report";
        argv[count++] = options->report;
    }
    if (options->control_dir) {
        argv[count++] = "--control-dir";
        argv[count++] = options->control_dir;
    }
    argv[count] = NULL;
    return count;
}

/* Waits for "ready"; the end of the pipe means that the daemon died. */
static bool daemon_wait_ready(const char *name, int fd)
{
    char text[8];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int result = poll(&ready, 1, READY_PATIENCE_MS);
    if (result == 1 && read(fd, text, sizeof text) >= 5 && !memcmp(text, "ready", 5))
        return true;
    if (result == 0)
        cli_error("%s: the driver was not ready after %d seconds", name, READY_PATIENCE_MS / 1000);
    else
        cli_error("%s: the driver did not start:", name);
    log_show(name);
    return false;
}

static bool daemon_start(struct tunnel *tunnel)
{
    char path[64], cpus[16], seed[16];
    const char *argv[SPAWN_ARGUMENTS_MAX + 2 * RUN_KEYWORDS_MAX];
    int pipes[2];
    log_path(path, sizeof path, tunnel->name);
    int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0 || pipe2(pipes, O_CLOEXEC) < 0) {
        cli_error("%s: %s", path, strerror(errno));
        if (log >= 0)
            close(log);
        return false;
    }
    daemon_arguments(tunnel, cpus, seed, sizeof cpus, argv);
    int pid = spawn_daemon(argv, log, pipes[1]);
    close(log);
    close(pipes[1]);
    bool done = pid > 0;
    if (!done)
        cli_error("%s: the daemon was not started: %s", tunnel->name, strerror(-pid));
    done = done && state_add_process(&tunnel->state, pid) == 0 && daemon_wait_ready(tunnel->name, pipes[0]);
    close(pipes[0]);
    return done;
}

/* Ends the daemon and waits until it and its interface are gone.  false: it had to be killed. */
static bool daemon_stop(const struct state *state)
{
    pid_t pid = state_process(state);
    int fd = pid ? pidfd_open(pid, 0) : -1;
    if (!pid)
        return true;
    bool done = true;
    kill(pid, SIGTERM);
    struct pollfd end = {.fd = fd, .events = POLLIN};
    if (fd < 0 || poll(&end, 1, STOP_PATIENCE_MS) != 1) {
        cli_error("%s: the driver did not unload in %d seconds and is killed; see " STATE_DIRECTORY "/%s.log",
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

/* Undoes all that the state records, and forgets it. */
static bool undo(struct state *state)
{
    bool done = state_undo(state) == 0;
    done = daemon_stop(state) && done;
    if (done)
        state_remove(state);
    else if (!state_process(state))
        state_remove(state); /* nothing more can be undone */
    return done;
}

/* ---- up ---- */

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* Ctrl-C interrupts the step that runs; the tunnel is then undone like after any failure. */
static void interrupts_catch(void)
{
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static bool save_setup(struct tunnel *tunnel)
{
    struct state *state = &tunnel->state;
    int result = state_add(state, "config", tunnel->path);
    if (!result && tunnel->options.control_dir)
        result = state_add(state, "control-dir", tunnel->options.control_dir);
    if (!result && tunnel->config->save)
        result = state_add(state, "save", tunnel->path);
    if (result)
        cli_error("%s: the state cannot be written: %s", tunnel->name, strerror(-result));
    return !result && hooks_record(tunnel, "predown", &tunnel->config->pre_down) &&
           hooks_record(tunnel, "postdown", &tunnel->config->post_down);
}

static bool configure(struct tunnel *tunnel)
{
    char error[512];
    const char *directory = tunnel->options.control_dir;
    uint32_t mtu = tunnel->config->mtu;
    if (wg_client_configure(directory, tunnel->name, tunnel->config, tunnel->endpoints, tunnel->mark, error,
                            sizeof error)) {
        cli_error("%s: %s", tunnel->name, error);
        return false;
    }
    if (!mtu)
        mtu = network_auto_mtu(tunnel->config, tunnel->endpoints);
    return network_add_addresses(tunnel->name, tunnel->config) && network_set_up(tunnel->name, mtu) &&
           network_add_dns(tunnel->name, tunnel->config, &tunnel->state) &&
           network_add_routes(tunnel->name, tunnel->config, tunnel->mark, &tunnel->state);
}

/* A state whose daemon is gone (a crash, a reboot without it) is cleaned up; a living one is refused. */
static bool state_claim(struct tunnel *tunnel)
{
    int result = state_create(tunnel->name, &tunnel->state);
    if (result == -EEXIST) {
        struct state old;
        if (state_load(tunnel->name, &old) == 0) {
            if (state_process(&old)) {
                cli_error("%s is up already: `nthost down %s` first", tunnel->name, tunnel->name);
                state_free(&old);
                return false;
            }
            cli_error("%s: cleaning up after a tunnel whose process has ended", tunnel->name);
            undo(&old);
            state_free(&old);
        }
        result = state_create(tunnel->name, &tunnel->state);
    }
    if (result)
        cli_error("%s: the state cannot be written to " STATE_DIRECTORY ": %s", tunnel->name,
                  strerror(-result));
    return !result;
}

static int up(struct tunnel *tunnel)
{
    struct config *config = tunnel->config;
    interrupts_catch();
    if (!state_claim(tunnel))
        return EXIT_FAILED;
    if (if_nametoindex(tunnel->name)) {
        cli_error("an interface named %s exists: rename the file, or remove it (`ip link delete %s`)",
                  tunnel->name, tunnel->name);
        state_remove(&tunnel->state);
        return EXIT_FAILED;
    }
    tunnel->mark = config->fwmark;
    if (!tunnel->mark && network_wants_mark(config))
        tunnel->mark = network_free_table();
    if (save_setup(tunnel) && daemon_start(tunnel) && hooks_run(tunnel, "PreUp", &config->pre_up) &&
        configure(tunnel) && hooks_run(tunnel, "PostUp", &config->post_up) && !interrupted)
        return EXIT_DONE;
    cli_error("%s: %sundoing what was done", tunnel->name, interrupted ? "interrupted, " : "");
    undo(&tunnel->state);
    return EXIT_FAILED;
}

int command_up(int argc, char **argv)
{
    static struct tunnel tunnel;
    static char driver[PATH_MAX];
    const char *operand;
    char error[512];
    int status = EXIT_FAILED;
    if (!run_options_parse("up", argc, argv, &tunnel.options, &operand))
        return EXIT_USAGE;
    if (!operand) {
        cli_error("up wants a configuration: nthost up wg0.conf");
        return EXIT_USAGE;
    }
    if (!tunnel_name(operand, tunnel.path, sizeof tunnel.path, tunnel.name, sizeof tunnel.name))
        return EXIT_FAILED;
    tunnel.config = config_load(tunnel.path, CONFIG_QUICK, "nthost", error, sizeof error);
    if (!tunnel.config) {
        cli_error("%s", error);
        return EXIT_FAILED;
    }
    if (!tunnel.options.driver && default_driver(driver, sizeof driver))
        tunnel.options.driver = driver;
    if (!tunnel.options.driver || access(tunnel.options.driver, R_OK) < 0) {
        cli_error("%s: %s: name the driver with --driver FILE.sys",
                  tunnel.options.driver ? tunnel.options.driver : "wyrm.sys", strerror(errno));
    } else if (!spawn_exists("ip")) {
        cli_error("there is no `ip` program in PATH: install iproute2");
    } else if (cli_check_privileges()) {
        tunnel.endpoints = endpoints_resolve(tunnel.config, error, sizeof error);
        if (tunnel.endpoints)
            status = up(&tunnel);
        else
            cli_error("%s: %s", tunnel.path, error);
    }
    free(tunnel.endpoints);
    config_free(tunnel.config);
    state_free(&tunnel.state);
    return status;
}

/* ---- down ---- */

/* SaveConfig: the running configuration goes back into the file. */
static bool save_running(const struct state *state)
{
    char error[512];
    const char *path = state_find(state, "save");
    if (!path || !state_process(state))
        return true;
    struct config *old = config_load(path, CONFIG_QUICK, "nthost", error, sizeof error);
    bool done = old && wg_client_save(state_find(state, "control-dir"), state->name, old, path, error,
                                      sizeof error) == 0;
    if (!done)
        cli_error("%s: SaveConfig: %s", state->name, error);
    config_free(old);
    return done;
}

int command_down(int argc, char **argv)
{
    char path[PATH_MAX], name[16];
    struct state state;
    if (argc != 2 || argv[1][0] == '-') {
        cli_error("down wants one configuration or name: nthost down wg0");
        return EXIT_USAGE;
    }
    if (!tunnel_name(argv[1], path, sizeof path, name, sizeof name))
        return EXIT_FAILED;
    if (geteuid() != 0) {
        cli_error("this needs root: run it with sudo");
        return EXIT_FAILED;
    }
    int result = state_load(name, &state);
    if (result) {
        if (result == -ENOENT)
            cli_error("%s is not up (`nthost list` shows what is)", name);
        else
            cli_error("%s: its state cannot be read: %s", name, strerror(-result));
        return EXIT_FAILED;
    }
    bool done = hooks_recorded_run(&state, "predown");
    done = save_running(&state) && done;
    done = undo(&state) && done;
    done = hooks_recorded_run(&state, "postdown") && done;
    state_free(&state);
    return done ? EXIT_DONE : EXIT_FAILED;
}

int command_list(int argc, char **argv)
{
    char **names;
    if (argc != 1) {
        cli_error("list takes no argument, not \"%s\"", argv[1]);
        return EXIT_USAGE;
    }
    size_t count = state_names(&names);
    for (size_t i = 0; i < count; i++) {
        struct state state;
        if (state_load(names[i], &state) == 0) {
            pid_t pid = state_process(&state);
            const char *config = state_find(&state, "config");
            if (pid)
                printf("%s\tup\tprocess %d\t%s\n", names[i], (int)pid, config ? config : "");
            else
                printf("%s\tdead\t`nthost down %s` cleans up\t%s\n", names[i], names[i],
                       config ? config : "");
            state_free(&state);
        }
        free(names[i]);
    }
    free(names);
    return EXIT_DONE;
}
