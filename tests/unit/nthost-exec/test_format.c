/* The kernel's printf formats. */
#include "executive.h"
#include "nt/rtl.h"
#include "rtl/exports.h"

#include <stdio.h>
#include <string.h>

#define FORMAT(expected, ...)                                                                                \
    do {                                                                                                     \
        char text[256];                                                                                      \
        int length = nt_snprintf(text, sizeof text, __VA_ARGS__);                                            \
        CHECK_MSG(strcmp(text, expected) == 0 && length == (int)strlen(expected),                            \
                  "'%s' (%d) instead of '%s'", text, length, expected);                                      \
    } while (0)

void test_format(void)
{
    UNICODE_STRING wide = {6, 8, (PWCH)u"abcdef"}, empty = {0, 0, NULL};
    ANSI_STRING ansi = {4, 5, (PCHAR) "wxyz---"};
    FORMAT("", "%s", "");
    FORMAT("plain 100%", "plain 100%%");
    FORMAT("-5 5 +5  5", "%d %u %+d % d", -5, 5, 5, 5);
    FORMAT("   -5|-5   |-0005", "%5d|%-5d|%05d", -5, -5, -5);
    FORMAT("ff FF 0xff 377", "%x %X %#x %o", 255, 255, 255, 255);
    FORMAT("18446744073709551615 -1", "%I64u %I64d", ~0ull, -1ll);
    FORMAT("123456789abcdef0", "%I64x", 0x123456789abcdef0ull);
    FORMAT("123456789abcdef0", "%llx", 0x123456789abcdef0ull);
    FORMAT("4294967295 -1", "%lu %ld", 0xffffffffffffffffull, 0xffffffffull); /* long is 32 bits */
    FORMAT("65535 -1 255", "%hu %hd %hhu", 0x1ffff, 0xffff, 0x1ff);
    FORMAT("00000000DEADBEEF", "%p", (void *)0xdeadbeef);
    FORMAT("18446744073709551615", "%Iu", ~0ull);
    FORMAT("4294967295", "%I32u", ~0ull);
    FORMAT("abc def", "%s %hs", "abc", "def");
    FORMAT("abc def ghi", "%ws %ls %S", u"abc", u"def", u"ghi");
    FORMAT("  abc|abc  |ab", "%5s|%-5s|%.2s", "abc", "abc", "abc");
    FORMAT("  abc|ab", "%5ws|%.2ws", u"abc", u"abc");
    FORMAT("abc [abc  ] ab", "%wZ [%-5wZ] %.2wZ", &wide, &wide, &wide);
    FORMAT("wxyz", "%Z", &ansi);
    FORMAT("(null) (null) (null) (null)", "%s %ws %wZ %Z", NULL, NULL, NULL, NULL);
    FORMAT("(null)", "%wZ", &empty);
    FORMAT("a b ?", "%c %C %C", 'a', u'b', 0x20ac);
    FORMAT("?x", "%ws", u"\u20acx");
    FORMAT("   7|7  |007", "%*d|%-*d|%.*d", 4, 7, 3, 7, 3, 7);
    FORMAT("0 |", "%d %.0d|", 0, 0);
    FORMAT("%y", "%y");
    FORMAT("%", "%");

    char small[5] = "....";
    CHECK(nt_snprintf(small, 4, "%s", "ab") == 2 && strcmp(small, "ab") == 0);
    memset(small, '.', sizeof small);
    CHECK(nt_snprintf(small, 4, "abcd") == 4 &&
          memcmp(small, "abcd.", 5) == 0); /* fits exactly: no terminator */
    memset(small, '.', sizeof small);
    CHECK(nt_snprintf(small, 4, "abcde") == -1 && memcmp(small, "abcd.", 5) == 0);

    UNICODE_STRING a = RTL_CONSTANT_STRING(u"\\Device\\Abc"), b = RTL_CONSTANT_STRING(u"\\device\\aBC"), c;
    CHECK(RtlEqualUnicodeString(&a, &b, TRUE) && !RtlEqualUnicodeString(&a, &b, FALSE));
    CHECK(RtlCompareUnicodeString(&a, &b, TRUE) == 0 && RtlCompareUnicodeString(&a, &b, FALSE) < 0);
    RtlInitUnicodeString(&c, u"xyz");
    CHECK(c.Length == 6 && c.MaximumLength == 8);
    RtlInitUnicodeString(&c, NULL);
    CHECK(c.Length == 0 && c.MaximumLength == 0 && c.Buffer == NULL);
    WCHAR buffer[4] = u"???";
    UNICODE_STRING target = {0, 6, buffer};
    RtlCopyUnicodeString(&target, &a);
    CHECK(target.Length == 6 && memcmp(buffer, u"\\De", 6) == 0);
    CHECK(RtlCompareMemory("abcd", "abxd", 4) == 2 && RtlCompareMemory("", "", 0) == 0);
}
