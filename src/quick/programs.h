/* Other programs: run without a shell, from an argument vector; hooks of a configuration through sh. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SPAWN_ARGUMENTS_MAX 32

/* Runs argv[0] (searched in PATH) and waits.  `input` (may be NULL) becomes its standard input.  With
 * `output` its standard output is collected there (at most size - 1 bytes, NUL-terminated), else it goes to
 * stderr; `quiet` throws its error output away.  Returns the exit status, 128 + signal, or 127 when it cannot
 * be run. */
int spawn_run(const char *const *argv, const char *input, char *output, size_t output_size, bool quiet);
/* `sh -c command`, with stdin, stdout and stderr of this program; while say_as() has a listener, standard
 * output is its caller's alone and that of the command goes to stderr.  Returns like spawn_run(). */
int spawn_shell(const char *command);
/* Whether PATH has this program. */
bool spawn_exists(const char *program);
/* Starts argv[0] (searched in PATH) in its own session with stdin from /dev/null, stdout and stderr to
 * `log_fd`, and `ready_fd` as descriptor 3.  The process id, or a negative errno. */
int spawn_daemon(const char *const *argv, int log_fd, int ready_fd);
