/* What keeps a tunnel's traffic and names in it: the kill switch (win/firewall.h) and split DNS
 * (win/name_rules.h).  The runner's thread only. */
#pragma once

#include "config.h"
#include "failure.h"
#include "tunnel.h"

struct firewall;

struct protection {
    struct firewall *firewall; /* NULL: the kill switch is off */
    bool rules;
};

/* Turns the kill switch on as this configuration wants it (plan_wants_kill_switch()), or off.  There is no
 * gap between an old one and a new one; after a failure the old one goes on. */
bool protection_guard(struct protection *protection, const struct tunnel *tunnel, const struct config *config,
                      struct failure *failure);
/* Has names below the configuration's domains asked of its servers; what fails is logged, and keeps no tunnel
 * down. */
void protection_names(struct protection *protection, const char *name, const struct config *config);
void protection_end(struct protection *protection, const char *name);
