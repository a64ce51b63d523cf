/* TAI64N labels out of NT system time; used by whoever creates initiations and by handshake.c to compare. */
#include "protocol/tai64n.h"
#include "protocol/byte_order.h"

/* 1601-01-01 to 1970-01-01 */
#define UNIX_EPOCH_100NS UINT64_C(116444736000000000)
#define UNITS_PER_SECOND UINT64_C(10000000)

/* TAI64: 2^62 + seconds since 1970 TAI, which was 10 s ahead of UTC then.  Leap seconds since are not added:
 * labels are compared with labels of the same sender only. */
#define TAI64_BASE (UINT64_C(0x4000000000000000) + 10)

void tai64n_from_system_time(uint8_t label[TAI64N_BYTES], uint64_t utc_100ns)
{
    uint64_t rounded = utc_100ns & ~(TAI64N_ROUNDING_100NS - 1);
    uint64_t units = rounded > UNIX_EPOCH_100NS ? rounded - UNIX_EPOCH_100NS : 0;
    store_be64(label, TAI64_BASE + units / UNITS_PER_SECOND);
    store_be32(label + 8, (uint32_t)(units % UNITS_PER_SECOND) * 100);
}

bool tai64n_is_after(const uint8_t label[TAI64N_BYTES], const uint8_t reference[TAI64N_BYTES])
{
    uint64_t seconds = load_be64(label), reference_seconds = load_be64(reference);
    if (seconds != reference_seconds)
        return seconds > reference_seconds;
    return load_be32(label + 8) > load_be32(reference + 8);
}
