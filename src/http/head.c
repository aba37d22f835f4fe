#include "head.h"

#include "chars.h"

/* Limits that are switched off still have a bound, which offsets rely on. */
#define HARD_LIMIT (64u << 20)

static size_t bounded(uint64_t limit)
{
    return limit == 0 || limit > HARD_LIMIT ? HARD_LIMIT : (size_t)limit;
}

/* What has come of a request line, its bytes from `from` on: refuses a TLS hello, or whatever else
 * is no HTTP, without waiting for a line end that may never come. */
static bool is_garbage(struct zq_slice line, size_t from)
{
    const char *space = memchr(line.p, ' ', line.n);
    size_t method_end = space != NULL ? (size_t)(space - line.p) : line.n;
    if (method_end == 0 && line.n > 0)
        return true;
    for (size_t i = from; i < line.n; i++) {
        char c = line.p[i];
        if (c == '\r' && i == line.n - 1)
            return space == NULL && i > 0; /* a line of one word */
        if (i < method_end ? !zq_char_is(c, ZQ_CHAR_TOKEN)
                           : c != ' ' && !zq_char_is(c, ZQ_CHAR_TARGET))
            return true;
    }
    return false;
}

/* `part` is a request line, or what has come of it; `seen` bytes of it were looked at before. */
static int check_part(struct zq_slice part, size_t seen, const struct zq_config *config)
{
    size_t longest = bounded(config->limit_request_line);
    bool over = part.n > longest + 1; /* its CR may be there */
    if (over)
        part.n = longest + 1;
    if (is_garbage(part, seen > 0 ? seen - 1 : 0)) /* a CR that was last before may not be now */
        return -400;
    return over ? -414 : 0;
}

static int check_request_line(struct zq_head_scan *scan, struct zq_slice line,
                              const struct zq_config *config)
{
    struct zq_request_line parsed;
    int status = (int)zq_request_line_parse(zq_slice(line.p, line.n - 2), &parsed);
    scan->method_n = (uint32_t)parsed.method.n;
    scan->target_n = (uint32_t)parsed.target.n;
    scan->version_minor = (uint8_t)parsed.version_minor;
    return -status;
}

static int check_field_line(struct zq_head_scan *scan, struct zq_slice line,
                            const struct zq_config *config)
{
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return -400; /* obs-fold, or whitespace before the first field (RFC 9112 2.2, 5.2) */
    if (line.n == 2)
        return 0;
    scan->count++;
    int64_t most = config->limit_request_header_count;
    return most > 0 && scan->count > most ? -431 : 0;
}

/* A line from its first byte to its LF, that included. */
static int check_line(struct zq_head_scan *scan, struct zq_slice line,
                      const struct zq_config *config)
{
    size_t end = scan->line + line.n;
    if (scan->fields > 0 && end - scan->fields > bounded(config->limit_request_headers))
        return -431;
    if (scan->fields == 0 && line.n - 1 > bounded(config->limit_request_line) + 1)
        return check_part(line, scan->seen, config);
    if (line.n < 2 || line.p[line.n - 2] != '\r')
        return -400;
    return scan->fields > 0 ? check_field_line(scan, line, config)
                            : check_request_line(scan, line, config);
}

int64_t zq_head_scan(struct zq_head_scan *scan, struct zq_slice data,
                     const struct zq_config *config)
{
    int refused;
    const char *lf;
    while ((lf = memchr(data.p + scan->seen, '\n', data.n - scan->seen)) != NULL) {
        size_t next = (size_t)(lf - data.p) + 1;
        struct zq_slice line = zq_slice(data.p + scan->line, next - scan->line);
        refused = check_line(scan, line, config);
        if (refused != 0)
            return refused;
        if (scan->fields == 0)
            scan->fields = (uint32_t)next;
        else if (line.n == 2)
            return (int64_t)next;
        scan->line = scan->seen = (uint32_t)next;
    }
    if (scan->fields == 0)
        refused = check_part(data, scan->seen, config);
    else
        refused = data.n - scan->fields > bounded(config->limit_request_headers) ? -431 : 0;
    scan->seen = (uint32_t)data.n;
    return refused;
}
