/* RFC 6479: the bitmap is a ring of words that slides a word at a time, so that advancing clears whole words
 * and never shifts bits. */
#include "protocol/replay_window.h"

#define WORD_BITS 64
#define WORDS     (REPLAY_WINDOW_BITS / WORD_BITS)

void replay_window_init(struct replay_window *window)
{
    __builtin_memset(window, 0, sizeof(*window));
}

bool replay_window_accept(struct replay_window *window, uint64_t counter)
{
    if (counter >= REJECT_AFTER_MESSAGES)
        return false;
    /* Counted from 1, so that 0 can mean "none yet"; no overflow below the limit. */
    uint64_t position = counter + 1;
    if (position + REPLAY_WINDOW_USABLE < window->next)
        return false;

    uint64_t word = position / WORD_BITS;
    if (position > window->next) {
        uint64_t top = window->next / WORD_BITS;
        uint64_t fresh = word - top < WORDS ? word - top : WORDS;
        for (uint64_t i = 1; i <= fresh; i++)
            window->bitmap[(top + i) % WORDS] = 0;
        window->next = position;
    }
    uint64_t bit = UINT64_C(1) << (position % WORD_BITS);
    uint64_t *slot = &window->bitmap[word % WORDS];
    bool seen = *slot & bit;
    *slot |= bit;
    return !seen;
}
