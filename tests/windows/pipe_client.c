/* pipe_client PATH: copies a request from standard input to a named pipe, its answer (up to an empty line) to
 * the output. */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    char request[8192], answer[65536];
    wchar_t path[256];
    DWORD length = 0, got = 0, moved;
    HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
    if (argc != 2 || !MultiByteToWideChar(CP_UTF8, 0, argv[1], -1, path, 256))
        return 2;
    while (length < sizeof(request) &&
           ReadFile(input, request + length, (DWORD)sizeof(request) - length, &moved, NULL) && moved)
        length += moved;
    HANDLE pipe = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (pipe == INVALID_HANDLE_VALUE) {
        printf("open: error %lu\n", GetLastError());
        return 1;
    }
    if (!WriteFile(pipe, request, length, &moved, NULL))
        return 1;
    while (got < sizeof(answer) - 1 &&
           ReadFile(pipe, answer + got, (DWORD)sizeof(answer) - 1 - got, &moved, NULL) && moved) {
        got += moved;
        answer[got] = 0;
        if (strstr(answer, "\n\n"))
            break;
    }
    answer[got] = 0;
    fputs(answer, stdout);
    CloseHandle(pipe);
    return 0;
}
