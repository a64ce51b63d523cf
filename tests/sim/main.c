/* The scenarios' entry.  Words behind `--`: the name of a scenario; `list`: all names; nothing: a scenario
 * generated from the seed; `brief`: one that is mostly short. */
#include "directed.h"
#include "generated.h"
#include "self_check.h"
#include <stdio.h>
#include <string.h>

static const struct directed *const tables[] = {directed_timers, directed_handshake, directed_cookies,
                                                directed_data,   directed_life,      directed_attacks,
                                                directed_events};

static const struct directed *find(const char *name)
{
    for (unsigned t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
        for (const struct directed *scenario = tables[t]; scenario->name; scenario++)
            if (strcmp(scenario->name, name) == 0)
                return scenario;
    return NULL;
}

static void list(void)
{
    puts("self-check");
    for (unsigned t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
        for (const struct directed *scenario = tables[t]; scenario->name; scenario++)
            puts(scenario->name);
    fflush(stdout);
}

__attribute__((visibility("default"))) void scenario_main(const struct sim *simulation);

void scenario_main(const struct sim *simulation)
{
    const char *name = simulation->argc > 0 ? simulation->argv[0] : "";
    if (simulation->abi != SCENARIO_ABI)
        simulation->fail("this scenario needs another simulation (ABI %u, not %u)", SCENARIO_ABI,
                         simulation->abi);
    if (strcmp(name, "list") == 0) {
        list();
        return;
    }
    world_start(simulation);
    if (!*name || strcmp(name, "brief") == 0) {
        generated_scenario(*name);
        return;
    }
    const struct directed *scenario = find(name);
    if (strcmp(name, "self-check") == 0)
        self_check();
    else if (scenario)
        scenario->run();
    else
        sim->fail("there is no scenario '%s'; `list` shows all", name);
    fixture_end();
}
