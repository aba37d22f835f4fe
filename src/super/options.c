/* room: super
 *
 * Three passes: the command line is split into assignments; then the environment sets what the
 * command line leaves alone; then the assignments are made. So a list given on the command line
 * does not add to the environment's, and an error in what is overridden is nobody's concern.
 */
#include "options.h"

#include "suggest.h"

#include <stdlib.h>

struct option {
    const char *group; /* set: the title that begins here, and no option */
    const char *name, *metavar, *initial, *help;
    bool is_bool;
};

enum { STRING, LIST, INT, PORT, BOOL, SIZE, DURATION, MODE, CHOICE, PATH };

static const struct option options[] = {
#define GROUP(title) {.group = title},
#define OPTION(kind, field, name, metavar, value, help)                                            \
    {NULL, name, metavar, value, help, kind == BOOL},
#include "zq/options.def"
};

/* What another server calls the same thing. */
static const struct {
    const char *other, *name;
} spellings[] = {
    {"url-path-prefix", "root-path"},                      /* Granian */
    {"workers-kill-timeout", "timeout-graceful-shutdown"}, /* Granian */
};

static const struct {
    const char *variable, *name;
} foreign_environment[] = {
    {"WEB_CONCURRENCY", "workers"},
    {"FORWARDED_ALLOW_IPS", "forwarded-allow-ips"},
};

struct assignment {
    const struct option *option; /* NULL: the application */
    const char *value;
};

struct parse {
    struct assignment *assignments;
    size_t n;
    bool help;
    struct zq_config_error *error;
};

static const struct option *find_option(const char *name, size_t n)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(spellings); i++)
        if (zq_slice_eq(zq_slice(name, n), zq_slice_str(spellings[i].other)))
            return find_option(spellings[i].name, strlen(spellings[i].name));
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(options); i++)
        if (options[i].name && zq_slice_eq(zq_slice(name, n), zq_slice_str(options[i].name)))
            return &options[i];
    return NULL;
}

static bool is_assigned(const struct parse *parse, const struct option *option)
{
    for (size_t i = 0; i < parse->n; i++)
        if (parse->assignments[i].option == option)
            return true;
    return false;
}

/* ---- the command line ---- */

static int unknown_option(struct parse *parse, const char *name, size_t n)
{
    const char *words[ZQ_ARRAY_SIZE(options) + 2], *near;
    char word[64];
    bool negated = n > 3 && memcmp(name, "no-", 3) == 0;
    size_t words_n = 0;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(options); i++)
        if (options[i].name && (!negated || options[i].is_bool))
            words[words_n++] = options[i].name;
    words[words_n++] = "help";
    words[words_n++] = "version";
    snprintf(word, sizeof(word), "%.*s", (int)n - 3 * negated, name + 3 * negated);
    near = zq_suggest(word, words, words_n);
    snprintf(parse->error->text, sizeof(parse->error->text), "there is no option `--%.*s`%s%s%s%s",
             (int)(n < 100 ? n : 100), name, near ? "; did you mean `--" : "",
             near && negated ? "no-" : "", near ? near : "", near ? "`?" : "");
    return ZQ_EINVAL;
}

static void assign(struct parse *parse, const struct option *option, const char *value)
{
    parse->assignments[parse->n++] = (struct assignment){option, value};
}

/* The value of an option that has none behind `=`: the next argument, unless that is an option
 * itself, which would otherwise be swallowed. */
static int separate_value(struct parse *parse, const struct option *option, const char *next)
{
    if (next && strncmp(next, "--", 2) != 0) {
        assign(parse, option, next);
        return 1;
    }
    snprintf(parse->error->text, sizeof(parse->error->text), "--%s needs a value: %s", option->name,
             option->metavar);
    return ZQ_EINVAL;
}

/* One option; returns how many further arguments it took. */
static int parse_option(struct parse *parse, const char *argument, const char *next)
{
    const char *name = argument + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const struct option *option = find_option(name, n);

    if (!option && !equals && n > 3 && memcmp(name, "no-", 3) == 0) {
        option = find_option(name + 3, n - 3);
        if (option && option->is_bool) {
            assign(parse, option, "no");
            return 0;
        }
        option = NULL;
    }
    if (!option)
        return unknown_option(parse, name, n);
    if (!equals && !option->is_bool)
        return separate_value(parse, option, next);
    assign(parse, option, equals ? equals + 1 : "yes");
    return 0;
}

static int parse_app(struct parse *parse, const char *argument)
{
    if (is_assigned(parse, NULL)) {
        snprintf(parse->error->text, sizeof(parse->error->text),
                 "`%.200s` is one argument too many: there is one application", argument);
        return ZQ_EINVAL;
    }
    assign(parse, NULL, argument);
    return 0;
}

