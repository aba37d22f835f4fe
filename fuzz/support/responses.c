/* A client's reading of what was sent, which knows nothing of how it was written. */
#include "rig.h"

static bool take_line(struct zq_slice *in, struct zq_slice *line)
{
    const char *lf = in->n > 0 ? memchr(in->p, '\n', in->n) : NULL;
    if (lf == NULL)
        return false;
    size_t n = (size_t)(lf - in->p);
    FUZZ_CHECK(n > 0 && in->p[n - 1] == '\r');
    *line = zq_slice(in->p, n - 1);
    FUZZ_CHECK(memchr(line->p, '\r', line->n) == NULL && memchr(line->p, '\0', line->n) == NULL);
    *in = zq_slice(in->p + n + 1, in->n - n - 1);
    return true;
}

static void take_body(struct zq_slice *in, struct zq_buf *out, size_t n)
{
    if (n > in->n)
        n = in->n;
    FUZZ_CHECK(zq_buf_append(out, in->p, n) == 0);
    *in = zq_slice(in->p + n, in->n - n);
}

/* False when it ends before its end. */
static bool read_chunks(struct zq_slice *in, struct zq_buf *body)
{
    struct zq_slice line;
    for (;;) {
        if (!take_line(in, &line))
            return false;
        size_t size = 0;
        FUZZ_CHECK(line.n > 0 && line.n < 16);
        for (size_t i = 0; i < line.n; i++) {
            const char *digit = memchr("0123456789abcdef", line.p[i], 16);
            FUZZ_CHECK(digit != NULL);
            size = size * 16 + (size_t)(digit - (const char *)"0123456789abcdef");
        }
        bool whole = size <= in->n;
        take_body(in, body, size);
        if (!whole || !take_line(in, &line))
            return false;
        FUZZ_CHECK(line.n == 0);
        if (size == 0)
            return true;
    }
}

struct framing {
    int64_t length; /* -1: none */
    bool chunked, close;
};

static bool is(struct zq_slice line, const char *name, struct zq_slice *value)
{
    size_t n = strlen(name);
    if (line.n < n + 2 || memcmp(line.p, name, n) != 0 || memcmp(line.p + n, ": ", 2) != 0)
        return false;
    *value = zq_slice(line.p + n + 2, line.n - n - 2);
    return true;
}

/* True if the line is about framing, and no part of what the application said. */
static bool read_framing(struct zq_slice line, struct framing *f)
{
    struct zq_slice value;
    uint64_t length;
    if (is(line, "Content-Length", &value)) {
        FUZZ_CHECK(f->length < 0 && zq_parse_u64(value, INT64_MAX, &length) == 0);
        f->length = (int64_t)length;
    } else if (is(line, "Transfer-Encoding", &value)) {
        FUZZ_CHECK(!f->chunked && zq_slice_eq(value, ZQ_SLICE("chunked")));
        f->chunked = true;
    } else if (is(line, "Connection", &value)) {
        FUZZ_CHECK(!f->close);
        f->close = zq_slice_eq(value, ZQ_SLICE("close"));
        FUZZ_CHECK(f->close || zq_slice_eq(value, ZQ_SLICE("keep-alive")));
    } else {
        return false;
    }
    return true;
}

static unsigned read_status(struct zq_slice line)
{
    uint64_t status;
    FUZZ_CHECK(line.n >= 13 && memcmp(line.p, "HTTP/1.1 ", 9) == 0 && line.p[12] == ' ');
    FUZZ_CHECK(zq_parse_u64(zq_slice(line.p + 9, 3), 999, &status) == 0 && status >= 100);
    return (unsigned)status;
}

/* False when there is no whole head. */
static bool read_head(struct zq_slice *in, struct rig_response *r, struct zq_buf *text,
                      struct framing *f)
{
    struct zq_slice line;
    size_t before = text->n;
    *f = (struct framing){.length = -1};
    if (!take_line(in, &line))
        return false;
    r->status = read_status(line);
    for (;;) {
        if (!take_line(in, &line))
            return false;
        if (line.n == 0)
            break;
        FUZZ_CHECK(memchr(line.p, ':', line.n) != NULL);
        if (read_framing(line, f))
            continue;
        FUZZ_CHECK(zq_buf_append(text, line.p, line.n) == 0 && zq_buf_append(text, "\n", 1) == 0);
    }
    /* Offsets for now: the buffer may move. */
    r->head = (struct zq_slice){NULL, text->n - before};
    r->close = f->close;
    return true;
}

/* RFC 9112 6.3, as a client has it. */
static bool read_body(struct zq_slice *in, struct rig_response *r, const struct framing *f,
                      bool is_head)
{
    FUZZ_CHECK(!(f->chunked && f->length >= 0));
    if (is_head || r->status == 204 || r->status == 304) {
        FUZZ_CHECK(r->status != 204 || (f->length < 0 && !f->chunked));
        return true;
    }
    if (f->chunked)
        return read_chunks(in, &r->body);
    if (f->length >= 0) {
        bool whole = (uint64_t)f->length <= in->n;
        take_body(in, &r->body, (size_t)f->length);
        return whole;
    }
    FUZZ_CHECK(f->close);
    take_body(in, &r->body, in->n);
    return true;
}

static void read_one(struct rig_responses *out, struct zq_slice *in, const struct rig_exchange *x)
{
    struct rig_response *r = &out->v[out->n++];
    struct framing f;
    *r = (struct rig_response){0};
    do {
        if (!read_head(in, r, &out->text, &f)) {
            FUZZ_CHECK(x->end != ZQ_EXCHANGE_COMPLETE && x->end != ZQ_EXCHANGE_REFUSED);
            *in = (struct zq_slice){0};
            return;
        }
        FUZZ_CHECK(r->status != 100 || (x->expects && f.length < 0 && !f.chunked && !f.close));
    } while (r->status < 200);
    FUZZ_CHECK(r->status == x->status);
    r->complete = read_body(in, r, &f, x->is_head);
    if (!r->complete)
        *in = (struct zq_slice){0}; /* part of a chunk's size may be left */
    FUZZ_CHECK(r->complete || x->end == ZQ_EXCHANGE_CUT || x->end == ZQ_EXCHANGE_GONE ||
               x->end == ZQ_EXCHANGE_TIMED_OUT);
}

void rig_responses_read(struct rig_responses *out, const struct rig *rig)
{
    struct zq_slice in = zq_slice(zq_buf_data(&rig->sent), rig->sent.n);
    *out = (struct rig_responses){0};
    for (size_t i = 0; i < rig->n; i++) {
        const struct rig_exchange *x = &rig->exchanges[i];
        if (in.n == 0) {
            FUZZ_CHECK(x->end != ZQ_EXCHANGE_COMPLETE && x->end != ZQ_EXCHANGE_REFUSED);
            continue;
        }
        read_one(out, &in, x);
        /* Behind `Connection: close` comes nothing (RFC 9112 9.6). */
        FUZZ_CHECK(!out->v[out->n - 1].close || i == rig->n - 1);
    }
    FUZZ_CHECK(in.n == 0);
    size_t at = 0;
    for (size_t i = 0; i < out->n; i++) {
        out->v[i].head.p = zq_buf_data(&out->text) + at;
        at += out->v[i].head.n;
    }
}

void rig_responses_fini(struct rig_responses *responses)
{
    for (size_t i = 0; i < responses->n; i++)
        zq_buf_fini(&responses->v[i].body);
    zq_buf_fini(&responses->text);
}
