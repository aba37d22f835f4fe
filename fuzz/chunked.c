/* The chunked coding, against a decoder of its own that knows nothing but RFC 9112 7.1.
 *
 * Input: a seed for the cuts; then what follows the head of a chunked POST.
 *
 * Invariants:
 *   - what is accepted is what the grammar says, with the same content and the same end; what
 *     follows is the next request's. Only of an extension, which nobody looks at, no more is asked
 *     than that it is text behind a semicolon;
 *   - what the grammar says is accepted, as long as extensions and trailers are short, whatever
 *     the trailers are about; bad whitespace in an extension may be refused instead;
 *   - the cuts make no difference to any of that. */
#include "support/rig.h"

#define HEAD "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

/* ---- the grammar ---- */

enum outcome { INCOMPLETE, COMPLETE, BROKEN };

struct decoder {
    struct zq_slice in;
    struct zq_buf content;
    bool odd; /* some extension may be refused */
};

static bool is_tchar(char c)
{
    return (c >= '0' && c <= '9') || (zq_lower(c) >= 'a' && zq_lower(c) <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* VCHAR, obs-text, SP and HTAB. */
static bool is_text(char c)
{
    return is_blank(c) || ((unsigned char)c > ' ' && c != 0x7f);
}

static void skip(struct zq_slice *s, size_t n)
{
    *s = zq_slice(s->p + n, s->n - n);
}

static void skip_blank(struct zq_slice *s)
{
    while (s->n > 0 && is_blank(s->p[0]))
        skip(s, 1);
}

static size_t skip_token(struct zq_slice *s)
{
    size_t n = 0;
    while (n < s->n && is_tchar(s->p[n]))
        n++;
    skip(s, n);
    return n;
}

static bool skip_quoted(struct zq_slice *s)
{
    skip(s, 1);
    while (s->n > 0 && s->p[0] != '"') {
        if (s->p[0] == '\\')
            skip(s, 1);
        if (s->n == 0 || !is_text(s->p[0]))
            return false;
        skip(s, 1);
    }
    if (s->n == 0)
        return false;
    skip(s, 1);
    return true;
}

/* *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ) */
static bool is_extension(struct zq_slice s)
{
    while (s.n > 0) {
        skip_blank(&s);
        if (s.n == 0 || s.p[0] != ';')
            return false;
        skip(&s, 1);
        skip_blank(&s);
        if (skip_token(&s) == 0)
            return false;
        struct zq_slice before = s;
        skip_blank(&s);
        if (s.n == 0 || s.p[0] != '=') {
            s = before;
            continue;
        }
        skip(&s, 1);
        skip_blank(&s);
        if (s.n > 0 && s.p[0] == '"' ? !skip_quoted(&s) : skip_token(&s) == 0)
            return false;
    }
    return true;
}

/* What passes for one. */
static bool looks_like_extension(struct zq_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_text(s.p[i]))
            return false;
    return s.n == 0 || s.p[0] == ';';
}

static bool has_blank(struct zq_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (is_blank(s.p[i]))
            return true;
    return false;
}

/* A line up to its CRLF. A bare LF, or a CR without it, breaks the message. */
static enum outcome take_line(struct decoder *d, struct zq_slice *line)
{
    for (size_t i = 0; i < d->in.n; i++) {
        if (d->in.p[i] == '\n')
            return BROKEN;
        if (d->in.p[i] != '\r')
            continue;
        if (i + 1 == d->in.n)
            return INCOMPLETE;
        if (d->in.p[i + 1] != '\n')
            return BROKEN;
        *line = zq_slice(d->in.p, i);
        skip(&d->in, i + 2);
        return COMPLETE;
    }
    return INCOMPLETE;
}

static enum outcome take_size(struct decoder *d, uint64_t *size)
{
    struct zq_slice line;
    enum outcome outcome = take_line(d, &line);
    size_t n = 0;
    *size = 0;
    if (outcome != COMPLETE)
        return outcome;
    for (; n < line.n; n++) {
        const char *digit = memchr("0123456789abcdef", zq_lower(line.p[n]), 16);
        if (digit == NULL)
            break;
        if (*size >> 60 != 0)
            return BROKEN;
        *size = *size << 4 | (uint64_t)(digit - (const char *)"0123456789abcdef");
    }
    struct zq_slice extension = zq_slice(line.p + n, line.n - n);
    if (n == 0 || !(is_extension(extension) || looks_like_extension(extension)))
        return BROKEN;
    d->odd |= has_blank(extension) || !is_extension(extension);
    return COMPLETE;
}

static enum outcome take_data(struct decoder *d, uint64_t size)
{
    size_t n = size < d->in.n ? (size_t)size : d->in.n;
    FUZZ_CHECK(zq_buf_append(&d->content, d->in.p, n) == 0);
    skip(&d->in, n);
    if (n < size)
        return INCOMPLETE;
    for (int i = 0; i < 2; i++) {
        if (d->in.n == 0)
            return INCOMPLETE;
        if (d->in.p[0] != "\r\n"[i])
            return BROKEN;
        skip(&d->in, 1);
    }
    return COMPLETE;
}

static bool is_field_line(struct zq_slice s)
{
    if (skip_token(&s) == 0 || s.n == 0 || s.p[0] != ':')
        return false;
    skip(&s, 1);
    for (size_t i = 0; i < s.n; i++)
        if (!is_text(s.p[i]))
            return false;
    return true;
}

static enum outcome take_trailers(struct decoder *d)
{
    struct zq_slice line;
    for (;;) {
        enum outcome outcome = take_line(d, &line);
        if (outcome != COMPLETE)
            return outcome;
        if (line.n == 0)
            return COMPLETE;
        if (!is_field_line(line))
            return BROKEN;
    }
}

static enum outcome decode(struct decoder *d)
{
    for (;;) {
        uint64_t size;
        enum outcome outcome = take_size(d, &size);
        if (outcome != COMPLETE)
            return outcome;
        if (size == 0)
            return take_trailers(d);
        outcome = take_data(d, size);
        if (outcome != COMPLETE)
            return outcome;
    }
}

/* ---- the comparison ---- */

/* Everything that follows is one body, so that its end shows in the next request alone. */
static void run(struct rig *rig, struct zq_slice bytes, unsigned cuts)
{
    uint64_t state = cuts;
    *rig = (struct rig){0};
    rig->config.timeout_keep_alive = 5000;
    rig->config.timeout_request_header = 10000;
    rig->config.timeout_request_body = 30000;
    rig->config.limit_request_line = 8192;
    rig->config.limit_request_headers = 65536;
    rig->config.limit_request_header_count = 100;
    rig_init(rig);
    rig_feed(rig, ZQ_SLICE(HEAD));
    for (size_t at = 0, n; at < bytes.n; at += n) {
        n = cuts == 0 ? bytes.n : 1 + fuzz_random(&state) % (cuts == 1 ? 1 : bytes.n / 6 + 2);
        n = n < bytes.n - at ? n : bytes.n - at;
        rig_feed(rig, zq_slice(bytes.p + at, n));
    }
    rig_end(rig);
}

static void compare(struct zq_slice bytes, unsigned cuts)
{
    static struct rig rig;
    struct decoder d = {.in = bytes};
    enum outcome outcome = decode(&d);
    run(&rig, bytes, cuts);
    const struct rig_exchange *x = &rig.exchanges[0];
    FUZZ_CHECK(rig.n >= 1 && x->announced);
    if (d.odd && x->status == 400)
        outcome = BROKEN;
    FUZZ_CHECK((x->end == ZQ_EXCHANGE_COMPLETE) == (outcome == COMPLETE));
    /* What is broken may wait for its end first, but what may still be right is not refused. */
    FUZZ_CHECK(outcome != INCOMPLETE || x->end == ZQ_EXCHANGE_GONE || x->status == 400);
    FUZZ_CHECK(x->body.n <= d.content.n || outcome == BROKEN);
    if (outcome == COMPLETE) {
        FUZZ_CHECK(x->body.n == d.content.n && x->body_whole);
        FUZZ_CHECK(x->body.n == 0 ||
                   memcmp(zq_buf_data(&x->body), zq_buf_data(&d.content), x->body.n) == 0);
        /* The next request begins where the grammar says: nothing there, nothing read. */
        FUZZ_CHECK(d.in.n > 0 || rig.n == 1);
    } else {
        FUZZ_CHECK(rig.n == 1);
    }
    zq_buf_fini(&d.content);
    rig_fini(&rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    unsigned cuts = fuzz_byte(&in);
    if (size > 16384)
        return 0;
    struct zq_slice bytes = zq_slice(in.p, in.n);
    compare(bytes, 0);
    if (cuts > 0)
        compare(bytes, cuts);
    return 0;
}
