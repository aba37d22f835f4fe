/* room: super
 *
 * `zq`, the command. `zq serve` is super; the front is the same executable, started by super with
 * a first argument that nobody types.
 */
#include "admin.h"
#include "check.h"
#include "command.h"
#include "limits.h"
#include "listen.h"
#include "options.h"
#include "routes.h"
#include "suggest.h"
#include "supervise.h"
#include "zq/front.h"
#include "zq/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

static const char usage[] =
    "Usage: zq serve [OPTIONS] MODULE:APP\n"
    "       zq routes [OPTIONS] MODULE:APP\n"
    "       zq purge [OPTIONS] [URL]\n"
    "       zq cache ls | stat | show URL | off | on\n"
    "       zq help serve | zq --version\n\n"
    "zq serves Python web applications (ASGI) over HTTP, with a native front "
    "and a shared cache.\n\n"
    "Commands:\n"
    "  serve    Serve an application; `zq help serve` lists the options\n"
    "  routes   List an application's routes, and what zq does with each; see `zq routes --help`\n"
    "  purge    Take responses out of a running zq's cache; see `zq purge --help`\n"
    "  cache    Look into a running zq's cache, or switch it; see `zq cache --help`\n"
    "  help     Show this, or a command's options\n\n"
    "Options:\n"
    "  --version    Show the version, and leave\n"
    "  --help       Show this, and leave\n";

/* Standard output that cannot be written (a full disk, a closed pipe) is a failure. */
static int shown(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : EXIT_FAILED;
}

static int show_version(void)
{
    puts("zq " ZQ_VERSION);
    return shown();
}

static int show_serve_help(void)
{
    zq_options_help(stdout);
    return shown();
}

static int usage_error(const char *text)
{
    fprintf(stderr, "zq serve: %s\nTry `zq serve --help`.\n", text);
    return EXIT_USAGE;
}

static int run(struct zq_options *options)
{
    struct zq_listeners listeners = {0};
    struct zq_config_error error;
    struct zq_limits limits;
    int status;

    zq_log_init("", zq_log_level_of(options->config.log_level));
    if (!zq_check_worker(&options->config))
        return EXIT_FAILED;
    zq_limits_raise(&limits, options->config.limit_connections);
    if (zq_listen_open(options, &listeners, &error) < 0 ||
        zq_admin_open(&options->config, &listeners, &error) < 0) {
        zq_log(ZQ_LOG_CRITICAL, "%s", error.text);
        return EXIT_FAILED;
    }
    status = zq_supervise(&options->config, &listeners, &limits);
    zq_listen_close(&listeners);
    zq_listen_unlink(&listeners);
    free(listeners.admin_token);
    return status;
}

static int serve(int argc, char **argv)
{
    struct zq_config_error error;
    struct zq_options options;
    int rc, status;

    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--version") == 0)
            return show_version();
    rc = zq_options_parse(argc, argv, &options, &error);
    if (rc == 1)
        status = show_serve_help();
    else if (rc < 0 || zq_check_options(&options, &error) < 0 ||
             zq_front_check(&options.config, &error) < 0)
        status = usage_error(error.text);
    else
        status = run(&options);
    zq_options_fini(&options);
    return status;
}

static int help(int argc, char **argv)
{
    char wanted[] = "--help", *arguments[] = {wanted};

    if (argc > 0 && strcmp(argv[0], "serve") == 0)
        return show_serve_help();
    if (argc > 0 && strcmp(argv[0], "routes") == 0)
        return zq_command_routes(1, arguments);
    if (argc > 0 && strcmp(argv[0], "purge") == 0)
        return zq_command_purge(1, arguments);
    if (argc > 0 && strcmp(argv[0], "cache") == 0)
        return zq_command_cache(1, arguments);
    fputs(usage, stdout);
    return shown();
}

static int unknown(const char *word)
{
    static const char *const words[] = {"serve", "routes", "purge",    "cache",
                                        "help",  "--help", "--version"};
    const char *near = zq_suggest(word, words, ZQ_ARRAY_SIZE(words));

    if (strchr(word, ':') && word[0] != '-')
        fprintf(stderr, "zq: did you mean `zq serve %s`?\n", word);
    else if (near)
        fprintf(stderr, "zq: there is no command `%s`; did you mean `%s`?\n", word, near);
    else
        fprintf(stderr, "zq: there is no command `%s`; try `zq --help`\n", word);
    return EXIT_USAGE;
}

/* Whoever started us may have closed them; what we open must not take their numbers. */
static void open_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    if (strcmp(command, "@front") == 0) {
        prctl(PR_SET_NAME, "zq-front");
        return zq_front_main();
    }
    open_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more is no reason to stop serving */
    if (strcmp(command, "serve") == 0)
        return serve(argc - 2, argv + 2);
    if (strcmp(command, "routes") == 0)
        return zq_command_routes(argc - 2, argv + 2);
    if (strcmp(command, "purge") == 0)
        return zq_command_purge(argc - 2, argv + 2);
    if (strcmp(command, "cache") == 0)
        return zq_command_cache(argc - 2, argv + 2);
    if (strcmp(command, "--version") == 0 || strcmp(command, "version") == 0)
        return show_version();
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
        strcmp(command, "help") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(command, "options-table") == 0) { /* for README.md; a test compares */
        zq_options_table(stdout);
        return shown();
    }
    if (argc > 1)
        return unknown(command);
    fputs(usage, stderr);
    return EXIT_USAGE;
}
