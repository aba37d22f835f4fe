/* The command line and the configuration.
 *
 * Input: lines: the arguments behind `zq serve`.
 *
 * Invariants:
 *   - what is accepted is written down as text that is read as the same: the two dumps are equal,
 *     and so are the settings;
 *   - what is refused says why;
 *   - an option given with `=` and with its value as the next argument means the same;
 *   - sizes and times that are shown are read as what they were. */
#include "support/fuzz.h"

#include "super/options.h"
#include "base/config_units.h"

#define ARGUMENTS_MAX 24

struct arguments {
    char *v[2 * ARGUMENTS_MAX + 1];
    int n;
};

static void add(struct arguments *a, struct zq_slice s)
{
    a->v[a->n] = strndup(s.n > 0 ? s.p : "", s.n);
    FUZZ_CHECK(a->v[a->n] != NULL);
    a->n++;
}

static void arguments_fini(struct arguments *a)
{
    for (int i = 0; i < a->n; i++)
        free(a->v[i]);
}

static void dump(const struct zq_config *config, struct zq_buf *out)
{
    FUZZ_CHECK(zq_config_dump(config, out) == 0);
}

static void check_units(const struct zq_config *c)
{
    const uint64_t sizes[] = {c->limit_request_line, c->limit_request_body, c->cache_size};
    const int64_t times[] = {c->timeout_keep_alive, c->timeout_write, c->timeout_response};
    char text[32];
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(sizes); i++) {
        uint64_t size;
        zq_format_size(sizes[i], text);
        FUZZ_CHECK(zq_units_parse_size(text, &size) == 0 && size == sizes[i]);
    }
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(times); i++) {
        int64_t ms;
        zq_format_duration(times[i], text);
        FUZZ_CHECK(times[i] >= 0);
        FUZZ_CHECK(times[i] == 0 || (zq_units_parse_duration(text, &ms) == 0 && ms == times[i]));
    }
}

static void check_ranges(const struct zq_config *c)
{
    FUZZ_CHECK(c->port >= 0 && c->port <= 65535 && c->uds_mode >= 0 && c->uds_mode <= 0777);
    FUZZ_CHECK(c->workers >= 1 && c->workers <= 1024 && c->backlog >= 1 && c->fd >= -1);
    FUZZ_CHECK(c->front_threads >= 0 && c->limit_request_header_count >= 0);
    FUZZ_CHECK(strchr(c->app, '\n') == NULL && strchr(c->host, '\n') == NULL);
}

/* Elements too: a comma in one is written `\,`. */
static void check_same_list(const struct zq_strings *a, const struct zq_strings *b)
{
    FUZZ_CHECK(a->n == b->n);
    for (size_t i = 0; i < a->n; i++)
        FUZZ_CHECK(strcmp(a->v[i], b->v[i]) == 0);
}

static void check_dump(const struct zq_config *config)
{
    struct zq_config again;
    struct zq_config_error error;
    struct zq_buf first = {0}, second = {0};
    dump(config, &first);
    zq_config_init(&again);
    FUZZ_CHECK(zq_config_load(&again, zq_slice(zq_buf_data(&first), first.n), &error) == 0);
    dump(&again, &second);
    FUZZ_CHECK(zq_slice_eq(zq_slice(zq_buf_data(&first), first.n),
                           zq_slice(zq_buf_data(&second), second.n)));
    FUZZ_CHECK(again.cache_size == config->cache_size && again.cache == config->cache);
    FUZZ_CHECK(again.timeout_write == config->timeout_write && again.fd == config->fd);
    check_same_list(&again.bind, &config->bind);
    check_same_list(&again.forwarded_allow_ips, &config->forwarded_allow_ips);
    FUZZ_CHECK(again.uds_mode == config->uds_mode);
    FUZZ_CHECK(strcmp(again.app, config->app) == 0 && strcmp(again.host, config->host) == 0);
    zq_config_fini(&again);
    zq_buf_fini(&first);
    zq_buf_fini(&second);
}

static int parse(const struct arguments *a, struct zq_buf *out)
{
    struct zq_options options;
    struct zq_config_error error = {{0}};
    int rc = zq_options_parse(a->n, (char **)(uintptr_t)a->v, &options, &error);
    FUZZ_CHECK(rc == 0 || rc == 1 || rc == ZQ_EINVAL);
    FUZZ_CHECK((rc == ZQ_EINVAL) == (strlen(error.text) > 0));
    if (rc == 0) {
        check_ranges(&options.config);
        check_units(&options.config);
        check_dump(&options.config);
        dump(&options.config, out);
    }
    zq_options_fini(&options);
    return rc;
}

/* A switch takes no separate value. */
static bool is_switch(struct zq_slice name)
{
    enum { STRING, LIST, INT, PORT, BOOL, SIZE, DURATION, MODE, CHOICE, PATH };
    static const char *const switches[] = {
#define OPTION(kind, field, name, metavar, value, help) (kind) == BOOL ? "--" name : "",
#include "zq/options.def"
    };
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(switches); i++)
        if (zq_slice_eq(name, zq_slice_str(switches[i])))
            return true;
    return false;
}

/* `--name=value` as two arguments, where that is no other option's beginning. */
static void split(struct arguments *out, const struct arguments *from)
{
    bool end = false;
    for (int i = 0; i < from->n; i++) {
        struct zq_slice s = zq_slice_str(from->v[i]);
        const char *equals = strchr(s.p, '=');
        struct zq_slice name = zq_slice(s.p, equals != NULL ? (size_t)(equals - s.p) : s.n);
        end |= strcmp(s.p, "--") == 0;
        bool splits = !end && strncmp(s.p, "--", 2) == 0 && equals != NULL &&
                      strncmp(equals + 1, "--", 2) != 0 && !is_switch(name);
        add(out, splits ? name : s);
        if (splits)
            add(out, zq_slice_str(equals + 1));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    struct arguments whole = {.n = 0}, apart = {.n = 0};
    struct zq_buf first = {0}, second = {0};
    while (in.n > 0 && whole.n < ARGUMENTS_MAX)
        add(&whole, fuzz_until(&in, '\n'));
    split(&apart, &whole);
    if (parse(&whole, &first) == 0) {
        FUZZ_CHECK(parse(&apart, &second) == 0);
        FUZZ_CHECK(zq_slice_eq(zq_slice(zq_buf_data(&first), first.n),
                               zq_slice(zq_buf_data(&second), second.n)));
    }
    zq_buf_fini(&first);
    zq_buf_fini(&second);
    arguments_fini(&whole);
    arguments_fini(&apart);
    return 0;
}
