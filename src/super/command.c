/* room: super */
#include "command.h"

#include "client.h"
#include "suggest.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

static const char purge_help[] =
    "Usage: zq purge [OPTIONS] [URL]…\n\n"
    "Take responses out of a running zq's cache. URL is absolute (http://example.org/a?b=c), or a\n"
    "path (/a?b=c) for every scheme and host; its query belongs to it.\n\n"
    "Options, of which all but the last three can be repeated:\n"
    "  --tag TAG          What carries this tag in Cache-Tag or Surrogate-Key\n"
    "  --prefix URL       What begins so: an absolute URL, or a path\n"
    "  --glob PATTERN     What matches as a whole; * stands for any run of characters\n"
    "  --all              Everything\n"
    "  --soft             Make it stale instead of taking it out\n"
    "  --admin-uds PATH   The admin socket (default: of the one zq that runs here)\n\n"
    "Prints a line a purge, with its number. Exit status: 1 when it failed, 2 for a wrong command\n"
    "line; then nothing was purged.\n";

static const char cache_help[] =
    "Usage: zq cache [--admin-uds PATH] COMMAND\n\n"
    "Commands:\n"
    "  ls         List what is stored: status, bytes, age and time left in seconds, URL, tags\n"
    "  stat       Show how much is stored, and how it is used\n"
    "  show URL   Show what is stored for an absolute URL, and whether others wait for one call\n"
    "  off        Pass all requests on; what is stored stays\n"
    "  on         Use the cache again\n"
    "  bypass add PATTERN\n"
    "             The same for URLs that match as a whole: /path or http://host/path, where *\n"
    "             stands for any run of characters\n"
    "  bypass rm PATTERN, bypass ls\n";

static int usage_error(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int usage_error(const char *command, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "zq %s: ", command);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nTry `zq %s --help`.\n", command);
    return EXIT_USAGE;
}

static int shown(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : EXIT_FAILED;
}

/* ---- asking ---- */

static int failed(const char *command, const char *why)
{
    fprintf(stderr, "zq %s: %s\n", command, why);
    return EXIT_FAILED;
}

/* Prints the answer; `*next` continues a listing. The exit status. */
static int ask(const char *command, const char *path, const char *method, const char *target,
               struct zq_slice body, struct zq_answer *answer)
{
    struct zq_config_error error;
    int status = 0;

    if (zq_client_ask(path, method, target, body, answer, &error) < 0) {
        status = failed(command, error.text);
    } else if (answer->status == 200) {
        fwrite(answer->text.p, 1, answer->text.n, stdout);
        status = shown();
    } else {
        fprintf(stderr, "zq %s: %.*s", command, (int)answer->text.n, answer->text.p);
        status = answer->status == 400 ? EXIT_USAGE : EXIT_FAILED;
    }
    zq_buf_fini(&answer->raw);
    return status;
}

static int ask_once(const char *command, const char *admin_uds, const char *method,
                    const char *target, struct zq_slice body)
{
    struct zq_config_error error;
    struct zq_answer answer;
    char path[108];

    if (zq_client_find(admin_uds, path, &error) < 0)
        return failed(command, error.text);
    return ask(command, path, method, target, body, &answer);
}

/* ---- purge ---- */

/* Bytes beyond ASCII as they are: the front takes the content for UTF-8, as a shell gives it. */
static void put_string(struct zq_buf *out, const char *text)
{
    zq_buf_append(out, "\"", 1);
    for (; *text != '\0'; text++)
        if (*text == '"' || *text == '\\')
            zq_buf_printf(out, "\\%c", *text);
        else if ((unsigned char)*text < ' ')
            zq_buf_printf(out, "\\u%04x", (unsigned char)*text);
        else
            zq_buf_append(out, text, 1);
    zq_buf_append(out, "\"", 1);
}

/* The options that name something, and URLs without one, as lists of the body's object. */
static const struct naming {
    const char *option, *member;
} namings[] = {
    {"--tag", "tag"},
    {"--prefix", "prefix"},
    {"--glob", "glob"},
    {NULL, "url"},
};
#define NAMINGS ZQ_ARRAY_SIZE(namings)

struct purge {
    struct zq_buf lists[NAMINGS]; /* `"a", "b"` */
    bool all, soft, help;
    const char *admin_uds;
};

static void put_named(struct purge *p, size_t naming, const char *text)
{
    if (p->lists[naming].n > 0)
        zq_buf_append(&p->lists[naming], ", ", 2);
    put_string(&p->lists[naming], text);
}

