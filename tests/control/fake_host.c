/* Serves both control fronts with the fake adapter until SIGTERM: `fake_host NAME DIRECTORY`.  The Python
 * tests talk to it with stock `wg` and with the raw client. */
#include "control/fronts.h"
#include "fake_adapter.h"

#include <signal.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    char error[256];
    struct front *wg = NULL, *raw = NULL;
    sigset_t set;
    int signal;
    if (argc != 3) {
        fprintf(stderr, "usage: fake_host NAME DIRECTORY\n");
        return 2;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct ndis_adapter *adapter = fake_adapter_create(argv[1]);
    if (wg_front_open(adapter, argv[2], &wg, error, sizeof error) ||
        raw_front_open(adapter, argv[2], &raw, error, sizeof error)) {
        fprintf(stderr, "fake_host: %s\n", error);
        front_close(wg);
        fake_adapter_free(adapter);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    sigwait(&set, &signal);
    front_close(wg);
    front_close(raw);
    fake_adapter_free(adapter);
    return 0;
}
