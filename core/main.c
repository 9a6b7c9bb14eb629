// SPDX-License-Identifier: MIT
//
// The host binary: command line and signals over hark.h, nothing else. Exit status: 0 also after a
// drain, 1 scripts are broken, 2 usage or settings, 3 cannot bind or run.
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hark.h"

enum exit_status { EXIT_SCRIPTS = 1, EXIT_USAGE = 2, EXIT_RUN = 3 };

static const char HELP[] =
    "hark " HARK_VERSION ": a scriptable real-time gateway\n"
    "\n"
    "usage: hark run DIR [options]   serve the scripts of a directory\n"
    "       hark version             print the version\n"
    "       hark help                print this\n"
    "\n"
    "options of run:\n"
    "  --listen ADDR   HOST:PORT, [::1]:PORT, :PORT or unix:/path; several separated by commas\n"
    "                  (127.0.0.1:8080)\n"
    "  --admin ADDR    metrics, health, status and publishing; \"off\" for none (127.0.0.1:8081)\n"
    "  --workers N     threads, each with its own loop and Lua state (number of cores)\n"
    "  --degraded      start although some scripts are broken\n"
    "\n"
    "Settings come from DIR/hark.conf.lua, then the environment (HARK_LISTEN, HARK_ADMIN,\n"
    "HARK_ADMIN_KEY, HARK_WORKERS, HARK_LOG_LEVEL), then these options.\n"
    "\n"
    "signals: HUP looks at the scripts again, TERM and INT drain (a second one stops at once)\n"
    "exit status: 0 stopped or drained, 1 scripts are broken, 2 usage or settings, 3 cannot run\n";

static int usage(const char *problem, const char *detail);
static int run(int argc, char **argv);
static int parse(int argc, char **argv, struct hark_options *options);
static int serve(const struct hark_options *options);
static void announce(const struct hark_gateway *gateway);
static void *signals(void *gateway);
static const char *lua_path(char *out, size_t size);

int main(int argc, char **argv)
{
    if (argc < 2) {
        return usage("a command is missing", NULL);
    }
    if (strcmp(argv[1], "run") == 0) {
        return run(argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
        printf("hark %s\n", hark_version());
        return 0;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        (void)fputs(HELP, stdout);
        return 0;
    }
    return usage("no such command", argv[1]);
}

static int usage(const char *problem, const char *detail)
{
    (void)fprintf(stderr, "hark: %s%s%s; `hark help` lists the commands and options\n", problem,
                  detail != NULL ? ": " : "", detail != NULL ? detail : "");
    return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
    struct hark_options options = {0};
    int status = parse(argc, argv, &options);
    if (status != 0) {
        return status > 0 ? status : 0;
    }
    char path[4096];
    options.lua_path = lua_path(path, sizeof(path));
    if (options.lua_path == NULL) {
        (void)fprintf(stderr, "hark: cannot find hark/*.lua beside the binary; set HARK_LUA_DIR\n");
        return EXIT_RUN;
    }
    return serve(&options);
}

// 0: go on; above: exit status; below: done.
static int parse(int argc, char **argv, struct hark_options *options)
{
    static const struct option LONG[] = {
        {"listen", required_argument, NULL, 'l'},  {"admin", required_argument, NULL, 'a'},
        {"workers", required_argument, NULL, 'w'}, {"degraded", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    opterr = 0;
    for (int c = 0; (c = getopt_long(argc, argv, "h", LONG, NULL)) != -1;) {
        char *end = NULL;
        unsigned long workers = 0;
        switch (c) {
        case 'l': options->listen = optarg; break;
        case 'a': options->admin = optarg; break;
        case 'w':
            workers = strtoul(optarg, &end, 10);
            if (*optarg == '\0' || *end != '\0' || workers < 1 || workers > 64) {
                return usage("--workers wants 1 to 64, not", optarg);
            }
            options->workers = (unsigned)workers;
            break;
        case 'd': options->degraded = 1; break;
        case 'h': (void)fputs(HELP, stdout); return -1;
        default: return usage("unknown option, or one without its value", argv[optind - 1]);
        }
    }
    if (optind + 1 != argc) {
        return usage(optind == argc ? "run wants a script directory"
                                    : "run wants one directory, not also",
                     optind == argc ? NULL : argv[optind + 1]);
    }
    options->directory = argv[optind];
    return 0;
}

static int serve(const struct hark_options *options)
{
    // All threads inherit the mask; the signal thread alone takes these.
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);

    struct hark_gateway *gateway = NULL;
    char *why = NULL;
    int status = hark_gateway_new(options, &gateway, &why);
    if (status == 0) {
        status = hark_gateway_start(gateway, &why);
    }
    if (status != 0) {
        (void)fprintf(stderr, "hark: %s\n", why != NULL ? why : hark_strerror(status));
        free(why);
        hark_gateway_free(gateway);
        return status == HARK_ESCRIPT                           ? EXIT_SCRIPTS
               : status == HARK_EINVAL || status == HARK_ENOENT ? EXIT_USAGE
                                                                : EXIT_RUN;
    }
    announce(gateway);
    pthread_t thread;
    if (pthread_create(&thread, NULL, signals, gateway) != 0) {
        hark_gateway_free(gateway);
        return EXIT_RUN;
    }
    hark_gateway_join(gateway);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    hark_gateway_free(gateway);
    return 0;
}

// What a person and a script both read: one fact a line.
static void announce(const struct hark_gateway *gateway)
{
    printf("hark %s ready\n", hark_version());
    const char *address = NULL;
    for (unsigned i = 0; (address = hark_gateway_address(gateway, i)) != NULL; i++) {
        printf("listen %s\n", address);
    }
    if (hark_gateway_admin(gateway) != NULL) {
        printf("admin %s key=%s\n", hark_gateway_admin(gateway), hark_gateway_admin_key(gateway));
    }
    printf("open %s/ in a browser; edit a script and save it: it is live\n",
           hark_gateway_address(gateway, 0));
    (void)fflush(stdout);
}

static void *signals(void *gateway)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    bool draining = false;
    for (;;) {
        int number = 0;
        if (sigwait(&set, &number) != 0) {
            continue;
        }
        if (number == SIGHUP) {
            hark_gateway_reload(gateway);
        } else if (!draining) {
            draining = true;
            hark_gateway_drain(gateway, 0);
        } else {
            hark_gateway_drain(gateway, 1);
        }
    }
    return NULL;
}

static bool has_engine(const char *directory)
{
    char file[4200];
    (void)snprintf(file, sizeof(file), "%s/hark/engine/init.lua", directory);
    return access(file, R_OK) == 0;
}

// HARK_LUA_DIR, else beside the binary: PREFIX/bin/hark -> PREFIX/share/hark/lua or
// PREFIX/share/lua/5.4 (a rock's tree), else the source tree it was built from.
static const char *lua_path(char *out, size_t size)
{
    const char *given = getenv("HARK_LUA_DIR");
    if (given != NULL) {
        return has_engine(given) ? given : NULL;
    }
    char self[3072];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len > 0) {
        self[len] = '\0';
        *strrchr(self, '/') = '\0';
        static const char *const PLACES[] = {"share/hark/lua", "share/lua/5.4", "lua"};
        for (size_t i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
            (void)snprintf(out, size, "%s/../%s", self, PLACES[i]);
            if (has_engine(out)) {
                return out;
            }
        }
    }
    return has_engine(HARK_LUA_SOURCE_DIR) ? HARK_LUA_SOURCE_DIR : NULL;
}
