/* Formatting of log lines; see log_format.h.  Used by log_ring.c only. */
#include "log_format.h"
#include "nt/ws2.h"

#include <stdbool.h>
#include <stdint.h>

struct output {
    char *text;
    size_t size, length;
};

static void put(struct output *out, char c)
{
    if (out->length + 1 < out->size)
        out->text[out->length++] = c;
}

static void put_text(struct output *out, const char *text)
{
    for (; text && *text; text++)
        put(out, *text);
}

static void put_number(struct output *out, uint64_t value, uint32_t base)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (count)
        put(out, digits[--count]);
}

static void put_ipv6(struct output *out, const uint8_t *bytes)
{
    uint16_t groups[8];
    for (int i = 0; i < 8; i++)
        groups[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);

    /* RFC 5952, section 4.2: the longest run of at least two zero groups, the first of equals, is shortened.
     */
    int best = -1, best_length = 1;
    for (int i = 0; i < 8; i++) {
        int length = 0;
        while (i + length < 8 && groups[i + length] == 0)
            length++;
        if (length > best_length) {
            best = i;
            best_length = length;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == best) {
            put_text(out, "::");
            i += best_length - 1;
            continue;
        }
        if (i && i != best + best_length)
            put(out, ':');
        else if (i && best < 0)
            put(out, ':');
        put_number(out, groups[i], 16);
    }
}

static uint16_t from_network(uint16_t value)
{
    return __builtin_bswap16(value);
}

static void put_address(struct output *out, const SOCKADDR_INET *address)
{
    if (address && address->si_family == AF_INET) {
        const uint8_t *bytes = (const uint8_t *)&address->Ipv4.sin_addr;
        for (int i = 0; i < 4; i++) {
            if (i)
                put(out, '.');
            put_number(out, bytes[i], 10);
        }
        put(out, ':');
        put_number(out, from_network(address->Ipv4.sin_port), 10);
    } else if (address && address->si_family == AF_INET6) {
        put(out, '[');
        put_ipv6(out, (const uint8_t *)&address->Ipv6.sin6_addr);
        if (address->Ipv6.sin6_scope_id) {
            put(out, '%');
            put_number(out, address->Ipv6.sin6_scope_id, 10);
        }
        put_text(out, "]:");
        put_number(out, from_network(address->Ipv6.sin6_port), 10);
    } else {
        put_text(out, "(no address)");
    }
}

/* One conversion; `format` points behind the '%'.  Returns what follows it. */
static const char *convert(struct output *out, const char *format, va_list *arguments)
{
    bool wide = false;
    const char *start = format;
    if (format[0] == 'l' && format[1] == 'l') {
        wide = true;
        format += 2;
    }
    switch (*format) {
    case 'u':
        put_number(out, wide ? va_arg(*arguments, uint64_t) : va_arg(*arguments, uint32_t), 10);
        return format + 1;
    case 'x':
        put_number(out, wide ? va_arg(*arguments, uint64_t) : va_arg(*arguments, uint32_t), 16);
        return format + 1;
    case 'd': {
        int32_t value = va_arg(*arguments, int32_t);
        if (value < 0)
            put(out, '-');
        put_number(out, value < 0 ? 0u - (uint32_t)value : (uint32_t)value, 10);
        return format + 1;
    }
    case 'c':
        put(out, (char)va_arg(*arguments, int));
        return format + 1;
    case 's':
        put_text(out, va_arg(*arguments, const char *));
        return format + 1;
    case 'p':
        if (format[1] == 'I') {
            put_address(out, va_arg(*arguments, const SOCKADDR_INET *));
            return format + 2;
        }
        break;
    case '%':
        put(out, '%');
        return format + 1;
    default:
        break;
    }
    put(out, '%');
    return start;
}

size_t log_format(char *out_text, size_t size, const char *format, va_list arguments)
{
    struct output out = {.text = out_text, .size = size};
    va_list rest;
    va_copy(rest, arguments);
    while (*format) {
        if (*format == '%')
            format = convert(&out, format + 1, &rest);
        else
            put(&out, *format++);
    }
    va_end(rest);
    if (size)
        out.text[out.length] = '\0';
    return out.length;
}
