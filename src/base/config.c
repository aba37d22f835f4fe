/* room: base
 *
 * One row an option, made from options.def; setting, dumping and defaults all go through a row's
 * kind. Everything here runs while a process starts, so running out of memory ends it.
 */
#include "zq/config.h"

#include "config_units.h"
#include "zq/control.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { STRING, LIST, INT, PORT, BOOL, SIZE, DURATION, MODE, CHOICE, PATH };

struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *metavar; /* of a CHOICE: the words allowed */
    const char *initial;
};

static const struct row rows[] = {
#define OPTION(kind, field, name, metavar, value, help)                                            \
    {name, kind, offsetof(struct zq_config, field), metavar, value},
#include "zq/options.def"
};

/* Where an INT has an upper bound of its own. */
static const struct {
    const char *name;
    int64_t max;
} maxima[] = {
    {"front-threads", ZQ_CONTROL_LINKS_MAX},
    {"workers", 1024},
};

/* Marks, behind its last member, a list that still is the default. */
static char default_mark[1];

/* ---- memory: exits rather than fails ---- */

static void *must(void *p)
{
    if (!p) {
        fputs("zq: out of memory while reading the configuration\n", stderr);
        exit(1);
    }
    return p;
}

static void assign_string(char **field, const char *p, size_t n)
{
    free(*field);
    *field = must(strndup(p, n));
}

static void list_clear(struct zq_strings *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i]);
    free(list->v);
    *list = (struct zq_strings){0};
}

static void list_append(struct zq_strings *list, struct zq_slice member)
{
    list->v = must(realloc(list->v, (list->n + 2) * sizeof(*list->v)));
    list->v[list->n++] = must(strndup(member.p, member.n));
    list->v[list->n] = NULL;
}

/* ---- what is wrong, for a person ---- */

static int refuse(struct zq_config_error *error, const struct row *row, const char *value,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

static int refuse(struct zq_config_error *error, const struct row *row, const char *value,
                  const char *format, ...)
{
    char allowed[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(allowed, sizeof(allowed), format, arguments);
    va_end(arguments);
    snprintf(error->text, sizeof(error->text), "--%s: `%.200s` is not allowed; give %s", row->name,
             value, allowed);
    return ZQ_EINVAL;
}

/* A default that is a word (`unlimited`, `auto`) is the spelling of 0; where it is none, 0 means
 * nothing special. A bare 0 is never taken for the word: it could as well mean `nothing at all`. */
static const char *word_for_zero(const struct row *row)
{
    if (row->kind == DURATION)
        return "off";
    return isalpha((unsigned char)row->initial[0]) ? row->initial : NULL;
}

static const char *or_word(const struct row *row, char out[64])
{
    const char *word = word_for_zero(row);

    snprintf(out, 64, "%s%s%s", word ? ", or `" : "", word ? word : "", word ? "`" : "");
    return out;
}

/* ---- one setter a kind ---- */

static int set_string(const struct row *row, void *field, const char *value,
                      struct zq_config_error *error)
{
    (void)row, (void)error;
    assign_string(field, value, strlen(value));
    return 0;
}

/* Is it one of the words that the metavar lists? */
static bool is_listed(const struct row *row, struct zq_slice word)
{
    for (const char *p = row->metavar; p; p = strchr(p, '|')) {
        p += *p == '|';
        if (word.n && strcspn(p, "|") == word.n && memcmp(p, word.p, word.n) == 0)
            return true;
    }
    return false;
}

static int refuse_word(const struct row *row, const char *value, struct zq_config_error *error)
{
    char words[128];

    snprintf(words, sizeof(words), "%s", row->metavar);
    for (char *bar = words; (bar = strchr(bar, '|'));)
        *bar = ' ';
    return refuse(error, row, value, "%s: %s", row->kind == LIST ? "some of" : "one of", words);
}

/* In a list's member a comma has a backslash in front of it, and so has a backslash before either.
 */
static bool is_escape(struct zq_slice s, size_t i)
{
    return s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == ',' || s.p[i + 1] == '\\');
}

/* Takes what comes before the next comma. */
static struct zq_slice take_member(struct zq_slice *rest)
{
    size_t n = 0;

    while (n < rest->n && rest->p[n] != ',')
        n += is_escape(*rest, n) ? 2 : 1;
    struct zq_slice member = zq_slice_trim(zq_slice(rest->p, n));
    n += n < rest->n;
    *rest = zq_slice(rest->p + n, rest->n - n);
    return member;
}

static void append_unescaped(struct zq_strings *list, struct zq_slice member)
{
    char *text = must(malloc(member.n));
    size_t n = 0;

    for (size_t i = 0; i < member.n; i++) {
        i += is_escape(member, i);
        text[n++] = member.p[i];
    }
    list_append(list, zq_slice(text, n));
    free(text);
}

static int set_list(const struct row *row, void *field, const char *value,
                    struct zq_config_error *error)
{
    struct zq_strings *list = field;
    struct zq_slice rest = zq_slice_str(value);
    bool any = strchr(row->metavar, '|') == NULL;

    if (list->v && list->v[list->n] == default_mark)
        list_clear(list);
    while (rest.n) {
        struct zq_slice member = take_member(&rest);

        if (member.n && !any && !is_listed(row, member))
            return refuse_word(row, value, error);
        if (member.n)
            append_unescaped(list, member);
    }
    return 0;
}

static int set_int(const struct row *row, void *field, const char *value,
                   struct zq_config_error *error)
{
    int64_t *out = field;
    const char *word = word_for_zero(row);
    bool optional = row->initial[0] == '\0'; /* a descriptor: 0 is one, -1 is none */
    int64_t min = optional ? 0 : 1, max = INT32_MAX;
    uint64_t number;
    char suffix[64];

    if ((word && strcmp(value, word) == 0) || (optional && value[0] == '\0')) {
        *out = optional ? -1 : 0;
        return 0;
    }
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(maxima); i++)
        if (strcmp(row->name, maxima[i].name) == 0)
            max = maxima[i].max;
    if (zq_parse_u64(zq_slice_str(value), (uint64_t)max, &number) < 0 || (int64_t)number < min)
        return refuse(error, row, value, "a number from %" PRId64 " to %" PRId64 "%s", min, max,
                      or_word(row, suffix));
    *out = (int64_t)number;
    return 0;
}

