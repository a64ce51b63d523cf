/* The suite's end of the stand-in, and the faults that a test asks for. */
#include "stand_in.h"

#include "../lib/linux_socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

bool fault(const wchar_t *word, ULONG *number)
{
    wchar_t words[512];
    size_t length = wcslen(word);
    DWORD count = GetEnvironmentVariableW(L"WYRM_BRIDGE_FAIL", words, ARRAYSIZE(words));

    if (!count || count >= ARRAYSIZE(words)) {
        return false;
    }
    for (const wchar_t *at = words; at; at = wcschr(at, L',') ? wcschr(at, L',') + 1 : NULL) {
        if (wcsncmp(at, word, length) == 0 && (!at[length] || at[length] == L',' || at[length] == L'=')) {
            if (number) {
                *number = at[length] == L'=' ? wcstoul(at + length + 1, NULL, 16) : 0;
            }
            return true;
        }
    }
    return false;
}

int host_connect(void)
{
    char path[LINUX_PATH_BYTES];
    wchar_t wide[LINUX_PATH_BYTES];
    DWORD count = GetEnvironmentVariableW(L"WYRM_BRIDGE_SOCKET", wide, ARRAYSIZE(wide));

    if (!count || count >= ARRAYSIZE(wide) ||
        !WideCharToMultiByte(CP_UTF8, 0, wide, -1, path, sizeof(path), NULL, NULL)) {
        return -1;
    }
    return linux_connect(path);
}

bool host_ask(int connection, const char *line, char *reply)
{
    size_t length = 0;

    if (connection < 0 || !linux_write_all(connection, line, strlen(line))) {
        return false;
    }
    while (length < REPLY_BYTES - 1 && linux_read_all(connection, reply + length, 1)) {
        if (reply[length] == '\n') {
            reply[length] = 0;
            return true;
        }
        length++;
    }
    return false;
}

bool host_query(const wchar_t *instance, char *reply)
{
    char line[REPLY_BYTES];
    int connection = host_connect();
    bool good;

    snprintf(line, sizeof(line), "query %ls\n", instance);
    good = host_ask(connection, line, reply);
    if (connection >= 0) {
        linux_close(connection);
    }
    return good;
}
