/* Shared by the assembler and C halves of the thunks. */
#pragma once

#define THUNK_COUNT 1024 /* rows that can have a thunk; the import table is smaller (asserted) */
#define THUNK_SIZE  16   /* bytes per entry */
