/* Named callback objects, such as \Callback\PowerState: how the host notifies whoever registered. */
#pragma once

/* Calls everybody registered for `name` (ASCII, e.g. "\\Callback\\PowerState"); nothing if the object does
 * not exist. PASSIVE_LEVEL. */
void callback_notify(const char *name, void *argument1, void *argument2);
