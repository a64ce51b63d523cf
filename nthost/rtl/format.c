/* The kernel's printf formats: what Microsoft's run-time library accepts, with its sizes (long is 32 bits, %p
 * is 16 upper-case digits, S and w mean 16-bit characters).
 *
 * Source: Microsoft, "Format specification syntax: printf and wprintf functions"; "DbgPrint". */
#include "rtl/format.h"

#include "nt/rtl.h"

#include <stdint.h>
#include <string.h>

struct sink {
    char *out;
    size_t size;
    size_t length;
};

struct conversion {
    bool left, plus, space, alternate, zero;
    int width;
    int precision; /* -1: none */
    enum { SIZE_NONE, SIZE_H, SIZE_HH, SIZE_L, SIZE_LL, SIZE_W, SIZE_POINTER } size;
};

static void put(struct sink *sink, char c)
{
    if (sink->length + 1 < sink->size)
        sink->out[sink->length] = c;
    sink->length++;
}

static void put_repeated(struct sink *sink, char c, int count)
{
    for (int i = 0; i < count; i++)
        put(sink, c);
}

static void put_narrow(struct sink *sink, const struct conversion *conversion, const char *text,
                       size_t length)
{
    int padding = conversion->width > (int)length ? conversion->width - (int)length : 0;
    if (!conversion->left)
        put_repeated(sink, conversion->zero ? '0' : ' ', padding);
    for (size_t i = 0; i < length; i++)
        put(sink, text[i]);
    if (conversion->left)
        put_repeated(sink, ' ', padding);
}

/* As UTF-8 would be longer than the count of characters, characters outside of ASCII become '?'. */
static void put_wide(struct sink *sink, const struct conversion *conversion, const uint16_t *text,
                     size_t length)
{
    int padding = conversion->width > (int)length ? conversion->width - (int)length : 0;
    if (!conversion->left)
        put_repeated(sink, ' ', padding);
    for (size_t i = 0; i < length; i++)
        put(sink, text[i] < 0x80 ? (char)text[i] : '?');
    if (conversion->left)
        put_repeated(sink, ' ', padding);
}

static size_t limited(size_t length, int precision)
{
    return precision >= 0 && (size_t)precision < length ? (size_t)precision : length;
}

static void put_narrow_string(struct sink *sink, const struct conversion *conversion, const char *text)
{
    struct conversion plain = *conversion;
    plain.zero = false;
    if (!text)
        text = "(null)";
    size_t length = 0;
    while ((conversion->precision < 0 || length < (size_t)conversion->precision) && text[length])
        length++;
    put_narrow(sink, &plain, text, length);
}

static void put_wide_string(struct sink *sink, const struct conversion *conversion, const uint16_t *text)
{
    if (!text) {
        put_narrow_string(sink, conversion, NULL);
        return;
    }
    size_t length = 0;
    while ((conversion->precision < 0 || length < (size_t)conversion->precision) && text[length])
        length++;
    put_wide(sink, conversion, text, length);
}

/* %Z and %wZ: ANSI_STRING and UNICODE_STRING. */
static void put_counted_string(struct sink *sink, const struct conversion *conversion, const void *string)
{
    if (conversion->size == SIZE_W || conversion->size == SIZE_L) {
        const UNICODE_STRING *wide = string;
        if (wide && wide->Buffer)
            put_wide(sink, conversion, wide->Buffer,
                     limited(wide->Length / sizeof(WCHAR), conversion->precision));
        else
            put_narrow_string(sink, conversion, NULL);
    } else {
        const STRING *narrow = string;
        if (narrow && narrow->Buffer)
            put_narrow(sink, conversion, narrow->Buffer, limited(narrow->Length, conversion->precision));
        else
            put_narrow_string(sink, conversion, NULL);
    }
}

static void put_integer(struct sink *sink, const struct conversion *conversion, uint64_t value, bool negative,
                        unsigned base, bool upper)
{
    char digits[32];
    int count = 0;
    const char *alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    for (uint64_t rest = value; rest; rest /= base)
        digits[count++] = alphabet[rest % base];
    if (count == 0 && conversion->precision != 0)
        digits[count++] = '0';

    char prefix[3];
    int prefix_length = 0;
    if (negative)
        prefix[prefix_length++] = '-';
    else if (conversion->plus && base == 10)
        prefix[prefix_length++] = '+';
    else if (conversion->space && base == 10)
        prefix[prefix_length++] = ' ';
    if (conversion->alternate && base == 16 && value) {
        prefix[prefix_length++] = '0';
        prefix[prefix_length++] = upper ? 'X' : 'x';
    } else if (conversion->alternate && base == 8 && conversion->precision <= count) {
        prefix[prefix_length++] = '0';
    }
    int zeros = conversion->precision > count ? conversion->precision - count : 0;
    int padding = conversion->width - prefix_length - zeros - count;
    if (padding > 0 && conversion->zero && !conversion->left && conversion->precision < 0) {
        zeros += padding;
        padding = 0;
    }
    if (!conversion->left)
        put_repeated(sink, ' ', padding);
    for (int i = 0; i < prefix_length; i++)
        put(sink, prefix[i]);
    put_repeated(sink, '0', zeros);
    while (count)
        put(sink, digits[--count]);
    if (conversion->left)
        put_repeated(sink, ' ', padding);
}

