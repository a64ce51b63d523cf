/* What keeps a tunnel's traffic and names in it: the kill switch (win/firewall.h) and split DNS
 * (win/name_rules.h).  The runner's thread only. */
#pragma once

#include "config.h"
#include "failure.h"
#include "tunnel.h"

struct firewall;

struct protection {
    struct firewall *firewall; /* NULL: the kill switch is off */
    struct firewall *next;     /* of the configuration that is being put into force; NULL: none */
    bool rules;
};

/* A change of the configuration: the kill switch that the new one wants (plan_wants_kill_switch()) comes
 * before the change, the old one goes after it.  So there is no gap, and what fails leaves the old one. */
bool protection_begin(struct protection *protection, const struct tunnel *tunnel, const struct config *config,
                      struct failure *failure);
void protection_commit(struct protection *protection); /* the new configuration is in force */
void protection_abort(struct protection *protection);  /* it failed */
/* Has names below the configuration's domains asked of its servers; what fails is logged, and keeps no tunnel
 * down. */
void protection_names(struct protection *protection, const char *name, const struct config *config);
void protection_end(struct protection *protection, const char *name);
