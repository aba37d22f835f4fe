/* room: super */
#include "routes.h"

#include "check.h"
#include "command.h"
#include "options.h"
#include "zq/control.h"
#include "zq/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

static const char help[] =
    "Usage: zq routes [OPTIONS] MODULE:APP\n"
    "       zq routes --live [--admin-uds PATH]\n\n"
    "Load an application, and list its routes: method, path, class, key rule, why.\n\n"
    "  cached   a decorated view: its responses say how long they are kept\n"
    "  direct   @zq.simple_json: a function that is called without the framework\n"
    "  static   zq.static_route: one response, replayed without Python\n"
    "  app      everything else is the application's; why says what it lacks\n\n"
    "With --live, those that a running zq was told by its workers, and since then for each:\n"
    "requests, hits, joined (answered by the call of another), calls, and of the responses to GET\n"
    "how many were stored or were not, and why the last one was not.\n\n"
    "Direct and static routes skip the framework's middleware and authentication.\n\n"
    "Options: those of `zq serve` that say how to load it (--app-dir, --factory, --venv, --loop),\n"
    "and\n"
    "  --json     Print a list of objects\n"
    "  --help     Show this, and leave\n";

static int usage_error(const char *text)
{
    fprintf(stderr, "zq routes: %s\nTry `zq routes --help`.\n", text);
    return EXIT_USAGE;
}

/* Whether `word` is among the arguments, out of which it is taken. */
static bool take_word(int *argc, char **argv, const char *word)
{
    int n = 0;

    for (int i = 0; i < *argc; i++)
        if (strcmp(argv[i], word) != 0)
            argv[n++] = argv[i];
    bool found = n < *argc;
    *argc = n;
    return found;
}

/* The configuration, in a control channel whose other end is closed already: no worker of a server,
 * nobody steers it. Its descriptor has the number that a worker expects. */
static int leave_config(const struct zq_config *config)
{
    struct zq_buf text = {0};
    int ends[2];

    if (zq_config_dump(config, &text) < 0)
        return ZQ_ENOMEM;
    struct zq_control message = {.type = ZQ_CONTROL_CONFIG,
                                 .text = zq_slice(zq_buf_data(&text), text.n)};
    int rc = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : ZQ_EIO;
    if (rc == 0)
        rc = zq_control_send(ends[0], &message);
    zq_buf_fini(&text);
    if (rc < 0)
        return rc;
    bool placed = ends[1] == ZQ_CONTROL_FD ? fcntl(ends[1], F_SETFD, 0) == 0
                                           : dup2(ends[1], ZQ_CONTROL_FD) >= 0;
    return placed ? 0 : ZQ_EIO;
}

/* This process becomes a zq-worker that prints. */
static int become_worker(const struct zq_config *config, bool json)
{
    char name[] = "zq-worker", word[] = "routes", format[] = "json";
    char *argv[] = {name, word, json ? format : NULL, NULL};
    int rc = leave_config(config);

    if (rc == 0)
        execv(config->worker_executable, argv);
    zq_log(ZQ_LOG_CRITICAL, "cannot run %s: %s", config->worker_executable,
           rc < 0 ? zq_strerror(rc) : strerror(errno));
    return EXIT_FAILED;
}

int zq_command_routes(int argc, char **argv)
{
    if (take_word(&argc, argv, "--live"))
        return zq_command_live_routes(argc, argv);
    bool json = take_word(&argc, argv, "--json");
    struct zq_config_error error;
    struct zq_options options;
    int status, rc = zq_options_parse(argc, argv, &options, &error);

    if (rc == 1) {
        fputs(help, stdout);
        status = fflush(stdout) == 0 && !ferror(stdout) ? 0 : EXIT_FAILED;
    } else if (rc < 0 || zq_check_options(&options, &error) < 0) {
        status = usage_error(error.text);
    } else {
        zq_log_init("", zq_log_level_of(options.config.log_level));
        status =
            zq_check_worker(&options.config) ? become_worker(&options.config, json) : EXIT_FAILED;
    }
    zq_options_fini(&options);
    return status;
}
