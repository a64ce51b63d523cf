/* Positive controls: each checker is shown a violation, and has to notice it. */
#pragma once

void self_check(void);
