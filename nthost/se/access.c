/* The access check: mandatory label, privileges, owner, then the DACL's entries in their order.  Descriptors
 * come from the driver and are read with every offset checked; a damaged one grants nothing.
 *
 * Sources: Microsoft, "SeAccessCheck"; MS-DTYP 2.4.4 (ACEs), 2.4.6 (security descriptor), 2.5.3.2 (access
 * check algorithm), 2.5.3.3 (mandatory integrity check). */
#include "se/access.h"

#include "nt/io.h"
#include "se/token.h"

#include <string.h>

#define ACE_ALLOWED         0x00u
#define ACE_DENIED          0x01u
#define ACE_MANDATORY_LABEL 0x11u
#define ACE_INHERIT_ONLY    0x08u
#define LABEL_NO_WRITE_UP   1u
#define LABEL_NO_READ_UP    2u
#define LABEL_NO_EXECUTE_UP 4u
#define LABEL_MEDIUM        0x2000u
#define LABEL_HIGH          0x3000u

#define RIGHT_WRITE_DAC   0x40000u
#define RIGHT_WRITE_OWNER 0x80000u
#define GENERIC_BITS      (GENERIC_READ | GENERIC_WRITE | GENERIC_EXECUTE | GENERIC_ALL)

GENERIC_MAPPING file_generic_mapping = {.GenericRead = FILE_GENERIC_READ,
                                        .GenericWrite = FILE_GENERIC_WRITE,
                                        .GenericExecute = 0x1200a0, /* FILE_GENERIC_EXECUTE */
                                        .GenericAll = FILE_ALL_ACCESS};

PGENERIC_MAPPING NTAPI IoGetFileObjectGenericMapping(VOID)
{
    return &file_generic_mapping;
}

VOID NTAPI RtlMapGenericMask(PACCESS_MASK AccessMask, const GENERIC_MAPPING *GenericMapping)
{
    ACCESS_MASK mask = *AccessMask;
    if (mask & GENERIC_READ)
        mask |= GenericMapping->GenericRead;
    if (mask & GENERIC_WRITE)
        mask |= GenericMapping->GenericWrite;
    if (mask & GENERIC_EXECUTE)
        mask |= GenericMapping->GenericExecute;
    if (mask & GENERIC_ALL)
        mask |= GenericMapping->GenericAll;
    *AccessMask = mask & ~(ACCESS_MASK)GENERIC_BITS;
}

/* ---- SIDs ---- */

struct sid { /* a view of a SID whose length was checked */
    const UCHAR *bytes;
    size_t length;
};

/* The SID at `bytes`; length 0 if it does not fit `available`. */
static struct sid sid_at(const void *bytes, size_t available)
{
    const UCHAR *sid = bytes;
    if (!sid || available < 8 || sid[0] != 1 || sid[1] > 15 || (size_t)8 + 4u * sid[1] > available)
        return (struct sid){NULL, 0};
    return (struct sid){sid, 8 + 4u * sid[1]};
}

static ULONG sub_authority(struct sid sid, unsigned index)
{
    ULONG value;
    memcpy(&value, sid.bytes + 8 + 4 * index, sizeof value);
    return value;
}

/* S-1-AUTHORITY-FIRST[-SECOND]; second 0 = there is none. */
static bool sid_is(struct sid sid, unsigned authority, ULONG first, ULONG second)
{
    if (!sid.length || sid.bytes[1] != (second ? 2 : 1) || sid.bytes[7] != authority)
        return false;
    for (unsigned i = 2; i < 7; i++) {
        if (sid.bytes[i])
            return false;
    }
    return sub_authority(sid, 0) == first && (!second || sub_authority(sid, 1) == second);
}

/* The groups of a token: Everyone, Authenticated Users, and what the token says.  LocalSystem is a member of
 * Administrators. */
static bool token_has(const struct io_token *token, struct sid sid)
{
    if (sid_is(sid, 1, 0, 0) || sid_is(sid, 5, 11, 0))
        return true;
    if (sid_is(sid, 5, 18, 0))
        return token->system;
    if (sid_is(sid, 5, 32, 544))
        return token->administrator || token->system;
    if (sid_is(sid, 5, 32, 545) || sid_is(sid, 5, 4, 0)) /* Users, Interactive */
        return !token->system;
    return false;
}

/* ---- descriptors ---- */

struct parts {
    bool valid;
    struct sid owner;
    const UCHAR *sacl, *dacl; /* NULL: absent or a null ACL; sizes in the ACL's header, checked */
    size_t sacl_size, dacl_size;
};

static const UCHAR *acl_at(const UCHAR *bytes, size_t available, size_t *size, bool *valid)
{
    if (!bytes)
        return NULL;
    USHORT length;
    if (available < sizeof(ACL)) {
        *valid = false;
        return NULL;
    }
    memcpy(&length, bytes + 2, sizeof length);
    if (length < sizeof(ACL) || length > available) {
        *valid = false;
        return NULL;
    }
    *size = length;
    return bytes;
}