/* "h", "l", "ll", "w", "I", "I32", "I64", "z", "t", "j" */
static const char *parse_size(const char *format, struct conversion *conversion)
{
    switch (*format) {
    case 'h':
        conversion->size = format[1] == 'h' ? SIZE_HH : SIZE_H;
        return format + (format[1] == 'h' ? 2 : 1);
    case 'l':
        conversion->size = format[1] == 'l' ? SIZE_LL : SIZE_L;
        return format + (format[1] == 'l' ? 2 : 1);
    case 'w':
        conversion->size = SIZE_W;
        return format + 1;
    case 'j':
        conversion->size = SIZE_LL;
        return format + 1;
    case 'z':
    case 't':
        conversion->size = SIZE_POINTER;
        return format + 1;
    case 'I':
        if (format[1] == '6' && format[2] == '4') {
            conversion->size = SIZE_LL;
            return format + 3;
        }
        if (format[1] == '3' && format[2] == '2') {
            conversion->size = SIZE_NONE;
            return format + 3;
        }
        conversion->size = SIZE_POINTER;
        return format + 1;
    default:
        return format;
    }
}

static const char *parse_flags(const char *format, struct conversion *conversion)
{
    for (;; format++) {
        switch (*format) {
        case '-':
            conversion->left = true;
            break;
        case '+':
            conversion->plus = true;
            break;
        case ' ':
            conversion->space = true;
            break;
        case '#':
            conversion->alternate = true;
            break;
        case '0':
            conversion->zero = true;
            break;
        default:
            return format;
        }
    }
}

/* Numbers are cut at a width that no report needs, so that a broken format cannot produce gigabytes. */
static const char *parse_number(const char *format, int *number)
{
    int value = 0;
    while (*format >= '0' && *format <= '9') {
        if (value < 4096)
            value = value * 10 + (*format - '0');
        format++;
    }
    *number = value > 4096 ? 4096 : value;
    return format;
}

static uint64_t integer_argument(const struct conversion *conversion, uint64_t raw, bool is_signed)
{
    switch (conversion->size) {
    case SIZE_LL:
    case SIZE_POINTER:
        return raw;
    case SIZE_H:
        return is_signed ? (uint64_t)(int64_t)(int16_t)raw : (uint16_t)raw;
    case SIZE_HH:
        return is_signed ? (uint64_t)(int64_t)(int8_t)raw : (uint8_t)raw;
    default:
        return is_signed ? (uint64_t)(int64_t)(int32_t)raw : (uint32_t)raw;
    }
}

size_t nt_format(char *out, size_t size, const char *format, __builtin_ms_va_list arguments, bool *wide)
{
    struct sink sink = {out, size, 0};
    bool used_wide = false;
    while (*format) {
        if (*format != '%') {
            put(&sink, *format++);
            continue;
        }
        struct conversion conversion = {.precision = -1};
        const char *start = format++;
        format = parse_flags(format, &conversion);
        if (*format == '*') {
            conversion.width = __builtin_va_arg(arguments, int);
            if (conversion.width < 0) {
                conversion.left = true;
                conversion.width = -conversion.width;
            }
            format++;
        } else {
            format = parse_number(format, &conversion.width);
        }
        if (*format == '.') {
            format++;
            if (*format == '*') {
                conversion.precision = __builtin_va_arg(arguments, int);
                format++;
            } else {
                format = parse_number(format, &conversion.precision);
            }
        }
        format = parse_size(format, &conversion);
        char kind = *format;
        if (kind)
            format++;
        /* Every argument of the Microsoft x64 convention is one 8-byte slot. */
        switch (kind) {
        case 'd':
        case 'i': {
            int64_t value =
                (int64_t)integer_argument(&conversion, __builtin_va_arg(arguments, uint64_t), true);
            put_integer(&sink, &conversion, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0, 10,
                        false);
            break;
        }
        case 'u':
        case 'o':
        case 'x':
        case 'X':
            put_integer(&sink, &conversion,
                        integer_argument(&conversion, __builtin_va_arg(arguments, uint64_t), false), false,
                        kind == 'u'   ? 10
                        : kind == 'o' ? 8
                                      : 16,
                        kind == 'X');
            break;
        case 'p':
        case 'P':
            conversion.precision = 16;
            put_integer(&sink, &conversion, __builtin_va_arg(arguments, uint64_t), false, 16, true);
            break;
        case 'c':
        case 'C': {
            uint16_t c = (uint16_t)__builtin_va_arg(arguments, uint64_t);
            char narrow = c < 0x80 ? (char)c : '?';
            put_narrow(&sink, &conversion, &narrow, 1);
            break;
        }
        case 's':
        case 'S': {
            const void *text = __builtin_va_arg(arguments, const void *);
            bool is_wide = conversion.size == SIZE_L || conversion.size == SIZE_W ||
                           (kind == 'S' && conversion.size != SIZE_H);
            used_wide |= is_wide;
            if (is_wide)
                put_wide_string(&sink, &conversion, text);
            else
                put_narrow_string(&sink, &conversion, text);
            break;
        }
        case 'Z':
            used_wide |= conversion.size == SIZE_W || conversion.size == SIZE_L;
            put_counted_string(&sink, &conversion, __builtin_va_arg(arguments, const void *));
            break;
        case '%':
            put(&sink, '%');
            break;
        default: /* unknown (floating point is not available to drivers): shown as written */
            while (start < format)
                put(&sink, *start++);
            break;
        }
    }
    if (size)
        out[sink.length < size ? sink.length : size - 1] = 0;
    if (wide)
        *wide = used_wide;
    return sink.length;
}
