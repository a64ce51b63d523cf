/* See quick.h. */
#include "quick.h"

#include "config.h"
#include "engine_process.h"
#include "network.h"
#include "programs.h"
#include "say.h"
#include "state.h"
#include "wg_client.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 16

struct tunnel {
    const struct quick_options *options;
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
        say("\"%s\" is neither a file NAME.conf nor the name of a tunnel", operand);
        return false;
    }
    if (file ? !realpath(operand, path) : snprintf(path, path_size, "/etc/wireguard/%s.conf", operand) < 0) {
        if (errno != ENOENT || snprintf(path, path_size, "%s", operand) >= (int)path_size) {
            say("%s: %s", operand, strerror(errno));
            return false;
        }
    }
    /* Of what the user wrote, not of what a link leads to. */
    const char *slash = strrchr(operand, '/');
    const char *base = slash ? slash + 1 : operand;
    size_t base_length = strlen(base) - (file ? 5 : 0);
    if (base_length >= name_size) {
        say("%.*s: the file's name becomes the interface's: at most 15 characters before .conf",
            (int)base_length, base);
        return false;
    }
    memcpy(name, base, base_length);
    name[base_length] = 0;
    if (!config_name_valid(name)) {
        say("\"%s\" cannot be an interface name: use a-z A-Z 0-9 _ = + . -", name);
        return false;
    }
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
            say("%s: %s number %zu ended with status %d", tunnel->name, which, i + 1, status);
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
            say("%s: the state cannot be written: %s", tunnel->name, strerror(-result));
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
            say("%s: a %s hook ended with status %d", state->name, word, status);
            done = false;
        }
    }
    return done;
}

