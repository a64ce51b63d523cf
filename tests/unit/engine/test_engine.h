/* The parts of the engine's test. */
#pragma once

/* Replays, damage, strangers, floods, foreign sources, noise (test_attacks.c). */
void attacks(void);