/* Memory behind an absolute or self-relative descriptor has no stated length: what the structures themselves
 * say is the limit (at most 64 KB each). */
static struct parts descriptor_parts(PSECURITY_DESCRIPTOR descriptor)
{
    struct parts parts = {.valid = false};
    const UCHAR *base = descriptor;
    USHORT control;
    const UCHAR *owner, *sacl, *dacl;
    if (base[0] != SECURITY_DESCRIPTOR_REVISION)
        return parts;
    memcpy(&control, base + 2, sizeof control);
    if (control & SE_SELF_RELATIVE) {
        SECURITY_DESCRIPTOR_RELATIVE relative;
        memcpy(&relative, base, sizeof relative);
        owner = relative.Owner ? base + relative.Owner : NULL;
        sacl = relative.Sacl ? base + relative.Sacl : NULL;
        dacl = relative.Dacl ? base + relative.Dacl : NULL;
    } else {
        SECURITY_DESCRIPTOR absolute;
        memcpy(&absolute, base, sizeof absolute);
        owner = absolute.Owner;
        sacl = (const UCHAR *)absolute.Sacl;
        dacl = (const UCHAR *)absolute.Dacl;
    }
    parts.valid = true;
    parts.owner = sid_at(owner, 68);
    if (control & SE_SACL_PRESENT)
        parts.sacl = acl_at(sacl, 0xffff, &parts.sacl_size, &parts.valid);
    if (control & SE_DACL_PRESENT)
        parts.dacl = acl_at(dacl, 0xffff, &parts.dacl_size, &parts.valid);
    return parts;
}

/* ---- ACEs ---- */

struct ace {
    unsigned type, flags;
    ACCESS_MASK mask;
    struct sid sid;
};

/* The entry at *offset; advances.  False at the end; *valid becomes false when the list is damaged. */
static bool next_ace(const UCHAR *acl, size_t acl_size, unsigned *index, size_t *offset, struct ace *ace,
                     bool *valid)
{
    USHORT count, size;
    memcpy(&count, acl + 4, sizeof count);
    if ((*index)++ >= count)
        return false;
    if (acl_size - *offset < 4) {
        *valid = false;
        return false;
    }
    const UCHAR *bytes = acl + *offset;
    memcpy(&size, bytes + 2, sizeof size);
    if (size < 4 || size % 4 || size > acl_size - *offset) {
        *valid = false;
        return false;
    }
    *offset += size;
    *ace = (struct ace){.type = bytes[0], .flags = bytes[1]};
    if (ace->type == ACE_ALLOWED || ace->type == ACE_DENIED || ace->type == ACE_MANDATORY_LABEL) {
        if (size >= 8) {
            memcpy(&ace->mask, bytes + 4, sizeof ace->mask);
            ace->sid = sid_at(bytes + 8, size - 8u);
        }
        if (!ace->sid.length) {
            *valid = false;
            return false;
        }
    }
    return true;
}

/* ---- the mandatory label ---- */

/* The rights that the token's integrity level leaves. */
static ACCESS_MASK label_allows(const struct parts *parts, const struct io_token *token,
                                const GENERIC_MAPPING *mapping, bool *valid)
{
    ULONG level = LABEL_MEDIUM;
    ACCESS_MASK policy = LABEL_NO_WRITE_UP; /* of objects without a label */
    if (parts->sacl) {
        size_t offset = sizeof(ACL);
        unsigned index = 0;
        struct ace ace;
        while (next_ace(parts->sacl, parts->sacl_size, &index, &offset, &ace, valid)) {
            if (ace.type == ACE_MANDATORY_LABEL && !(ace.flags & ACE_INHERIT_ONLY) &&
                ace.sid.bytes[7] == 16 && ace.sid.bytes[1] == 1) {
                level = sub_authority(ace.sid, 0);
                policy = ace.mask;
                break;
            }
        }
    }
    if (token->integrity >= level)
        return ~(ACCESS_MASK)0;
    ACCESS_MASK allowed = 0;
    if (!(policy & LABEL_NO_WRITE_UP))
        allowed |= mapping->GenericWrite;
    if (!(policy & LABEL_NO_READ_UP))
        allowed |= mapping->GenericRead;
    if (!(policy & LABEL_NO_EXECUTE_UP))
        allowed |= mapping->GenericExecute;
    return allowed;
}

/* ---- the check ---- */

