/* The division of 64-bit integers, which x86 has no instruction for and the compiler calls by Microsoft's
 * name: arguments on the stack, removed by the callee. */
#include <stdint.h>

__attribute__((stdcall)) uint64_t nt_divide_64(uint64_t dividend, uint64_t divisor) __asm__("__aulldiv");

/* high < divisor, so that the quotient fits */
static inline uint32_t divide_step(uint32_t high, uint32_t low, uint32_t divisor, uint32_t *remainder)
{
    uint32_t quotient;
    __asm__("divl %4" : "=a"(quotient), "=d"(*remainder) : "a"(low), "d"(high), "rm"(divisor) : "cc");
    return quotient;
}

__attribute__((stdcall)) uint64_t nt_divide_64(uint64_t dividend, uint64_t divisor)
{
    uint32_t high = (uint32_t)(dividend >> 32), low = (uint32_t)dividend, remainder;
    if (divisor >> 32 == 0) {
        uint32_t top = high / (uint32_t)divisor;
        uint32_t bottom = divide_step(high % (uint32_t)divisor, low, (uint32_t)divisor, &remainder);
        return (uint64_t)top << 32 | bottom;
    }
    /* Both shifted until the divisor has 32 bits: the quotient, below 2^32, comes out right or one too large.
     */
    unsigned shift = 32 - (unsigned)__builtin_clz((uint32_t)(divisor >> 32));
    uint64_t shifted = dividend >> 1;
    uint32_t divisor_top = (uint32_t)(divisor >> shift);
    uint32_t quotient = divide_step((uint32_t)(shifted >> 32), (uint32_t)shifted, divisor_top, &remainder);
    quotient >>= shift - 1;
    if (quotient > 0)
        quotient--;
    if (dividend - quotient * divisor >= divisor)
        quotient++;
    return quotient;
}