static int set_port(const struct row *row, void *field, const char *value,
                    struct zq_config_error *error)
{
    uint64_t number;

    if (zq_parse_u64(zq_slice_str(value), 65535, &number) < 0)
        return refuse(error, row, value, "a port from 1 to 65535, or 0 for a free one");
    *(int64_t *)field = (int64_t)number;
    return 0;
}

static int set_mode(const struct row *row, void *field, const char *value,
                    struct zq_config_error *error)
{
    size_t n = strlen(value);

    if (n == 0 || n > 5 || strspn(value, "01234567") != n || strtol(value, NULL, 8) > 0777)
        return refuse(error, row, value, "octal permissions from 0 to 0777");
    *(int64_t *)field = strtol(value, NULL, 8);
    return 0;
}

static int set_bool(const struct row *row, void *field, const char *value,
                    struct zq_config_error *error)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(words); i++)
        if (zq_slice_ieq(zq_slice_str(value), zq_slice_str(words[i]))) {
            *(bool *)field = i % 2;
            return 0;
        }
    return refuse(error, row, value, "yes or no (also true, false, on, off, 1, 0)");
}

static int set_size(const struct row *row, void *field, const char *value,
                    struct zq_config_error *error)
{
    const char *word = word_for_zero(row);
    uint64_t bytes = 0;
    bool is_word = word && strcmp(value, word) == 0;
    bool may_be_zero = strcmp(row->name, "cache-size") == 0 ||            /* stores nothing */
                       strcmp(row->name, "limit-request-body-rate") == 0; /* limits nothing */
    char suffix[64];

    if (!is_word && (zq_units_parse_size(value, &bytes) < 0 || (bytes == 0 && !may_be_zero)))
        return refuse(error, row, value, "a size such as 4096, 64KiB, 256MiB or 1GiB%s",
                      or_word(row, suffix));
    *(uint64_t *)field = bytes;
    return 0;
}

static int set_duration(const struct row *row, void *field, const char *value,
                        struct zq_config_error *error)
{
    int64_t ms = 0;

    if (strcmp(value, "off") != 0 && (zq_units_parse_duration(value, &ms) < 0 || ms == 0))
        return refuse(error, row, value, "a time such as 500ms, 5s, 2m or 1h, or `off`");
    *(int64_t *)field = ms;
    return 0;
}

static int set_choice(const struct row *row, void *field, const char *value,
                      struct zq_config_error *error)
{
    if (!is_listed(row, zq_slice_str(value)))
        return refuse_word(row, value, error);
    assign_string(field, value, strlen(value));
    return 0;
}

static int (*const setters[])(const struct row *, void *, const char *,
                              struct zq_config_error *) = {
    [STRING] = set_string, [LIST] = set_list,   [INT] = set_int,           [PORT] = set_port,
    [BOOL] = set_bool,     [SIZE] = set_size,   [DURATION] = set_duration, [MODE] = set_mode,
    [CHOICE] = set_choice, [PATH] = set_string,
};

/* ---- the doors ---- */

static void *field_of(const struct zq_config *c, const struct row *row)
{
    return (char *)(uintptr_t)c + row->offset;
}

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

