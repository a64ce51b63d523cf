/* What went wrong, for the user: one line of text and the exit status of the program (documented in
 * docs/cli.md). */
#pragma once

#include <stdbool.h>

enum exit_status {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,       /* the adapter or the system refused it */
    EXIT_USAGE = 2,         /* wrong arguments */
    EXIT_INVALID = 3,       /* a configuration file or a key is not valid */
    EXIT_NO_ADAPTER = 4,    /* there is no such adapter */
    EXIT_NOT_PERMITTED = 5, /* the user may not */
    EXIT_NO_ANSWER = 6      /* the adapter's service does not answer, or not sensibly */
};

struct failure {
    enum exit_status status;
    char text[512]; /* without the program's name and without a newline; never a secret */
};

/* Fills `failure` and returns false, so that callers can return it in one go. */
bool fail(struct failure *failure, enum exit_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for an errno value: "WHAT: its text", with the status that fits it. */
bool fail_errno(struct failure *failure, int number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