/* The value of `--name value` or `--name=value`, or NULL when the argument is another option. */
static const char *value_of(const char *name, int argc, char **argv, int *i, bool *missing)
{
    size_t n = strlen(name);

    if (strncmp(argv[*i], name, n) != 0 || (argv[*i][n] != '=' && argv[*i][n] != '\0'))
        return NULL;
    if (argv[*i][n] == '=')
        return argv[*i] + n + 1;
    *missing = *i + 1 >= argc;
    return *missing ? "" : argv[++*i];
}

static int unknown_option(const char *argument)
{
    static const char *const words[] = {"--tag",  "--prefix",    "--glob", "--all",
                                        "--soft", "--admin-uds", "--help"};
    const char *near = zq_suggest(argument, words, ZQ_ARRAY_SIZE(words));

    return usage_error(
        "purge", near ? "there is no option `%s`; did you mean `%s`?" : "there is no option `%s`",
        argument, near);
}

static int parse_purge_argument(struct purge *p, int argc, char **argv, int *i)
{
    const char *argument = argv[*i], *value = NULL;
    bool missing = false;

    if (argument[0] != '-') {
        put_named(p, NAMINGS - 1, argument);
        return 0;
    }
    for (size_t n = 0; n + 1 < NAMINGS; n++)
        if ((value = value_of(namings[n].option, argc, argv, i, &missing)) != NULL) {
            if (!missing)
                put_named(p, n, value);
            return missing ? usage_error("purge", "%s needs a value", argument) : 0;
        }
    if ((value = value_of("--admin-uds", argc, argv, i, &missing)) != NULL)
        p->admin_uds = value;
    else if (strcmp(argument, "--all") == 0)
        p->all = true;
    else if (strcmp(argument, "--soft") == 0)
        p->soft = true;
    else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
        p->help = true;
    else
        return unknown_option(argument);
    return missing ? usage_error("purge", "%s needs a value", argument) : 0;
}

/* Nothing may be left out for want of memory: then there is no object. */
static struct zq_buf purge_body(const struct purge *p, bool *named)
{
    struct zq_buf body = {0};

    *named = p->all;
    zq_buf_printf(&body, "{\"soft\": %s, \"all\": %s", p->soft ? "true" : "false",
                  p->all ? "true" : "false");
    for (size_t n = 0; n < NAMINGS; n++) {
        if (p->lists[n].n == 0)
            continue;
        *named = true;
        zq_buf_printf(&body, ", \"%s\": [", namings[n].member);
        zq_buf_append(&body, zq_buf_data(&p->lists[n]), p->lists[n].n);
        zq_buf_append(&body, "]", 1);
    }
    zq_buf_append(&body, "}", 1);
    return body;
}

static int purge(struct purge *p)
{
    struct zq_buf body;
    bool named;
    int status;

    if (p->help) {
        fputs(purge_help, stdout);
        return shown();
    }
    body = purge_body(p, &named);
    if (named)
        status =
            ask_once("purge", p->admin_uds, "POST", "/purge", zq_slice(zq_buf_data(&body), body.n));
    else
        status = usage_error("purge", "what? Give a URL, --tag, --prefix, --glob or --all");
    zq_buf_fini(&body);
    return status;
}

int zq_command_purge(int argc, char **argv)
{
    struct purge p = {.admin_uds = ""};
    int status = 0;

    for (int i = 0; i < argc && status == 0; i++)
        status = parse_purge_argument(&p, argc, argv, &i);
    if (status == 0)
        status = purge(&p);
    for (size_t n = 0; n < NAMINGS; n++)
        zq_buf_fini(&p.lists[n]);
    return status;
}

/* ---- cache ---- */

static int list(const char *admin_uds)
{
    struct zq_config_error error;
    struct zq_answer answer = {0};
    char path[108], target[64];
    int status;

    if (zq_client_find(admin_uds, path, &error) < 0)
        return failed("cache", error.text);
    do {
        snprintf(target, sizeof(target), "/cache/ls?from=%llu", (unsigned long long)answer.next);
        status = ask("cache", path, "GET", target, (struct zq_slice){0}, &answer);
    } while (status == 0 && answer.more);
    return status;
}

