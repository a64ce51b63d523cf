/* wyrm-service.exe: what an administrator types, and what the service control manager starts. */
#include "commands.h"
#include "log.h"
#include "names.h"
#include "platform.h"
#include "runner.h"
#include "scm.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "Usage: " SERVICE_PROGRAM " COMMAND\n"
    "\n"
    "Keeps tunnels as services of Windows, one each.  Commands:\n"
    "\n"
    "  install FILE.conf      checks the file, stores it encrypted, and makes a service that starts with the "
    "machine\n"
    "  remove NAME            stops it, and removes the service and what is stored\n"
    "  start NAME             starts it, and waits until the tunnel is up\n"
    "  stop NAME              stops it\n"
    "  remove, stop --all     all tunnels\n"
    "  start --all            those that start with the machine; does not wait for them\n"
    "  reload NAME            has it read again what is stored\n"
    "  reload FILE.conf       gives it a new configuration; sessions of peers that stay live on\n"
    "  status [NAME] [--json] lists tunnels and their state\n"
    "  run FILE.conf          keeps a tunnel in the foreground, until Ctrl+C; says here what else is in its "
    "log\n"
    "\n"
    "Exit status: 0 done, 1 refused by the system or the adapter, 2 wrong arguments, 3 a file is not valid,\n"
    "4 there is no such tunnel, 5 not permitted, 6 the service does not answer.\n";

/* ---- run ---- */

static struct runner foreground;

static BOOL WINAPI interrupted(DWORD kind)
{
    SetEvent(foreground.stop);
    return kind == CTRL_C_EVENT || kind == CTRL_BREAK_EVENT;
}

static void nothing(void *context)
{
}

static void say_ready(void *context)
{
    puts("up");
    fflush(stdout);
}

static bool run(const char *file, struct failure *failure)
{
    foreground.to_stderr = true;
    foreground.progress = nothing;
    foreground.running = say_ready;
    bool done = runner_prepare(&foreground, file, failure);
    if (done) {
        SetConsoleCtrlHandler(interrupted, TRUE);
        done = runner_run(&foreground, failure);
        SetConsoleCtrlHandler(interrupted, FALSE);
    }
    runner_release(&foreground);
    return done;
}

/* ---- words ---- */

enum command { INSTALL, REMOVE, START, STOP, RELOAD, STATUS, RUN, SERVICE, COMMANDS };

static const char *const names[COMMANDS] = {"install", "remove", "start", "stop",
                                            "reload",  "status", "run",   "service"};

static bool run_for_all(enum command command, struct failure *failure)
{
    return command == REMOVE  ? command_remove_all(failure)
           : command == START ? command_start_all(failure)
                              : command_stop_all(failure);
}

static bool run_command(enum command command, const char *word, bool json, struct failure *failure)
{
    switch (command) {
    case INSTALL:
        return command_install(word, failure);
    case REMOVE:
        return command_remove(word, failure);
    case START:
        return command_start(word, failure);
    case STOP:
        return command_stop(word, failure);
    case RELOAD:
        return command_reload(word, failure);
    case STATUS:
        return command_status(word, json, failure);
    case RUN:
        return run(word, failure);
    default:
        return scm_serve(word) ||
               fail(failure, EXIT_REFUSED,
                    "`service` is for the service control manager only: use `run`, or `install` and `start`");
    }
}

static bool dispatch(int count, char **words, struct failure *failure)
{
    enum command command = INSTALL;
    const char *word = NULL;
    bool json = false, all = false;
    while (command < COMMANDS && count > 1 && strcmp(words[1], names[command]) != 0)
        command++;
    if (count < 2 || command == COMMANDS)
        return fail(failure, EXIT_USAGE, "there is no command \"%.40s\" (see `" SERVICE_PROGRAM " --help`)",
                    count < 2 ? "" : words[1]);
    for (int i = 2; i < count; i++) {
        if (!strcmp(words[i], "--json") && command == STATUS)
            json = true;
        else if (!strcmp(words[i], "--all") && (command == REMOVE || command == START || command == STOP))
            all = true;
        else if (words[i][0] == '-' || word)
            return fail(failure, EXIT_USAGE,
                        "\"%.40s\" is one word too many (see `" SERVICE_PROGRAM " --help`)", words[i]);
        else
            word = words[i];
    }
    if (all && word)
        return fail(failure, EXIT_USAGE, "\"%.40s\" is one word too many (see `" SERVICE_PROGRAM " --help`)",
                    word);
    if (all)
        return run_for_all(command, failure);
    if (!word && command != STATUS)
        return fail(failure, EXIT_USAGE, "%s wants one word more (see `" SERVICE_PROGRAM " --help`)",
                    names[command]);
    return run_command(command, word, json, failure);
}

int main(int count, char **words)
{
    struct failure failure = {.status = EXIT_REFUSED};
    platform_start();
    for (int i = 1; i < count; i++) {
        if (!strcmp(words[i], "--help") || !strcmp(words[i], "-h")) {
            fputs(usage, stdout);
            return EXIT_DONE;
        }
        if (!strcmp(words[i], "--version")) {
            puts(SERVICE_PROGRAM " " WYRM_VERSION);
            return EXIT_DONE;
        }
    }
    if (dispatch(count, words, &failure))
        return EXIT_DONE;
    for (char *at = failure.text; *at; at++) /* files and names must not steer the terminal */
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            *at = '?';
    fprintf(stderr, SERVICE_PROGRAM ": %s\n", failure.text);
    return failure.status;
}
