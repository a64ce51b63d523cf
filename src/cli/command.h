/* The commands of the tool.  Each gets its arguments without options, and prints nothing but its output:
 * main.c tells failures. */
#pragma once

#include "failure.h"

#include <stdbool.h>

struct invocation {
    int count;              /* of arguments after the command's name */
    char *const *arguments; /* without options */
    bool json, show_keys;
    bool follow;        /* of log and events */
    bool keep;          /* of up on Windows, given to itself only: the process that keeps the tunnel */
    const char *engine; /* of up: the command of another implementation, or NULL */
};

bool command_show(const struct invocation *invocation, struct failure *failure);
bool command_showconf(const struct invocation *invocation, struct failure *failure);
bool command_set(const struct invocation *invocation, struct failure *failure);
bool command_setconf(const struct invocation *invocation, struct failure *failure);
bool command_addconf(const struct invocation *invocation, struct failure *failure);
bool command_syncconf(const struct invocation *invocation, struct failure *failure);
bool command_genkey(const struct invocation *invocation, struct failure *failure);
bool command_genpsk(const struct invocation *invocation, struct failure *failure);
bool command_pubkey(const struct invocation *invocation, struct failure *failure);
bool command_up(const struct invocation *invocation, struct failure *failure);
bool command_down(const struct invocation *invocation, struct failure *failure);
bool command_doctor(const struct invocation *invocation, struct failure *failure);
bool command_events(const struct invocation *invocation, struct failure *failure);
bool command_log(const struct invocation *invocation, struct failure *failure);
bool command_install(const struct invocation *invocation, struct failure *failure);   /* Windows only */
bool command_uninstall(const struct invocation *invocation, struct failure *failure); /* Windows only */

/* One line on standard error, "wyrm: ..." (with --json an object). */
void report(const struct failure *failure, bool json);
/* After a change: prints nothing, or with --json that it was done. */
bool report_done(const struct invocation *invocation, const char *name, struct failure *failure);
