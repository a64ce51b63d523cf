/* Access checks over descriptors made by hand: owner, allow and deny entries in order, mandatory labels,
 * privileges, generic rights, null and empty lists, and damaged descriptors. */
#include "executive.h"
#include "nt/io.h"
#include "se/access.h"
#include "se/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SID_SYSTEM      "\1\1\0\0\0\0\0\5\22\0\0\0"
#define SID_ADMINS      "\1\2\0\0\0\0\0\5\40\0\0\0\40\2\0\0"
#define SID_EVERYONE    "\1\1\0\0\0\0\0\1\0\0\0\0"
#define SID_USERS       "\1\2\0\0\0\0\0\5\40\0\0\0\41\2\0\0"
#define SID_OWNER       "\1\1\0\0\0\0\0\3\4\0\0\0" /* owner rights */
#define SID_LABEL(high) "\1\1\0\0\0\0\0\20\0" high "\0\0"
#define SID(text)       (text), sizeof(text) - 1

static const struct io_token admin = {.administrator = true, .integrity = 0x3000};
static const struct io_token filtered_admin = {.administrator = true, .integrity = 0x2000};
static const struct io_token user = {.integrity = 0x2000};
static const struct io_token low_user = {.integrity = 0x1000};

/* A self-relative descriptor that grows. */
static struct {
    UCHAR bytes[1024];
    size_t length;
    size_t acl; /* start of the list that is being written */
} sd;

static void put16(size_t at, unsigned value)
{
    sd.bytes[at] = (UCHAR)value;
    sd.bytes[at + 1] = (UCHAR)(value >> 8);
}

static void put32(size_t at, ULONG value)
{
    put16(at, value & 0xffff);
    put16(at + 2, value >> 16);
}

static void begin(unsigned control)
{
    memset(&sd, 0, sizeof sd);
    sd.bytes[0] = 1;
    put16(2, SE_SELF_RELATIVE | control);
    sd.length = 20;
}

static void owner(const char *sid, size_t length)
{
    put32(4, (ULONG)sd.length);
    memcpy(sd.bytes + sd.length, sid, length);
    sd.length += length;
}

static void acl(bool system)
{
    put32(system ? 12 : 16, (ULONG)sd.length);
    sd.acl = sd.length;
    sd.bytes[sd.acl] = 2;
    sd.length += 8;
    put16(sd.acl + 2, 8);
}

static void ace(unsigned type, unsigned flags, ULONG mask, const char *sid, size_t length)
{
    sd.bytes[sd.length] = (UCHAR)type;
    sd.bytes[sd.length + 1] = (UCHAR)flags;
    put16(sd.length + 2, (unsigned)(8 + length));
    put32(sd.length + 4, mask);
    memcpy(sd.bytes + sd.length + 8, sid, length);
    sd.length += 8 + length;
    put16(sd.acl + 2, (unsigned)(sd.length - sd.acl));
    put16(sd.acl + 4, sd.bytes[sd.acl + 4] + 1u);
}

static bool may(const struct io_token *token, ACCESS_MASK desired)
{
    ACCESS_MASK granted;
    NTSTATUS status;
    bool result = access_check(sd.bytes, token, desired, 0, &file_generic_mapping, &granted, &status);
    CHECK(result == (status == STATUS_SUCCESS) && (result || granted == 0));
    return result;
}

static ACCESS_MASK maximum(const struct io_token *token)
{
    ACCESS_MASK granted;
    NTSTATUS status;
    access_check(sd.bytes, token, MAXIMUM_ALLOWED, 0, &file_generic_mapping, &granted, &status);
    return granted;
}

