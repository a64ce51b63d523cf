/* What `up` did, so that `down` can undo it: one file per tunnel in /run/nthost, written step
 * by step before each step is done.  Only root can reach the directory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define STATE_DIRECTORY "/run/nthost"

struct state_line {
    char *word; /* "pid", "undo", ... */
    char *rest; /* after the first tab */
};

struct state {
    char name[16];
    char *path;
    int fd; /* open and locked while `up` or `down` runs, else -1 */
    struct state_line *lines;
    size_t count;
};

/* Starts a new state of a tunnel.  0; -EEXIST: there is one already; or another negative errno.  It is locked
 * against state_take() of other processes until state_free() or the end of this process. */
int state_create(const char *name, struct state *state);
/* Reads a state to undo it, and locks it as state_create() does.  As state_load(), or -EBUSY: another process
 * is at work on it. */
int state_take(const char *name, struct state *state);
/* Reads a state. 0 or a negative errno (-ENOENT: there is none). */
int state_load(const char *name, struct state *state);
/* Adds a line (to the file first). 0 or a negative errno (-EINVAL: a line cannot hold a newline). */
int state_add(struct state *state, const char *word, const char *rest);
/* Adds "undo" with an argument vector (no element has a tab or newline): a command for state_undo(). */
int state_add_undo(struct state *state, const char *const *argv);
/* Adds a value that undo writes back to a file of /proc/sys, unless another tunnel is up then. */
int state_add_sysctl(struct state *state, const char *path, const char *value);
/* The rest of the last line with this word, or NULL. */
const char *state_find(const struct state *state, const char *word);
/* Does what state_add_undo() and state_add_sysctl() recorded, newest first.  How many failed. */
unsigned state_undo(const struct state *state);
/* The daemon's process, if it still is the one that was started; else 0. */
pid_t state_process(const struct state *state);
/* Records a process with its start time, so that a reused number is not mistaken for it. */
int state_add_process(struct state *state, pid_t pid);
void state_remove(struct state *state); /* deletes the file; state_free() follows */
void state_free(struct state *state);
/* Names of all tunnels with a state, sorted; free each and the array. Count. */
size_t state_names(char ***names);
