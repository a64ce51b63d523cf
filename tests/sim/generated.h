/* Scenarios made from the seed: topology, paths, traffic, changes and accidents by chance; every checker on.
 */
#pragma once

#include <stdbool.h>

/* `brief`: minutes, seldom hours, never days: many of them cost little. */
void generated_scenario(bool brief);
