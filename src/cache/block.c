#include "cache/block.h"

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
