/* The command line: dispatch, options, help. */
#include "cli.h"

#include "config.h"
#include "ndis/adapter.h"
#include "sched/sched.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef NTHOST_VERSION
#define NTHOST_VERSION "0.1.0"
#endif

static const char help[] =
    "nthost runs an NDIS 6 miniport driver for 64-bit Windows, unchanged, on Linux.\n"
    "\n"
    "usage:\n"
    "  nthost run FILE.sys --name NAME [options]   run an adapter in the foreground\n"
    "  nthost up FILE.conf|NAME [options]          set a tunnel up from a configuration file\n"
    "  nthost down FILE.conf|NAME                  undo `up`\n"
    "  nthost list                                 tunnels that `up` made\n"
    "  nthost sim FILE.sys --scenario FILE.so [options] [-- words]   simulate; docs/simulation.md\n"
    "  nthost --help | --version\n"
    "\n"
    "run creates the network interface NAME and serves /var/run/wireguard/NAME.sock for `wg` and NAME.ctl\n"
    "(docs/control-socket.md).  Ctrl-C pauses, halts and unloads the driver and reports what it left behind; "
    "a\n"
    "second Ctrl-C ends at once.\n"
    "\n"
    "options of run and up:\n"
    "  --name NAME          interface: 1 to 15 of a-z A-Z 0-9 _ = + . -      (run only; more than once:\n"
    "                       as many adapters of the one driver, which share a fwmark)\n"
    "  --driver FILE.sys    the driver; default: wyrm.sys beside nthost       (up only)\n"
    "  --verify             check every rule of the kernel interface; slower\n"
    "  --fault-seed N       with --verify: let allocations and calls fail at random, from this seed\n"
    "  --cpus N             virtual processors, 1 to 64; default: those of the machine, at most 8\n"
    "  --idle-cpu N|off     the machine's processor for the event loop while there is little to do;\n"
    "                       best the one of the network card's interrupts; default: the first it may use\n"
    "  --mtu N              MTU of the interface, 576 to 65535                (run only; up: from the file)\n"
    "  --report FILE        append reports and the final counters to FILE\n"
    "  --trace              print the driver's debug messages\n"
    "  --perf               write /tmp/perf-PID.map, so that perf shows the driver's functions\n"
    "  --no-offload         no segmentation offloads on the interface\n"
    "  --keyword NAME=N     a value of the driver's configuration, such as '*LsoV2IPv4=0' (quoted: it has a "
    "*),\n"
    "                       more than once: several; of *LsoV2IPv4 *LsoV2IPv6 *UsoIPv4 *UsoIPv6 *RscIPv4\n"
    "                       *RscIPv6 0 is off, 1 on; of *IPChecksumOffloadIPv4 *TCPChecksumOffloadIPv4\n"
    "                       *TCPChecksumOffloadIPv6 *UDPChecksumOffloadIPv4 *UDPChecksumOffloadIPv6 0 is "
    "off,\n"
    "                       1 when sending, 2 when receiving, 3 both; default: all on\n"
    "  --control-dir DIR    where the control sockets are made\n"
    "  --down               leave the adapter down at start                   (run only)\n"
    "  --ready-fd N         write \"ready\" to this descriptor when serving    (run only)\n"
    "\n"
    "options of sim (no root needed):\n"
    "  --scenario FILE.so   what happens in the simulation; the words after -- are for it\n"
    "  --seed N             one run, the log is shown when it fails; --trace shows it as it comes\n"
    "  --seeds N            N runs, each with a seed of its own; --first N: from this seed on, default 1\n"
    "  --hours N            no new runs once so many virtual hours were simulated\n"
    "  --jobs N             runs at a time; default: the machine's processors\n"
    "  --limit N            seconds of processor time for a run, 0: no limit; default 300\n"
    "  --cpus N             virtual processors; default: from the seed\n"
    "  --stall MS           now and then a thread stops at an import for up to so long; default 0\n"
    "  --hash               print what each run came to; the same for the same seed\n"
    "\n"
    "configuration files are those of wg-quick(8):\n"
    "  [Interface]  PrivateKey ListenPort FwMark Address DNS MTU Table PreUp PostUp PreDown PostDown "
    "SaveConfig\n"
    "  [Peer]       PublicKey PresharedKey AllowedIPs Endpoint PersistentKeepalive\n"
    "A NAME stands for /etc/wireguard/NAME.conf.  Hooks are run by sh, %i is the interface.\n"
    "\n"
    "exit status: 0 done, 1 failed, 2 wrong usage, 3 the driver left something behind, 70 a rule was "
    "broken\n";

