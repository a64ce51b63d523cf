/* nt/runtime/int64_x86.c against the division of the tool chain; i386 only. */
#include "check.h"

__attribute__((stdcall)) uint64_t nt_divide_64(uint64_t dividend, uint64_t divisor) __asm__("__aulldiv");

int main(void)
{
    uint64_t state = 1;
    for (int i = 0; i < 2000000; i++) {
        uint64_t number[2];
        for (int k = 0; k < 2; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            uint64_t high = state >> 32;
            state = state * 6364136223846793005u + 1442695040888963407u;
            number[k] = (high << 32 | state >> 32) >> (state & 63);
            if ((state >> 6 & 15) == 0) /* next to a power of two */
                number[k] = (1ull << (state >> 10 & 63)) - 1 + (state >> 16 & 3);
        }
        if (number[1] == 0)
            number[1] = 1;
        uint64_t quotient = nt_divide_64(number[0], number[1]);
        CHECK_MSG(quotient == number[0] / number[1], "%llu / %llu", (unsigned long long)number[0],
                  (unsigned long long)number[1]);
    }
    return check_summary();
}