/* What the DACL gives: every right is decided by the first entry that mentions it. */
static ACCESS_MASK dacl_allows(const struct parts *parts, const struct io_token *token,
                               const GENERIC_MAPPING *mapping, bool *valid)
{
    ACCESS_MASK allowed = 0, denied = 0;
    bool owner_rights = false; /* S-1-3-4 takes the place of the owner's implied rights */
    size_t offset = sizeof(ACL);
    unsigned index = 0;
    struct ace ace;
    if (!parts->dacl)
        return ~(ACCESS_MASK)0 & ~(ACCESS_MASK)ACCESS_SYSTEM_SECURITY;
    bool owner = parts->owner.length && token_has(token, parts->owner);
    while (next_ace(parts->dacl, parts->dacl_size, &index, &offset, &ace, valid)) {
        if ((ace.type != ACE_ALLOWED && ace.type != ACE_DENIED) || (ace.flags & ACE_INHERIT_ONLY))
            continue;
        bool names_owner = sid_is(ace.sid, 3, 4, 0);
        owner_rights |= names_owner;
        if (!(names_owner ? owner : token_has(token, ace.sid)))
            continue;
        ACCESS_MASK mask = ace.mask;
        RtlMapGenericMask(&mask, mapping);
        if (ace.type == ACE_ALLOWED)
            allowed |= mask & ~denied;
        else
            denied |= mask & ~allowed;
    }
    if (owner && !owner_rights)
        allowed |= READ_CONTROL | RIGHT_WRITE_DAC;
    return allowed;
}

bool access_check(PSECURITY_DESCRIPTOR descriptor, const struct io_token *token, ACCESS_MASK desired,
                  ACCESS_MASK previously, const GENERIC_MAPPING *mapping, ACCESS_MASK *granted,
                  NTSTATUS *status)
{
    *granted = 0;
    *status = STATUS_ACCESS_DENIED;
    if (!descriptor)
        return false;
    struct parts parts = descriptor_parts(descriptor);
    bool valid = parts.valid;
    if (!valid)
        return false;

    RtlMapGenericMask(&desired, mapping);
    bool maximum = (desired & MAXIMUM_ALLOWED) != 0;
    desired &= ~(ACCESS_MASK)MAXIMUM_ALLOWED;
    bool privileged = (token->system || token->administrator) && token->integrity >= LABEL_HIGH;
    ACCESS_MASK by_privilege = privileged ? ACCESS_SYSTEM_SECURITY | RIGHT_WRITE_OWNER : 0;
    if ((desired & ACCESS_SYSTEM_SECURITY) && !privileged) {
        *status = STATUS_PRIVILEGE_NOT_HELD;
        return false;
    }
    ACCESS_MASK allowed = dacl_allows(&parts, token, mapping, &valid);
    allowed &= label_allows(&parts, token, mapping, &valid);
    allowed |= by_privilege | previously;
    if (!valid)
        return false;
    if (desired & ~allowed)
        return false;
    ACCESS_MASK result = desired | previously;
    if (maximum)
        result |= allowed & (mapping->GenericAll | desired) & ~(ACCESS_MASK)ACCESS_SYSTEM_SECURITY;
    if (result == 0)
        return false;
    *granted = result;
    *status = STATUS_SUCCESS;
    return true;
}

BOOLEAN NTAPI SeAccessCheck(PSECURITY_DESCRIPTOR SecurityDescriptor,
                            PSECURITY_SUBJECT_CONTEXT SubjectSecurityContext, BOOLEAN SubjectContextLocked,
                            ACCESS_MASK DesiredAccess, ACCESS_MASK PreviouslyGrantedAccess,
                            PPRIVILEGE_SET *Privileges, PGENERIC_MAPPING GenericMapping,
                            KPROCESSOR_MODE AccessMode, PACCESS_MASK GrantedAccess, PNTSTATUS AccessStatus)
{
    (void)SubjectContextLocked;
    if (Privileges)
        *Privileges = NULL;
    if (AccessMode == KernelMode) {
        *GrantedAccess = DesiredAccess & MAXIMUM_ALLOWED
                             ? GenericMapping->GenericAll | (DesiredAccess & ~(ACCESS_MASK)MAXIMUM_ALLOWED) |
                                   PreviouslyGrantedAccess
                             : DesiredAccess | PreviouslyGrantedAccess;
        *AccessStatus = STATUS_SUCCESS;
        return TRUE;
    }
    const struct io_token *token = SubjectSecurityContext->ClientToken ? SubjectSecurityContext->ClientToken
                                                                       : SubjectSecurityContext->PrimaryToken;
    if (SubjectSecurityContext->ClientToken &&
        SubjectSecurityContext->ImpersonationLevel < SecurityImpersonation) {
        *GrantedAccess = 0;
        *AccessStatus = STATUS_ACCESS_DENIED;
        return FALSE;
    }
    return access_check(SecurityDescriptor, token ? token : token_current(), DesiredAccess,
                        PreviouslyGrantedAccess, GenericMapping, GrantedAccess, AccessStatus)
               ? TRUE
               : FALSE;
}