void zq_config_init(struct zq_config *c)
{
    struct zq_config_error error;

    memset(c, 0, sizeof(*c));
    c->app = must(strdup(""));
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        int rc = setters[rows[i].kind](&rows[i], field_of(c, &rows[i]), rows[i].initial, &error);

        ZQ_ASSERT(rc == 0); /* options.def has a default that its own kind refuses */
        if (rows[i].kind == LIST) {
            struct zq_strings *list = field_of(c, &rows[i]);

            if (list->n)
                list->v[list->n] = default_mark;
        }
    }
}

void zq_config_fini(struct zq_config *c)
{
    free(c->app);
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        void *field = field_of(c, &rows[i]);

        if (rows[i].kind == LIST)
            list_clear(field);
        else if (rows[i].kind == STRING || rows[i].kind == PATH || rows[i].kind == CHOICE)
            free(*(char **)field);
    }
    memset(c, 0, sizeof(*c));
}

int zq_config_set(struct zq_config *c, const char *name, const char *value,
                  struct zq_config_error *error)
{
    const struct row *row = find_row(name);

    if (strpbrk(value, "\r\n")) { /* the dump has one line a value */
        snprintf(error->text, sizeof(error->text), "%s: a line break is not allowed in a value",
                 name);
        return ZQ_EINVAL;
    }
    if (strcmp(name, "app") == 0) {
        assign_string(&c->app, value, strlen(value));
        return 0;
    }
    if (!row) {
        snprintf(error->text, sizeof(error->text), "there is no option `%.100s`", name);
        return ZQ_EINVAL;
    }
    return setters[row->kind](row, field_of(c, row), value, error);
}

/* ---- as text ---- */

static int dump_member(const char *member, struct zq_buf *out)
{
    int rc = 0;

    for (; *member && rc == 0; member++)
        rc = zq_buf_printf(out, "%s%c", *member == ',' || *member == '\\' ? "\\" : "", *member);
    return rc;
}

static int dump_list(const struct zq_strings *list, struct zq_buf *out)
{
    int rc = 0;

    for (size_t i = 0; i < list->n && rc == 0; i++) {
        if (i > 0)
            rc = zq_buf_append(out, ",", 1);
        if (rc == 0)
            rc = dump_member(list->v[i], out);
    }
    return rc;
}

static int dump_int(const struct row *row, int64_t value, struct zq_buf *out)
{
    if (value < 0)
        return 0; /* an unset descriptor: the empty value */
    if (value == 0 && word_for_zero(row))
        return zq_buf_printf(out, "%s", word_for_zero(row));
    return zq_buf_printf(out, "%" PRId64, value);
}

static int dump_value(const struct row *row, const void *field, struct zq_buf *out)
{
    char text[32];

    switch (row->kind) {
    case STRING:
    case PATH:
    case CHOICE:
        return zq_buf_printf(out, "%s", *(char *const *)field);
    case LIST:
        return dump_list(field, out);
    case INT:
    case PORT:
        return dump_int(row, *(const int64_t *)field, out);
    case MODE:
        return zq_buf_printf(out, "%04" PRIo64, (uint64_t) * (const int64_t *)field);
    case BOOL:
        return zq_buf_printf(out, "%s", *(const bool *)field ? "yes" : "no");
    case DURATION:
        zq_format_duration(*(const int64_t *)field, text);
        return zq_buf_printf(out, "%s", text);
    case SIZE:
        zq_format_size(*(const uint64_t *)field, text);
        if (*(const uint64_t *)field == 0 && word_for_zero(row))
            return zq_buf_printf(out, "%s", word_for_zero(row));
        return zq_buf_printf(out, "%s", text);
    }
    return ZQ_EINVAL;
}

int zq_config_dump(const struct zq_config *c, struct zq_buf *out)
{
    int rc = zq_buf_printf(out, "app=%s\n", c->app);

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows) && rc >= 0; i++) {
        rc = zq_buf_printf(out, "%s=", rows[i].name);
        if (rc >= 0)
            rc = dump_value(&rows[i], field_of(c, &rows[i]), out);
        if (rc >= 0)
            rc = zq_buf_append(out, "\n", 1);
    }
    return rc < 0 ? rc : 0;
}

static int load_line(struct zq_config *c, char *line, struct zq_config_error *error)
{
    char *value = strchr(line, '=');

    if (!value) {
        snprintf(error->text, sizeof(error->text), "`%.100s` is not of the form name=value", line);
        return ZQ_EINVAL;
    }
    *value++ = '\0';
    return zq_config_set(c, line, value, error);
}

int zq_config_load(struct zq_config *c, struct zq_slice text, struct zq_config_error *error)
{
    char *copy = must(strndup(text.p ? text.p : "", text.n));
    int rc = 0;

    for (char *line = copy, *end; rc == 0 && *line; line = end) {
        end = line + strcspn(line, "\n");
        if (*end)
            *end++ = '\0';
        if (*line)
            rc = load_line(c, line, error);
    }
    free(copy);
    return rc;
}