static void test_dacl(void)
{
    begin(0);
    CHECK(may(&user, FILE_ALL_ACCESS)); /* no DACL */
    begin(SE_DACL_PRESENT);
    CHECK(may(&user, FILE_ALL_ACCESS)); /* a null DACL */
    begin(SE_DACL_PRESENT);
    acl(false);
    CHECK(!may(&user, FILE_READ_DATA) && !may(&io_token_system, FILE_READ_DATA)); /* an empty one */

    begin(SE_DACL_PRESENT);
    owner(SID(SID_SYSTEM));
    acl(false);
    ace(0, 0, FILE_ALL_ACCESS, SID(SID_SYSTEM));
    ace(0, 0, FILE_ALL_ACCESS, SID(SID_ADMINS));
    CHECK(may(&io_token_system, FILE_ALL_ACCESS) && may(&admin, FILE_ALL_ACCESS) &&
          !may(&user, FILE_READ_DATA));
    CHECK(!may(&user, READ_CONTROL) && !may(&user, 0));

    begin(SE_DACL_PRESENT); /* order decides */
    acl(false);
    ace(1, 0, FILE_WRITE_DATA, SID(SID_EVERYONE));
    ace(0, 0, GENERIC_ALL, SID(SID_EVERYONE));
    CHECK(may(&user, FILE_READ_DATA) && !may(&user, FILE_WRITE_DATA) && !may(&user, GENERIC_WRITE));
    CHECK(maximum(&user) == (FILE_ALL_ACCESS & ~FILE_WRITE_DATA));
    begin(SE_DACL_PRESENT);
    acl(false);
    ace(0, 0, GENERIC_ALL, SID(SID_EVERYONE));
    ace(1, 0, FILE_WRITE_DATA, SID(SID_EVERYONE));
    CHECK(may(&user, FILE_WRITE_DATA));

    begin(SE_DACL_PRESENT); /* rights add up; inherit-only entries do not count */
    acl(false);
    ace(0, 0, FILE_READ_DATA, SID(SID_USERS));
    ace(0, 0, FILE_WRITE_DATA, SID(SID_EVERYONE));
    ace(0, 8, FILE_READ_ATTRIBUTES, SID(SID_EVERYONE));
    CHECK(may(&user, FILE_READ_DATA | FILE_WRITE_DATA) && !may(&user, FILE_READ_ATTRIBUTES));
    CHECK(!may(&io_token_system, FILE_READ_DATA));

    begin(SE_DACL_PRESENT); /* the owner's implied rights, unless OWNER RIGHTS takes their place */
    owner(SID(SID_ADMINS));
    acl(false);
    CHECK(may(&admin, READ_CONTROL | 0x40000) && !may(&user, READ_CONTROL));
    ace(0, 0, FILE_READ_DATA, SID(SID_OWNER));
    CHECK(!may(&admin, READ_CONTROL) && may(&admin, FILE_READ_DATA) && !may(&user, FILE_READ_DATA));
}

static void test_label(void)
{
    begin(SE_DACL_PRESENT | SE_SACL_PRESENT);
    acl(true);
    ace(0x11, 0, 7, SID(SID_LABEL("\60"))); /* high; no write, read, execute up */
    acl(false);
    ace(0, 0, FILE_ALL_ACCESS, SID(SID_ADMINS));
    CHECK(may(&admin, FILE_READ_DATA | FILE_WRITE_DATA) && may(&io_token_system, FILE_ALL_ACCESS));
    CHECK(!may(&filtered_admin, FILE_READ_DATA) && !may(&filtered_admin, FILE_WRITE_DATA));
    CHECK(!may(&user, FILE_READ_DATA));

    begin(SE_DACL_PRESENT | SE_SACL_PRESENT);
    acl(true);
    ace(0x11, 0, 1, SID(SID_LABEL("\60"))); /* no write up only */
    acl(false);
    ace(0, 0, FILE_ALL_ACCESS, SID(SID_EVERYONE));
    CHECK(may(&user, FILE_READ_DATA) && !may(&user, FILE_WRITE_DATA));

    begin(SE_DACL_PRESENT); /* without a label: medium, no write up */
    acl(false);
    ace(0, 0, FILE_ALL_ACCESS, SID(SID_EVERYONE));
    CHECK(may(&low_user, FILE_READ_DATA) && !may(&low_user, FILE_WRITE_DATA) && may(&user, FILE_WRITE_DATA));
}

