/* Who may control an adapter: SYSTEM and Administrators, at high integrity.  The check is made for every
 * request with the caller's token, so a handle that leaked to a weaker process is useless. */
#include "control.h"
#include "nt/ob_ps_se.h"

#define ACE_ACCESS_ALLOWED  0x00
#define ACE_MANDATORY_LABEL 0x11
#define LABEL_NO_WRITE_UP   0x1
#define LABEL_NO_READ_UP    0x2
#define LABEL_NO_EXECUTE_UP 0x4
#define FILE_ALL            0x001F01FFu

struct sid_1 {
    UCHAR revision, count, authority[6];
    ULONG sub[1];
};
struct sid_2 {
    UCHAR revision, count, authority[6];
    ULONG sub[2];
};
struct ace_1 {
    UCHAR type, flags;
    USHORT size;
    ULONG mask;
    struct sid_1 sid;
};
struct ace_2 {
    UCHAR type, flags;
    USHORT size;
    ULONG mask;
    struct sid_2 sid;
};

/* O:SYG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)S:(ML;;NWNRNX;;;HI) in self-relative form. */
struct descriptor {
    SECURITY_DESCRIPTOR_RELATIVE header;
    struct sid_1 system;
    struct {
        ACL header;
        struct ace_1 label;
    } sacl;
    struct {
        ACL header;
        struct ace_1 system;
        struct ace_2 administrators;
    } dacl;
};

#define SID_SYSTEM         {1, 1, {0, 0, 0, 0, 0, 5}, {18}}
#define SID_ADMINISTRATORS {1, 2, {0, 0, 0, 0, 0, 5}, {32, 544}}
#define SID_HIGH_INTEGRITY {1, 1, {0, 0, 0, 0, 0, 16}, {0x3000}}

static struct descriptor descriptor = {
    .header = {.Revision = SECURITY_DESCRIPTOR_REVISION,
               .Control = SE_SELF_RELATIVE | SE_DACL_PRESENT | SE_DACL_PROTECTED | SE_SACL_PRESENT,
               .Owner = offsetof(struct descriptor, system),
               .Group = offsetof(struct descriptor, system),
               .Sacl = offsetof(struct descriptor, sacl),
               .Dacl = offsetof(struct descriptor, dacl)},
    .system = SID_SYSTEM,
    .sacl = {.header = {.AclRevision = ACL_REVISION, .AclSize = sizeof(descriptor.sacl), .AceCount = 1},
             .label = {ACE_MANDATORY_LABEL, 0, sizeof(struct ace_1),
                       LABEL_NO_WRITE_UP | LABEL_NO_READ_UP | LABEL_NO_EXECUTE_UP, SID_HIGH_INTEGRITY}},
    .dacl = {.header = {.AclRevision = ACL_REVISION, .AclSize = sizeof(descriptor.dacl), .AceCount = 2},
             .system = {ACE_ACCESS_ALLOWED, 0, sizeof(struct ace_1), FILE_ALL, SID_SYSTEM},
             .administrators = {ACE_ACCESS_ALLOWED, 0, sizeof(struct ace_2), FILE_ALL, SID_ADMINISTRATORS}},
};

NTSTATUS security_check(IRP *irp, ACCESS_MASK desired)
{
    SECURITY_SUBJECT_CONTEXT subject;
    ACCESS_MASK granted;
    NTSTATUS status = STATUS_ACCESS_DENIED;
    SeCaptureSubjectContext(&subject);
    BOOLEAN allowed = SeAccessCheck(&descriptor, &subject, FALSE, desired, 0, NULL,
                                    IoGetFileObjectGenericMapping(), irp->RequestorMode, &granted, &status);
    SeReleaseSubjectContext(&subject);
    if (allowed)
        return STATUS_SUCCESS;
    return NT_SUCCESS(status) ? STATUS_ACCESS_DENIED : status;
}
