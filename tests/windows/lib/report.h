/* Checks of the programs that run under Wine: each prints a line, the last says the counts that the suite
 * adds up. */
#pragma once

#include <stdbool.h>

/* Prints "ok TEXT" or "FAILED TEXT (ERROR)"; the error is GetLastError() at the call.  Gives `good` back. */
bool check(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the counts; the program's exit status. */
int report(void);