static void test_rest(void)
{
    ACCESS_MASK granted;
    NTSTATUS status;
    begin(SE_DACL_PRESENT);
    acl(false);
    ace(0, 0, FILE_READ_DATA, SID(SID_EVERYONE));
    CHECK(
        !access_check(sd.bytes, &user, ACCESS_SYSTEM_SECURITY, 0, &file_generic_mapping, &granted, &status));
    CHECK(status == STATUS_PRIVILEGE_NOT_HELD);
    CHECK(may(&admin, ACCESS_SYSTEM_SECURITY | 0x80000) && !may(&user, 0x80000));
    CHECK(access_check(sd.bytes, &user, FILE_WRITE_DATA, FILE_WRITE_DATA, &file_generic_mapping, &granted,
                       &status) &&
          granted == FILE_WRITE_DATA);
    CHECK(!access_check(NULL, &user, FILE_READ_DATA, 0, &file_generic_mapping, &granted, &status));

    /* SeAccessCheck: kernel mode is never refused; user mode uses the captured token. */
    SECURITY_SUBJECT_CONTEXT subject;
    const struct io_token *previous = token_enter(&user);
    SeCaptureSubjectContext(&subject);
    token_leave(previous);
    CHECK(SeAccessCheck(sd.bytes, &subject, FALSE, FILE_READ_DATA, 0, NULL, &file_generic_mapping, UserMode,
                        &granted, &status) &&
          granted == FILE_READ_DATA && status == STATUS_SUCCESS);
    CHECK(!SeAccessCheck(sd.bytes, &subject, FALSE, FILE_WRITE_DATA, 0, NULL, &file_generic_mapping, UserMode,
                         &granted, &status) &&
          granted == 0 && status == STATUS_ACCESS_DENIED);
    CHECK(SeAccessCheck(sd.bytes, &subject, FALSE, FILE_WRITE_DATA, 0, NULL, &file_generic_mapping,
                        KernelMode, &granted, &status) &&
          granted == FILE_WRITE_DATA);
    SeReleaseSubjectContext(&subject);

    /* The absolute form of the same. */
    SECURITY_DESCRIPTOR absolute = {
        .Revision = 1, .Control = SE_DACL_PRESENT, .Dacl = (PACL)(sd.bytes + sd.acl)};
    CHECK(access_check(&absolute, &user, FILE_READ_DATA, 0, &file_generic_mapping, &granted, &status));
    CHECK(!access_check(&absolute, &user, FILE_WRITE_DATA, 0, &file_generic_mapping, &granted, &status));
}

/* Each single damaged byte: never a crash, and what is refused stays refused for a damaged list. */
static void test_damaged(void)
{
    begin(SE_DACL_PRESENT | SE_SACL_PRESENT);
    acl(true);
    ace(0x11, 0, 7, SID(SID_LABEL("\60")));
    acl(false);
    ace(0, 0, FILE_ALL_ACCESS, SID(SID_SYSTEM));
    ace(0, 0, FILE_ALL_ACCESS, SID(SID_ADMINS));
    size_t list = sd.acl;
    CHECK(!may(&user, FILE_READ_DATA) && may(&admin, FILE_READ_DATA));
    for (size_t i = list; i < sd.length; i++) {
        UCHAR good = sd.bytes[i];
        for (unsigned value = 0; value < 256; value += 5) {
            sd.bytes[i] = (UCHAR)value;
            may(&admin, FILE_READ_DATA);
        }
        sd.bytes[i] = good;
    }
    put16(list + 2, 12); /* the list ends inside of its first entry */
    CHECK(!may(&admin, FILE_READ_DATA) && !may(&io_token_system, FILE_READ_DATA));
    put16(list + 2, 4);
    CHECK(!may(&admin, FILE_READ_DATA));
    put16(list + 2, (unsigned)(sd.length - list));
    put16(list + 8 + 2, 2); /* an entry without room for itself */
    CHECK(!may(&io_token_system, FILE_READ_DATA));
    sd.bytes[0] = 2; /* unknown revision */
    CHECK(!may(&io_token_system, FILE_READ_DATA));
}

void test_access(void)
{
    test_dacl();
    test_label();
    test_rest();
    test_damaged();
}
