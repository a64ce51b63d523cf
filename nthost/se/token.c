/* The calling thread's token, and the subject context that drivers capture from it. */
#include "se/token.h"

#include "sched/sim.h"

#include "nt/ob_ps_se.h"

const struct io_token io_token_system = {.system = true, .administrator = true, .integrity = 0x4000};

static _Thread_local const struct io_token *current;
SIM_FOLLOWS_THREAD(current)

const struct io_token *token_current(void)
{
    return current ? current : &io_token_system;
}

const struct io_token *token_enter(const struct io_token *token)
{
    const struct io_token *previous = current;
    current = token;
    return previous;
}

void token_leave(const struct io_token *previous)
{
    current = previous;
}

VOID NTAPI SeCaptureSubjectContext(PSECURITY_SUBJECT_CONTEXT SubjectContext)
{
    SubjectContext->ClientToken = NULL;
    SubjectContext->ImpersonationLevel = SecurityAnonymous;
    SubjectContext->PrimaryToken = (PACCESS_TOKEN)(uintptr_t)token_current();
    SubjectContext->ProcessAuditId = NULL;
}

/* Tokens of this host do not change: there is nothing to lock. */
VOID NTAPI SeLockSubjectContext(PSECURITY_SUBJECT_CONTEXT SubjectContext)
{
    (void)SubjectContext;
}

VOID NTAPI SeUnlockSubjectContext(PSECURITY_SUBJECT_CONTEXT SubjectContext)
{
    (void)SubjectContext;
}

VOID NTAPI SeReleaseSubjectContext(PSECURITY_SUBJECT_CONTEXT SubjectContext)
{
    SubjectContext->PrimaryToken = NULL;
    SubjectContext->ClientToken = NULL;
}