static int show(const char *admin_uds, const char *url)
{
    struct zq_buf target = {0};
    int rc = zq_buf_printf(&target, "/cache/show?url="), status = EXIT_FAILED;

    for (; *url != '\0' && rc == 0; url++)
        rc = zq_buf_printf(&target, "%%%02X", (unsigned char)*url);
    if (rc == 0)
        rc = zq_buf_append(&target, "", 1);
    if (rc == 0)
        status = ask_once("cache", admin_uds, "GET", zq_buf_data(&target), (struct zq_slice){0});
    zq_buf_fini(&target);
    return status;
}

static int change_bypass(const char *admin_uds, const char *target, const char *pattern)
{
    struct zq_buf body = {0};

    zq_buf_append(&body, "{\"pattern\": ", 12);
    put_string(&body, pattern);
    zq_buf_append(&body, "}", 1);
    int status = ask_once("cache", admin_uds, "POST", target, zq_slice(zq_buf_data(&body), body.n));
    zq_buf_fini(&body);
    return status;
}

static int run_bypass(const char *verb, const char *pattern, const char *admin_uds)
{
    bool lists = verb != NULL && strcmp(verb, "ls") == 0;

    if (lists && pattern == NULL)
        return ask_once("cache", admin_uds, "GET", "/cache/bypass", (struct zq_slice){0});
    if (!lists && pattern != NULL && strcmp(verb, "add") == 0)
        return change_bypass(admin_uds, "/cache/bypass/add", pattern);
    if (!lists && pattern != NULL && strcmp(verb, "rm") == 0)
        return change_bypass(admin_uds, "/cache/bypass/rm", pattern);
    return usage_error("cache", "bypass takes ls, add PATTERN or rm PATTERN");
}

static int run_cache(const char *const given[3], const char *admin_uds)
{
    static const char *const words[] = {"ls", "stat", "show", "off", "on", "bypass"};
    const char *command = given[0], *operand = given[1];
    const struct zq_slice nothing = {0};

    if (strcmp(command, "bypass") == 0)
        return run_bypass(operand, given[2], admin_uds);
    if (given[2] != NULL)
        return usage_error("cache", "`%s` is one argument too many", given[2]);
    if (operand != NULL && strcmp(command, "show") != 0)
        return usage_error("cache", "`%s` is one argument too many", operand);
    if (strcmp(command, "ls") == 0)
        return list(admin_uds);
    if (strcmp(command, "stat") == 0)
        return ask_once("cache", admin_uds, "GET", "/cache/stat", nothing);
    if (strcmp(command, "show") == 0)
        return operand != NULL ? show(admin_uds, operand)
                               : usage_error("cache", "show needs an absolute URL");
    if (strcmp(command, "off") == 0)
        return ask_once("cache", admin_uds, "POST", "/cache/off", nothing);
    if (strcmp(command, "on") == 0)
        return ask_once("cache", admin_uds, "POST", "/cache/on", nothing);
    const char *near = zq_suggest(command, words, ZQ_ARRAY_SIZE(words));
    return usage_error(
        "cache", near ? "there is no command `%s`; did you mean `%s`?" : "there is no command `%s`",
        command, near);
}

int zq_command_cache(int argc, char **argv)
{
    const char *words[3] = {NULL, NULL, NULL}, *admin_uds = "", *value;
    size_t n = 0;

    for (int i = 0; i < argc; i++) {
        bool missing = false;
        if ((value = value_of("--admin-uds", argc, argv, &i, &missing)) != NULL) {
            if (missing)
                return usage_error("cache", "--admin-uds needs a value");
            admin_uds = value;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(cache_help, stdout);
            return shown();
        } else if (argv[i][0] == '-') {
            return usage_error("cache", "there is no option `%s`", argv[i]);
        } else if (n == ZQ_ARRAY_SIZE(words)) {
            return usage_error("cache", "`%s` is one argument too many", argv[i]);
        } else {
            words[n++] = argv[i];
        }
    }
    if (n == 0)
        return usage_error("cache", "what? Give ls, stat, show, off, on or bypass");
    return run_cache(words, admin_uds);
}

/* ---- routes ---- */

int zq_command_live_routes(int argc, char **argv)
{
    const char *admin_uds = "", *value;

    for (int i = 0; i < argc; i++) {
        bool missing = false;
        if ((value = value_of("--admin-uds", argc, argv, &i, &missing)) == NULL)
            return usage_error("routes", "--live takes --admin-uds, and not `%s`", argv[i]);
        if (missing)
            return usage_error("routes", "--admin-uds needs a value");
        admin_uds = value;
    }
    return ask_once("routes", admin_uds, "GET", "/routes", (struct zq_slice){0});
}
