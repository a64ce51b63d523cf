/* How the steps of a tunnel tell what went wrong: one line a call, without a newline and never with a secret,
 * on stderr behind the program's name, or to whoever set a listener. */
#pragma once

#include <stdbool.h>

typedef void say_listener(const char *line);

/* `program` ("nthost", "wyrm") stands before each line and in advice; `listener` may be NULL. */
void say_as(const char *program, say_listener *listener);
const char *say_program(void);
bool say_is_heard(void); /* there is a listener */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
