/* llhttp: from a head's bytes to fields, from a body's bytes to content, but for the trailers.
 *
 * No callback calls out of this room: the head is fed in one piece, so that every name and value
 * is one slice, and the body in steps that stop behind each chunk, so that a step finds at most one
 * run of content, which is delivered after the parser has returned. */
#include "connection.h"

static struct zq_http_exchange *of(llhttp_t *parser)
{
    return parser->data;
}

static int on_name(llhttp_t *parser, const char *at, size_t n)
{
    struct zq_http_exchange *ex = of(parser);
    struct zq_fields *fields = &ex->pub.request.fields;
    if (fields->n >= ex->fields_max)
        return HPE_USER;
    zq_to_lower((char *)(uintptr_t)at, n); /* ours: the arena's copy of the head */
    fields->v[fields->n++] = (struct zq_field){.name = {at, n}, .value = {at + n, 0}};
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
    struct zq_fields *fields = &of(parser)->pub.request.fields;
    fields->v[fields->n - 1].value = zq_slice_trim(zq_slice(at, n));
    return 0;
}

static int on_content(llhttp_t *parser, const char *at, size_t n)
{
    of(parser)->span = zq_slice(at, n);
    return 0;
}

/* The length of the chunk that begins is in the parser. Behind the last one it is not needed any
 * more: it would refuse trailers that must be dropped. */
static int on_chunk_begin(llhttp_t *parser)
{
    struct zq_http_exchange *ex = of(parser);
    ex->in_chunk = parser->content_length > 0;
    if (!ex->in_chunk)
        ex->trailers = ZQ_TRAILERS_LINE;
    return ex->want == 0 || !ex->in_chunk ? HPE_PAUSED : 0;
}

static int on_chunk_end(llhttp_t *parser)
{
    of(parser)->in_chunk = false;
    return HPE_PAUSED;
}

static int on_complete(llhttp_t *parser)
{
    of(parser)->message_complete = true;
    return HPE_PAUSED; /* what follows is the next request */
}

static const llhttp_settings_t settings = {
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_body = on_content,
    .on_chunk_header = on_chunk_begin,
    .on_chunk_complete = on_chunk_end,
    .on_message_complete = on_complete,
};

/* Of the request line only the method can be at fault still: a token that llhttp does not know
 * (INVALID_METHOD), or knows from other protocols (INVALID_CONSTANT). */
static unsigned refusal_of(llhttp_errno_t error)
{
    return error == HPE_INVALID_METHOD || error == HPE_INVALID_CONSTANT ? 501 : 400;
}

/* Trailing whitespace is no part of a value (RFC 9112 5.1), which llhttp knows of SP, but behind a
 * transfer coding not of HTAB. */
static void blank_trailing_tabs(char *head, size_t n)
{
    char *end = head + n;
    char *tab = head;
    while ((tab = memchr(tab, '\t', (size_t)(end - tab))) != NULL) {
        char *from = tab;
        while (tab < end && (*tab == '\t' || *tab == ' '))
            tab++;
        if (tab < end && *tab == '\r')
            memset(from, ' ', (size_t)(tab - from));
    }
}

unsigned zq_parse_head(struct zq_http_exchange *ex, char *head, size_t n, size_t fields)
{
    llhttp_init(&ex->parser, HTTP_REQUEST, &settings);
    /* RFC 9110 2.5 wants 1.2 read as 1.1; the version has been checked by then. */
    llhttp_set_lenient_version(&ex->parser, 1);
    ex->parser.data = ex;
    /* One to spare: the Host that an absolute target brings along. */
    ex->fields_max = fields;
    ex->pub.request.fields.v =
        zq_arena_alloc(&ex->pub.arena, (fields + 1) * sizeof(struct zq_field));
    if (ex->pub.request.fields.v == NULL)
        return 503;

    blank_trailing_tabs(head, n);
    llhttp_errno_t error = llhttp_execute(&ex->parser, head, n);
    if (error == HPE_PAUSED)
        llhttp_resume(&ex->parser);
    else if (error != HPE_OK)
        return refusal_of(error);
    return 0;
}

/* Chunk extensions and trailers are bounded: framing may cost so much a chunk and two bytes for
 * each byte of content, and beyond that as much as a head may have. It is counted in the order in
 * which the bytes came, so that cuts make no difference. `ended`: behind them a chunk has. */
#define OVERHEAD_A_CHUNK 16
static bool framing_is_excessive(struct zq_http_exchange *ex, struct zq_slice input, size_t used,
                                 bool ended)
{
    uint64_t limit = ex->conn->server->config->limit_request_headers;
    int64_t most = (int64_t)(limit > 0 ? limit : ZQ_SCRATCH_SIZE) + OVERHEAD_A_CHUNK;
    struct zq_slice content = ex->span;
    if (!ex->chunked)
        return false;
    size_t before = content.n > 0 ? (size_t)(content.p - input.p) : used;
    ex->overhead += (int64_t)before;
    bool excessive = ex->overhead > most;
    ex->overhead += (int64_t)(used - before - content.n) - 2 * (int64_t)content.n;
    excessive |= ex->overhead > most;
    if (ended)
        ex->overhead = ex->overhead > OVERHEAD_A_CHUNK ? ex->overhead - OVERHEAD_A_CHUNK : 0;
    return excessive;
}

/* Returns the bytes used, or ZQ_EPROTO. `*chunk_ended`: it has stopped behind a chunk's data. */
static int64_t step(struct zq_http_exchange *ex, struct zq_slice input, bool *chunk_ended)
{
    llhttp_errno_t error = llhttp_execute(&ex->parser, input.p, input.n);
    if (error == HPE_OK)
        return (int64_t)input.n;
    if (error != HPE_PAUSED)
        return ZQ_EPROTO;
    size_t used = (size_t)(llhttp_get_error_pos(&ex->parser) - input.p);
    llhttp_resume(&ex->parser);
    *chunk_ended = !ex->in_chunk && ex->trailers == ZQ_TRAILERS_NONE;
    return (int64_t)used;
}

static int64_t skip_trailers(struct zq_http_exchange *ex, struct zq_slice input)
{
    int64_t used = zq_trailers_skip(&ex->trailers, input);
    ex->message_complete = ex->trailers == ZQ_TRAILERS_OVER;
    return used;
}

int64_t zq_parse_body(struct zq_http_exchange *ex, struct zq_slice input)
{
    bool chunk_ended = false;
    ex->span = (struct zq_slice){0};
    int64_t used =
        ex->trailers == ZQ_TRAILERS_NONE ? step(ex, input, &chunk_ended) : skip_trailers(ex, input);
    if (used < 0)
        return used;
    return framing_is_excessive(ex, input, (size_t)used, chunk_ended) ? ZQ_EPROTO : used;
}
