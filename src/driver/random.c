/* Randomness of the driver: keys, indexes and nonces come from the system's generator and from nowhere else.
 */
#include "driver.h"
#include "nt/bcrypt.h"
#include "nt/ke.h"

#define BUGCHECK_NO_RANDOMNESS 0x57597244u /* "WYrD" */

void random_bytes(void *buffer, uint32_t bytes)
{
    NTSTATUS status = BCryptGenRandom(NULL, buffer, bytes, BCRYPT_USE_SYSTEM_PREFERRED_RNG);
    if (!NT_SUCCESS(status))
        KeBugCheckEx(BUGCHECK_NO_RANDOMNESS, (ULONG_PTR)status, 0, 0, 0);
}