/* A further Ctrl-C must not stop what undoes, nor the programs that it runs, which inherit this. */
static void interrupts_ignore(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static void say_busy(const char *name)
{
    say("%s: another process is making or undoing this tunnel: wait for it", name);
}

/* Undoes all that the state records, and forgets it. */
static bool undo(struct state *state)
{
    bool done = state_undo(state) == 0;
    done = engine_stop(state) && done;
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
    if (!result && tunnel->options->control_dir)
        result = state_add(state, "control-dir", tunnel->options->control_dir);
    if (!result && tunnel->config->save)
        result = state_add(state, "save", tunnel->path);
    if (result)
        say("%s: the state cannot be written: %s", tunnel->name, strerror(-result));
    return !result && hooks_record(tunnel, "predown", &tunnel->config->pre_down) &&
           hooks_record(tunnel, "postdown", &tunnel->config->post_down);
}

static bool configure(struct tunnel *tunnel)
{
    char error[512];
    const char *directory = tunnel->options->control_dir;
    uint32_t mtu = tunnel->config->mtu;
    if (wg_client_configure(directory, tunnel->name, tunnel->config, tunnel->endpoints, tunnel->mark, error,
                            sizeof error)) {
        say("%s: %s", tunnel->name, error);
        return false;
    }
    if (!mtu)
        mtu = network_auto_mtu(tunnel->config, tunnel->endpoints);
    return network_add_addresses(tunnel->name, tunnel->config) && network_set_up(tunnel->name, mtu) &&
           network_add_dns(tunnel->name, tunnel->config, &tunnel->state) &&
           network_add_routes(tunnel->name, tunnel->config, tunnel->mark, &tunnel->state);
}

/* What an `up` left that was killed half-way is not up, though its engine runs.  An engine that went to the
 * background is known only by its interface. */
static bool state_is_up(const struct state *state)
{
    return state_find(state, "configured") && (state_process(state) || if_nametoindex(state->name));
}

static bool is_up(const char *name)
{
    struct state state;
    if (state_load(name, &state))
        return false;
    bool up = state_is_up(&state);
    state_free(&state);
    return up;
}

/* A state whose daemon is gone (a crash, a reboot without it) or whose `up` never came to its end is cleaned
 * up; a living one is refused. */
static bool state_claim(struct tunnel *tunnel)
{
    int result = state_create(tunnel->name, &tunnel->state);
    if (result == -EEXIST) {
        struct state old;
        result = state_take(tunnel->name, &old);
        if (result == 0) {
            if (state_is_up(&old)) {
                say("%s is up already: `%s down %s` first", tunnel->name, say_program(), tunnel->name);
                state_free(&old);
                return false;
            }
            say("%s: cleaning up after a tunnel whose process has ended", tunnel->name);
            undo(&old);
            state_free(&old);
        }
        if (result == 0 || result == -ENOENT)
            result = state_create(tunnel->name, &tunnel->state);
    }
    if (result == -EBUSY || result == -EEXIST)
        say_busy(tunnel->name);
    else if (result)
        say("%s: the state cannot be written to " STATE_DIRECTORY ": %s", tunnel->name, strerror(-result));
    return !result;
}

static enum quick_result up(struct tunnel *tunnel)
{
    struct config *config = tunnel->config;
    interrupts_catch();
    if (!state_claim(tunnel))
        return QUICK_FAILED;
    if (if_nametoindex(tunnel->name)) {
        say("an interface named %s exists: rename the file, or remove it (`ip link delete %s`)", tunnel->name,
            tunnel->name);
        state_remove(&tunnel->state);
        return QUICK_FAILED;
    }
    tunnel->mark = config->fwmark;
    if (!tunnel->mark && network_wants_mark(config))
        tunnel->mark = network_free_table();
    if (save_setup(tunnel) && engine_start(tunnel->options, &tunnel->state) &&
        hooks_run(tunnel, "PreUp", &config->pre_up) && configure(tunnel) &&
        state_add(&tunnel->state, "configured", "") == 0 && hooks_run(tunnel, "PostUp", &config->post_up) &&
        !interrupted)
        return QUICK_DONE;
    say("%s: %sundoing what was done", tunnel->name, interrupted ? "interrupted, " : "");
    interrupts_ignore();
    undo(&tunnel->state);
    return QUICK_FAILED;
}

static bool check_system(void)
{
    if (!spawn_exists("ip")) {
        say("there is no `ip` program in PATH: install iproute2");
        return false;
    }
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        say("/dev/net/tun cannot be opened: %s: load the module with `modprobe tun`, or give the container "
            "this device",
            strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

static bool check_root(void)
{
    if (geteuid() != 0)
        say("this needs root (network interfaces, raw marks): run it with sudo");
    return geteuid() == 0;
}

enum quick_result quick_up(const struct quick_options *options, const char *operand, char *name)
{
    static struct tunnel tunnel;
    char error[512];
    enum quick_result result = QUICK_FAILED;
    tunnel.options = options;
    tunnel.state.fd = -1;
    if (!tunnel_name(operand, tunnel.path, sizeof tunnel.path, tunnel.name, sizeof tunnel.name))
        return QUICK_USAGE;
    memcpy(name, tunnel.name, NAME_BYTES);
    tunnel.config = config_load(tunnel.path, CONFIG_QUICK, say_program(), error, sizeof error);
    if (!tunnel.config) {
        say("%s", error);
        return QUICK_INVALID;
    }
    if (options->driver && access(options->driver, R_OK) < 0) {
        say("%s: %s: name the driver with --driver FILE.sys", options->driver, strerror(errno));
    } else if (!check_root()) {
        result = QUICK_NOT_PERMITTED;
    } else if (options->idempotent && is_up(tunnel.name)) {
        result = QUICK_DONE;
    } else if (check_system()) {
        tunnel.endpoints = endpoints_resolve(tunnel.config, error, sizeof error);
        if (tunnel.endpoints)
            result = up(&tunnel);
        else
            say("%s: %s", tunnel.path, error);
    }
    free(tunnel.endpoints);
    config_free(tunnel.config);
    state_free(&tunnel.state);
    return result;
}

/* ---- down ---- */

/* SaveConfig: the running configuration goes back into the file. */
static bool save_running(const struct state *state)
{
    char error[512];
    const char *path = state_find(state, "save");
    if (!path || !state_process(state))
        return true;
    struct config *old = config_load(path, CONFIG_QUICK, say_program(), error, sizeof error);
    bool done = old && wg_client_save(state_find(state, "control-dir"), state->name, old, path, error,
                                      sizeof error) == 0;
    if (!done)
        say("%s: SaveConfig: %s", state->name, error);
    config_free(old);
    return done;
}

enum quick_result quick_down(const struct quick_options *options, const char *operand, char *name)
{
    char path[PATH_MAX];
    struct state state;
    if (!tunnel_name(operand, path, sizeof path, name, NAME_BYTES))
        return QUICK_USAGE;
    if (geteuid() != 0) {
        say("this needs root: run it with sudo");
        return QUICK_NOT_PERMITTED;
    }
    int result = state_take(name, &state);
    if (result == -ENOENT && options->idempotent)
        return QUICK_DONE;
    if (result) {
        if (result == -ENOENT)
            say("%s is not up (`nthost list` shows what is)", name);
        else if (result == -EBUSY)
            say_busy(name);
        else
            say("%s: its state cannot be read: %s", name, strerror(-result));
        return QUICK_FAILED;
    }
    bool done = hooks_recorded_run(&state, "predown");
    done = save_running(&state) && done;
    done = undo(&state) && done;
    done = hooks_recorded_run(&state, "postdown") && done;
    state_free(&state);
    return done ? QUICK_DONE : QUICK_FAILED;
}