void cli_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("nthost: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

bool cli_check_privileges(void)
{
    if (geteuid() != 0) {
        cli_error("this needs root (network interfaces, raw marks): run it with sudo");
        return false;
    }
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        cli_error("/dev/net/tun cannot be opened: %s: load the module with `modprobe tun`, or give the "
                  "container this device",
                  strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

static unsigned default_cpus(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 8 ? 8 : (unsigned)count;
}

static bool parse_unsigned(const char *option, const char *text, unsigned minimum, unsigned maximum,
                           unsigned *value)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || number < minimum || number > maximum) {
        cli_error("--%s %s: want a number from %u to %u", option, text, minimum, maximum);
        return false;
    }
    *value = (unsigned)number;
    return true;
}

enum {
    OPTION_NAME = 256,
    OPTION_DRIVER,
    OPTION_VERIFY,
    OPTION_FAULT_SEED,
    OPTION_CPUS,
    OPTION_IDLE_CPU,
    OPTION_MTU,
    OPTION_REPORT,
    OPTION_TRACE,
    OPTION_PERF,
    OPTION_NO_OFFLOAD,
    OPTION_KEYWORD,
    OPTION_CONTROL_DIR,
    OPTION_DOWN,
    OPTION_UP,
    OPTION_READY_FD
};

/* `run_only`: the option makes no sense for `up`. */
static const struct option option_table[] = {{"name", required_argument, NULL, OPTION_NAME},
                                             {"driver", required_argument, NULL, OPTION_DRIVER},
                                             {"verify", no_argument, NULL, OPTION_VERIFY},
                                             {"fault-seed", required_argument, NULL, OPTION_FAULT_SEED},
                                             {"cpus", required_argument, NULL, OPTION_CPUS},
                                             {"idle-cpu", required_argument, NULL, OPTION_IDLE_CPU},
                                             {"mtu", required_argument, NULL, OPTION_MTU},
                                             {"report", required_argument, NULL, OPTION_REPORT},
                                             {"trace", no_argument, NULL, OPTION_TRACE},
                                             {"perf", no_argument, NULL, OPTION_PERF},
                                             {"no-offload", no_argument, NULL, OPTION_NO_OFFLOAD},
                                             {"keyword", required_argument, NULL, OPTION_KEYWORD},
                                             {"control-dir", required_argument, NULL, OPTION_CONTROL_DIR},
                                             {"down", no_argument, NULL, OPTION_DOWN},
                                             {"up", no_argument, NULL, OPTION_UP},
                                             {"ready-fd", required_argument, NULL, OPTION_READY_FD},
                                             {NULL, 0, NULL, 0}};

static bool option_allowed(const char *command, int option)
{
    bool run = !strcmp(command, "run");
    switch (option) {
    case OPTION_NAME:
    case OPTION_MTU:
    case OPTION_DOWN:
    case OPTION_UP:
    case OPTION_READY_FD:
        return run;
    case OPTION_DRIVER:
        return !run;
    default:
        return true;
    }
}

static bool name_take(struct run_options *options)
{
    if (!config_name_valid(optarg)) {
        cli_error("--name \"%s\": an interface name has 1 to 15 of a-z A-Z 0-9 _ = + . -", optarg);
        return false;
    }
    for (unsigned i = 0; i < options->name_count; i++) {
        if (!strcmp(options->names[i], optarg)) {
            cli_error("--name %s: named twice", optarg);
            return false;
        }
    }
    if (options->name_count == RUN_ADAPTERS_MAX) {
        cli_error("--name %s: at most %d adapters", optarg, RUN_ADAPTERS_MAX);
        return false;
    }
    options->names[options->name_count++] = optarg;
    return true;
}

/* What a driver may ask for is its own: any name, and a number as an INF file has it. */
static bool keyword_take(struct run_options *options)
{
    const char *equals = strchr(optarg, '=');
    unsigned long number;
    char *end;

    if (!equals || equals == optarg || equals - optarg > NDIS_KEYWORD_MAX) {
        cli_error("--keyword \"%s\": want NAME=NUMBER, the name of 1 to %d characters", optarg,
                  NDIS_KEYWORD_MAX);
        return false;
    }
    errno = 0;
    number = strtoul(equals + 1, &end, 0);
    if (equals[1] < '0' || equals[1] > '9' || *end || errno || number > UINT_MAX) {
        cli_error("--keyword %.*s=%s: want a number from 0 to %u", (int)(equals - optarg), optarg, equals + 1,
                  UINT_MAX);
        return false;
    }
    if (options->keyword_count == RUN_KEYWORDS_MAX) {
        cli_error("--keyword %s: at most %d", optarg, RUN_KEYWORDS_MAX);
        return false;
    }
    options->keywords[options->keyword_count++] = optarg;
    return true;
}

static bool idle_cpu_take(struct run_options *options)
{
    unsigned number;

    if (!strcmp(optarg, "off")) {
        options->idle_cpu = SCHED_IDLE_CPU_NONE;
        return true;
    }
    if (!parse_unsigned("idle-cpu", optarg, 0, SCHED_IDLE_CPU_MAX, &number))
        return false;
    if (!sched_idle_cpu_allowed((int)number)) {
        cli_error("--idle-cpu %u: this process may not run there: see `taskset -p $$`", number);
        return false;
    }
    options->idle_cpu = (int)number;
    return true;
}

static bool option_take(struct run_options *options, int option)
{
    unsigned number;
    switch (option) {
    case OPTION_NAME:
        return name_take(options);
    case OPTION_DRIVER:
        options->driver = optarg;
        return true;
    case OPTION_VERIFY:
        options->verify = true;
        return true;
    case OPTION_FAULT_SEED:
        return parse_unsigned("fault-seed", optarg, 1, UINT_MAX, &options->fault_seed);
    case OPTION_CPUS:
        return parse_unsigned("cpus", optarg, 1, 64, &options->cpus);
    case OPTION_IDLE_CPU:
        return idle_cpu_take(options);
    case OPTION_MTU:
        return parse_unsigned("mtu", optarg, 576, 65535, &options->mtu);
    case OPTION_REPORT:
        options->report = optarg;
        return true;
    case OPTION_TRACE:
        options->trace = true;
        return true;
    case OPTION_PERF:
        options->perf = true;
        return true;
    case OPTION_NO_OFFLOAD:
        options->no_offload = true;
        return true;
    case OPTION_KEYWORD:
        return keyword_take(options);
    case OPTION_CONTROL_DIR:
        options->control_dir = optarg;
        return true;
    case OPTION_DOWN:
    case OPTION_UP:
        options->down = option == OPTION_DOWN;
        return true;
    default:
        if (!parse_unsigned("ready-fd", optarg, 0, 65535, &number))
            return false;
        options->ready_fd = (int)number;
        if (fcntl(options->ready_fd, F_GETFD) >= 0)
            return true;
        cli_error("--ready-fd %s: this descriptor is not open", optarg);
        return false;
    }
}

bool run_options_parse(const char *command, int argc, char **argv, struct run_options *options,
                       const char **operand)
{
    *options = (struct run_options){.ready_fd = -1, .cpus = default_cpus(), .idle_cpu = SCHED_IDLE_CPU_FIRST};
    *operand = NULL;
    optind = 0;
    opterr = 0;
    for (;;) {
        int at = optind ? optind : 1, index = -1;
        int option = getopt_long(argc, argv, "-:", option_table, &index);
        if (option == -1)
            break;
        if (option == 1) { /* not an option */
            if (*operand) {
                cli_error("%s takes one file, not also \"%s\"", command, optarg);
                return false;
            }
            *operand = optarg;
        } else if (option == ':') {
            cli_error("option %s needs a value: see `nthost --help`", argv[at]);
            return false;
        } else if (option == '?' || !option_allowed(command, option)) {
            cli_error("%s has no option \"%s\": see `nthost --help`", command, argv[at]);
            return false;
        } else if (!option_take(options, option)) {
            return false;
        }
    }
    if (optind < argc && !*operand)
        *operand = argv[optind++];
    if (optind < argc) {
        cli_error("%s takes one file, not also \"%s\"", command, argv[optind]);
        return false;
    }
    return true;
}

int cli_main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"run", command_run},
                    {"up", command_up},
                    {"down", command_down},
                    {"list", command_list},
                    {"sim", command_sim}};
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
        fputs(help, stdout);
        return EXIT_DONE;
    }
    if (!strcmp(word, "--version")) {
        puts("nthost " NTHOST_VERSION);
        return EXIT_DONE;
    }
    for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(word, commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    cli_error("\"%s\" is not a command: see `nthost --help`", word);
    return EXIT_USAGE;
}
