/* Scenarios made from the seed: topology, paths, traffic, changes and accidents by chance; every checker on.
 */
#pragma once

void generated_scenario(void);
