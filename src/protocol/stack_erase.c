/* One frame as deep as anything below a handshake step, zeroed. */
#include "protocol/stack_erase.h"
#include "crypto/secure_memory.h"
#include <stdint.h>

__attribute__((noinline)) void stack_erase(void)
{
    uint8_t area[STACK_ERASE_BYTES];
    secure_zero(area, sizeof(area));
}
