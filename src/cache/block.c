#include "cache/block.h"

#include "cache/policy.h"

/* Up to and with the next line feed. */
static struct zq_slice first_line(struct zq_slice s)
{
    const char *lf = s.n > 0 ? memchr(s.p, '\n', s.n) : NULL;

    return lf != NULL ? zq_slice(s.p, (size_t)(lf - s.p) + 1) : s;
}

static struct zq_slice behind(struct zq_slice s, size_t n)
{
    return zq_slice(s.p + n, s.n - n);
}

struct zq_slice zq_block_lines(struct zq_slice block)
{
    return behind(block, first_line(block).n);
}

bool zq_block_next(struct zq_slice *lines, struct zq_block_line *line)
{
    line->whole = first_line(*lines);
    if (line->whole.n == 0)
        return false;
    *lines = behind(*lines, line->whole.n);
    struct zq_slice text = line->whole;
    while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
        text.n--;
    const char *colon = memchr(text.p, ':', text.n);
    size_t name_n = colon != NULL ? (size_t)(colon - text.p) : text.n;
    line->name = zq_slice(text.p, name_n);
    line->value = colon != NULL ? zq_slice_trim(behind(text, name_n + 1)) : (struct zq_slice){0};
    return true;
}

bool zq_block_find(struct zq_slice block, struct zq_slice name, struct zq_slice *value)
{
    struct zq_slice lines = zq_block_lines(block);
    struct zq_block_line line;

    while (zq_block_next(&lines, &line))
        if (zq_slice_ieq(line.name, name)) {
            *value = line.value;
            return true;
        }
    return false;
}

/* Fields of the proxy that made the call (RFC 9111 3.1). */
static bool is_of_proxy(struct zq_slice name)
{
    return zq_slice_ieq(name, ZQ_SLICE("proxy-authenticate")) ||
           zq_slice_ieq(name, ZQ_SLICE("proxy-authentication-info")) ||
           zq_slice_ieq(name, ZQ_SLICE("proxy-authorization"));
}

static bool is_withheld(struct zq_slice name, const struct zq_fields *response, bool names_fields)
{
    return zq_slice_ieq(name, ZQ_SLICE("age")) || is_of_proxy(name) ||
           (names_fields && zq_cache_control_names(response, name));
}

/* Copies the lines of one kind. */
static char *copy_lines(char *to, struct zq_slice lines, const struct zq_fields *response,
                        bool names_fields, bool withheld)
{
    struct zq_block_line line;

    while (zq_block_next(&lines, &line)) {
        if (is_withheld(line.name, response, names_fields) != withheld)
            continue;
        memcpy(to, line.whole.p, line.whole.n);
        to += line.whole.n;
    }
    return to;
}

size_t zq_block_part(char *to, struct zq_slice block, const struct zq_fields *response)
{
    struct zq_slice lines = zq_block_lines(block);
    struct zq_cache_control cc;

    zq_policy_cache_control(response, &cc);
    memcpy(to, block.p, block.n - lines.n);
    char *at = copy_lines(to + (block.n - lines.n), lines, response, cc.names_fields, false);
    char *end = copy_lines(at, lines, response, cc.names_fields, true);
    return (size_t)(end - at);
}

static bool is_hidden(struct zq_slice name)
{
    return zq_slice_ieq(name, ZQ_SLICE("zq-cache-control")) ||
           zq_slice_ieq(name, ZQ_SLICE("zq-vary")) || zq_slice_ieq(name, ZQ_SLICE("cache-tag")) ||
           zq_slice_ieq(name, ZQ_SLICE("surrogate-key"));
}

static char *put(char *to, struct zq_slice s)
{
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

size_t zq_block_hidden(char *to, const struct zq_fields *response)
{
    size_t n = 0;

    for (size_t i = 0; i < response->n; i++) {
        const struct zq_field *f = &response->v[i];
        if (!is_hidden(f->name))
            continue;
        n += f->name.n + f->value.n + 3;
        if (to != NULL)
            to = put(put(put(put(to, f->name), ZQ_SLICE(":")), f->value), ZQ_SLICE("\r\n"));
    }
    return n;
}
