/* floor-io: packets travel as they are. */
#include "floor.h"

const bool seals = false;

bool seal_open(void)
{
    return true;
}

void seal_packet(uint8_t *out, const uint8_t *packet, size_t length, uint64_t counter)
{
    (void)out;
    (void)packet;
    (void)length;
    (void)counter;
}

bool unseal_packet(uint8_t *packet, size_t length, uint64_t counter)
{
    (void)packet;
    (void)length;
    (void)counter;
    return true;
}
