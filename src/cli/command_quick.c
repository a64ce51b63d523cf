/* `wyrm up` and `wyrm down` on Linux: the steps are in src/quick; here is what serves the interface. */
#include "command.h"
#include "quick.h"
#include "say.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENGINE_WORDS 64

static char told[sizeof((struct failure *)0)->text];
static size_t told_length;

/* With --json there is one object in the end, with all that was said. */
static void remember(const char *line)
{
    size_t room = sizeof told - told_length;
    int length = snprintf(told + told_length, room, "%s%s", told_length ? "; " : "", line);
    if (length > 0)
        told_length += (size_t)length < room ? (size_t)length : room - 1;
}

static bool result_of(enum quick_result result, struct failure *failure)
{
    if (result == QUICK_DONE)
        return true;
    failure->status = (enum exit_status)result;
    memcpy(failure->text, told, sizeof told);
    return false;
}

/* A program of this package, beside this one. */
static bool beside(const char *file, char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    char *slash;
    if (length <= 0)
        return false;
    path[length] = 0;
    slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + strlen(file) >= size)
        return false;
    memcpy(slash + 1, file, strlen(file) + 1);
    return true;
}

/* The words of --engine, split at blanks, and the tunnel's name behind them, as wg-quick does. */
static bool split_engine(char *text, const char **words, struct failure *failure)
{
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        if (count + 2 >= ENGINE_WORDS)
            return fail(failure, EXIT_USAGE, "--engine has more than %d words", ENGINE_WORDS - 2);
        words[count++] = word;
    }
    if (!count)
        return fail(failure, EXIT_USAGE, "--engine wants a command, such as wireguard-go");
    words[count++] = "%i";
    words[count] = NULL;
    return true;
}

bool command_up(const struct invocation *invocation, struct failure *failure)
{
    static char program[PATH_MAX], driver[PATH_MAX];
    const char *words[ENGINE_WORDS] = {program, "run", driver, "--name", "%i", "--ready-fd", "3", NULL};
    struct quick_options options = {.engine = words, .driver = driver, .reports_ready = true};
    char name[16], *engine = NULL;
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "up wants one configuration: wyrm up FILE.conf|NAME");
    say_as("wyrm", invocation->json ? remember : NULL);
    if (invocation->engine) {
        engine = strdup(invocation->engine);
        if (!engine)
            return fail(failure, EXIT_REFUSED, "out of memory");
        if (!split_engine(engine, words, failure)) {
            free(engine);
            return false;
        }
        options = (struct quick_options){.engine = words};
    } else if (!beside("nthost", program, sizeof program) || !beside("wyrm.sys", driver, sizeof driver)) {
        return fail(failure, EXIT_REFUSED, "the place of this program cannot be found: is /proc mounted?");
    }
    options.idempotent = true;
    bool done = result_of(quick_up(&options, invocation->arguments[0], name), failure);
    free(engine);
    return done && report_done(invocation, name, failure);
}

bool command_down(const struct invocation *invocation, struct failure *failure)
{
    struct quick_options options = {.idempotent = true};
    char name[16];
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "down wants one configuration: wyrm down FILE.conf|NAME");
    say_as("wyrm", invocation->json ? remember : NULL);
    return result_of(quick_down(&options, invocation->arguments[0], name), failure) &&
           report_done(invocation, name, failure);
}