static int parse_arguments(struct parse *parse, int argc, char **argv)
{
    bool options_end = false;

    for (int i = 0; i < argc; i++) {
        int taken = 0;

        if (!options_end && strcmp(argv[i], "--") == 0)
            options_end = true;
        else if (!options_end && (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")))
            parse->help = true;
        else if (!options_end && strncmp(argv[i], "--", 2) == 0)
            taken = parse_option(parse, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        else if (!options_end && argv[i][0] == '-')
            taken = unknown_option(parse, argv[i] + 1, strlen(argv[i] + 1));
        else
            taken = parse_app(parse, argv[i]);
        if (parse->help)
            return 0;
        if (taken < 0)
            return taken;
        i += taken;
    }
    return 0;
}

/* ---- the environment ---- */

static void variable_name(const char *option, char out[64])
{
    snprintf(out, 64, "ZQ_%s", option);
    for (char *p = out + 3; *p; p++)
        *p = *p == '-' ? '_' : (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
}

/* An empty variable is as good as none. */
static const char *look_up(const char *name, char variable[64])
{
    const char *value;

    variable_name(name, variable);
    value = getenv(variable);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(foreign_environment) && !(value && *value); i++)
        if (strcmp(foreign_environment[i].name, name) == 0) {
            snprintf(variable, 64, "%s", foreign_environment[i].variable);
            value = getenv(variable);
        }
    return value && *value ? value : NULL;
}

static int set_from_environment(const struct parse *parse, struct zq_options *out)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(options); i++) {
        char variable[64];
        struct zq_config_error error;
        const char *value = options[i].name ? look_up(options[i].name, variable) : NULL;

        if (!value || is_assigned(parse, &options[i]))
            continue;
        if (zq_config_set(&out->config, options[i].name, value, &error) < 0) {
            snprintf(parse->error->text, sizeof(error.text), "%s in the environment: %.400s",
                     variable, error.text);
            return ZQ_EINVAL;
        }
        out->listens_by_default |=
            !strcmp(options[i].name, "host") || !strcmp(options[i].name, "port");
    }
    return 0;
}

static int set_from_arguments(const struct parse *parse, struct zq_options *out)
{
    int rc = 0;

    for (size_t i = 0; i < parse->n && rc == 0; i++) {
        const struct option *option = parse->assignments[i].option;
        const char *name = option ? option->name : "app";

        rc = zq_config_set(&out->config, name, parse->assignments[i].value, parse->error);
        out->listens_by_default |= !strcmp(name, "host") || !strcmp(name, "port");
    }
    return rc;
}

int zq_options_parse(int argc, char **argv, struct zq_options *out, struct zq_config_error *error)
{
    struct parse parse = {.error = error};
    int rc;

    memset(out, 0, sizeof(*out));
    zq_config_init(&out->config);
    parse.assignments = calloc((size_t)argc + 1, sizeof(*parse.assignments));
    if (!parse.assignments) {
        snprintf(error->text, sizeof(error->text), "out of memory");
        return ZQ_ENOMEM;
    }
    rc = parse_arguments(&parse, argc, argv);
    if (rc == 0 && !parse.help)
        rc = set_from_environment(&parse, out);
    if (rc == 0 && !parse.help)
        rc = set_from_arguments(&parse, out);
    free(parse.assignments);
    return rc == 0 && parse.help ? 1 : rc;
}

void zq_options_fini(struct zq_options *out)
{
    zq_config_fini(&out->config);
}

/* ---- for people ---- */

#define HELP_COLUMN 30
#define HELP_WIDTH 92

/* Breaks at spaces; the first line begins where the cursor is. */
static void print_wrapped(FILE *out, const char *text)
{
    size_t width = HELP_WIDTH - HELP_COLUMN;

    while (strlen(text) > width) {
        size_t n = width;

        while (n && text[n] != ' ')
            n--;
        if (!n)
            break;
        fprintf(out, "%.*s\n%*s", (int)n, text, HELP_COLUMN, "");
        text += n + 1;
    }
    fprintf(out, "%s\n", text);
}

static void print_option(FILE *out, const struct option *option)
{
    bool yes = strcmp(option->initial, "yes") == 0;
    char left[128], text[512];
    int n;

    if (option->is_bool)
        n = snprintf(left, sizeof(left), "  --%s%s%s", option->name, yes ? " / --no-" : "",
                     yes ? option->name : "");
    else
        n = snprintf(left, sizeof(left), "  --%s %s", option->name, option->metavar);
    snprintf(text, sizeof(text), "%s%s%s%s", option->help, *option->initial ? " [default: " : "",
             option->initial, *option->initial ? "]" : "");
    fputs(left, out);
    if (n >= HELP_COLUMN - 1)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", HELP_COLUMN - n, "");
    print_wrapped(out, text);
}

void zq_options_help(FILE *out)
{
    fputs("Usage: zq serve [OPTIONS] MODULE:APP\n\n"
          "Serve an ASGI application: `zq serve shop.main:app` imports shop.main and serves its "
          "app.\n",
          out);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(options); i++)
        if (options[i].group)
            fprintf(out, "\n%s:\n", options[i].group);
        else
            print_option(out, &options[i]);
    fputs(
        "\nOther:\n"
        "  --help                      Show this, and leave\n"
        "  --version                   Show the version, and leave\n\n"
        "Each option is read from the environment as well: --timeout-write from ZQ_TIMEOUT_WRITE.\n"
        "The command line wins. SIZE is 4096, 64KiB or 256MiB; TIME is 500ms, 5s, 2m or `off`.\n",
        out);
}

static void print_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_row(FILE *out, const struct option *option)
{
    fprintf(out, "| `--%s", option->name);
    if (option->is_bool) {
        fprintf(out, "`, `--no-%s", option->name);
    } else {
        fputc(' ', out);
        print_cell(out, option->metavar);
    }
    fprintf(out, "` | %s%s%s | ", *option->initial ? "`" : "", option->initial,
            *option->initial ? "`" : "");
    print_cell(out, option->help);
    fputs(" |\n", out);
}

void zq_options_table(FILE *out)
{
    fputs("| option | default | meaning |\n|---|---|---|\n", out);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(options); i++)
        if (options[i].group)
            fprintf(out, "| **%s** | | |\n", options[i].group);
        else
            print_row(out, &options[i]);
}
