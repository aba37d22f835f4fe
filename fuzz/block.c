/* The head block made of an application's response.
 *
 * Input: flags; two bytes of status; lines of fields, in which \r, \n and \0 stand for what they
 * stand for.
 *
 * Invariants:
 *   - what is accepted is a status line and lines `token: value` without CR, LF or NUL, split from
 *     the bytes alone: nothing was injected;
 *   - these lines are the fields, in order, without those that are the connection's and without
 *     Content-Length;
 *   - made into a block again they give the same block;
 *   - what is refused leaves the buffer as it was, and names a field. */
#include "support/fuzz.h"

#include "zq/http.h"

enum { WITH_DATE = 1, WITH_SERVER = 2 };

#define NOW 784111777

static char unescaped(struct zq_slice *s)
{
    char c = s->p[0];
    size_t n = 1;
    if (c == '\\' && s->n > 1) {
        c = s->p[1] == 'r' ? '\r' : s->p[1] == 'n' ? '\n' : s->p[1] == '0' ? '\0' : s->p[1];
        n = 2;
    }
    *s = zq_slice(s->p + n, s->n - n);
    return c;
}

static void unescape(struct zq_slice *s)
{
    struct zq_slice from = *s;
    char *to = (char *)(uintptr_t)s->p;
    size_t n = 0;
    while (from.n > 0)
        to[n++] = unescaped(&from);
    s->n = n;
}

static bool is_tchar(char c)
{
    return (c >= '0' && c <= '9') || (zq_lower(c) >= 'a' && zq_lower(c) <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_connection_field(const struct zq_fields *fields, struct zq_slice name)
{
    static const char *const names[] = {"connection", "keep-alive",        "proxy-connection",
                                        "te",         "transfer-encoding", "upgrade"};
    const struct zq_field *f = NULL;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(names); i++)
        if (zq_slice_ieq(name, zq_slice_str(names[i])))
            return true;
    while ((f = zq_fields_find(fields, ZQ_SLICE("connection"), f)) != NULL) {
        struct zq_slice rest = f->value, option;
        while (zq_list_next(&rest, &option))
            if (zq_slice_ieq(option, name))
                return true;
    }
    return false;
}

static bool next_line(struct zq_slice *block, struct zq_slice *line)
{
    if (block->n == 0)
        return false;
    const char *lf = memchr(block->p, '\n', block->n);
    FUZZ_CHECK(lf != NULL && lf > block->p && lf[-1] == '\r');
    *line = zq_slice(block->p, (size_t)(lf - block->p) - 1);
    FUZZ_CHECK(memchr(line->p, '\r', line->n) == NULL && memchr(line->p, '\0', line->n) == NULL);
    *block = zq_slice(lf + 1, block->n - line->n - 2);
    return true;
}

static struct zq_field split(struct zq_slice line)
{
    const char *colon = memchr(line.p, ':', line.n);
    FUZZ_CHECK(colon != NULL && colon > line.p && colon + 1 < line.p + line.n && colon[1] == ' ');
    size_t n = (size_t)(colon - line.p);
    for (size_t i = 0; i < n; i++)
        FUZZ_CHECK(is_tchar(line.p[i]));
    return (struct zq_field){zq_slice(line.p, n), zq_slice(colon + 2, line.n - n - 2)};
}

/* The fields of a block; those that zq added are the last. */
static void read_block(struct zq_slice block, unsigned status, struct fuzz_fields *out)
{
    struct zq_slice line;
    char expected[16];
    int n = snprintf(expected, sizeof(expected), "HTTP/1.1 %03u ", status);
    FUZZ_CHECK(next_line(&block, &line) && line.n >= (size_t)n &&
               memcmp(line.p, expected, 13) == 0);
    *out = (struct fuzz_fields){.fields = {out->v, 0}};
    while (next_line(&block, &line)) {
        FUZZ_CHECK(out->fields.n < FUZZ_FIELDS_MAX);
        out->v[out->fields.n++] = split(line);
    }
}

static void compare(const struct fuzz_fields *read, const struct zq_fields *given,
                    const struct zq_config *config)
{
    size_t n = 0;
    for (size_t i = 0; i < given->n; i++) {
        const struct zq_field *f = &given->v[i];
        if (zq_slice_ieq(f->name, ZQ_SLICE("content-length")) ||
            is_connection_field(given, f->name))
            continue;
        FUZZ_CHECK(n < read->fields.n && zq_slice_eq(read->v[n].name, f->name));
        FUZZ_CHECK(zq_slice_eq(read->v[n].value, zq_slice_trim(f->value)));
        n++;
    }
    n += config->date_header && zq_fields_find(given, ZQ_SLICE("date"), NULL) == NULL;
    n += config->server_header && zq_fields_find(given, ZQ_SLICE("server"), NULL) == NULL;
    FUZZ_CHECK(n == read->fields.n);
}

static void check_again(struct zq_slice block, unsigned status, const struct fuzz_fields *read,
                        const struct zq_config *config)
{
    struct zq_buf out = {0};
    struct zq_slice bad;
    int64_t length;
    bool close;
    FUZZ_CHECK(zq_http_block(&out, status, &read->fields, config, NOW, &length, &close, &bad) == 0);
    FUZZ_CHECK(length == -1 && !close);
    /* A Date or Server that was dropped as the connection's is zq's to add now. */
    if (out.n == block.n)
        FUZZ_CHECK(zq_slice_eq(zq_slice(zq_buf_data(&out), out.n), block));
    else
        FUZZ_CHECK(out.n > block.n && memcmp(zq_buf_data(&out), block.p, block.n) == 0);
    zq_buf_fini(&out);
}

static void check(unsigned status, const struct fuzz_fields *fields, const struct zq_config *config)
{
    struct fuzz_fields read;
    struct zq_buf out = {0};
    struct zq_slice bad = {0};
    int64_t length;
    bool close;
    FUZZ_CHECK(zq_buf_append(&out, "before", 6) == 0);
    int rc = zq_http_block(&out, status, &fields->fields, config, NOW, &length, &close, &bad);
    FUZZ_CHECK(memcmp(zq_buf_data(&out), "before", 6) == 0);
    if (rc != 0) {
        FUZZ_CHECK(rc == ZQ_EINVAL && out.n == 6);
        zq_buf_fini(&out);
        return;
    }
    FUZZ_CHECK(length >= -1 && status >= 100 && status <= 999);
    FUZZ_CHECK((length >= 0) ==
               (zq_fields_find(&fields->fields, ZQ_SLICE("content-length"), NULL) != NULL));
    struct zq_slice block = zq_slice(zq_buf_data(&out) + 6, out.n - 6);
    read_block(block, status, &read);
    compare(&read, &fields->fields, config);
    check_again(block, status, &read, config);
    zq_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    uint8_t flags = fuzz_byte(&in);
    unsigned status = (unsigned)fuzz_number(&in, 2) % 1100;
    struct zq_config config = {.date_header = (flags & WITH_DATE) != 0,
                               .server_header = (flags & WITH_SERVER) != 0};
    struct fuzz_fields fields;
    fuzz_fields_read(&fields, &in, false);
    if (fields.fields.n > FUZZ_FIELDS_MAX - 4)
        goto out;
    for (size_t i = 0; i < fields.fields.n; i++) {
        unescape(&fields.v[i].name);
        unescape(&fields.v[i].value);
    }
    check(status, &fields, &config);
out:
    fuzz_fields_fini(&fields);
    return 0;
}
