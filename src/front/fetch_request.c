/* The request as the worker gets it. */
#include "front/fetch.h"

/* The request as the application gets it: where the whole response is wanted, without what asks for
 * less (RFC 9111 3.3, 4.3.1). Field names are in lower case. */
static bool asks_for_less(struct zq_slice name)
{
    return zq_slice_eq(name, ZQ_SLICE("if-none-match")) ||
           zq_slice_eq(name, ZQ_SLICE("if-modified-since")) ||
           zq_slice_eq(name, ZQ_SLICE("range")) || zq_slice_eq(name, ZQ_SLICE("if-range"));
}

static bool names_the_user(struct zq_slice name)
{
    return zq_slice_eq(name, ZQ_SLICE("cookie")) || zq_slice_eq(name, ZQ_SLICE("authorization"));
}

static void add_field(struct zq_fields *to, struct zq_slice name, struct zq_slice value)
{
    if (value.p != NULL)
        to->v[to->n++] = (struct zq_field){name, value};
}

/* What a stored part lacks (RFC 9111 3.3). */
static int ask_for_rest(struct fetch *fetch, struct zq_fields *to)
{
    const size_t bound = sizeof("bytes=-") + 20;
    char *text = zq_arena_alloc(&fetch->arena, bound);

    if (text == NULL)
        return ZQ_ENOMEM;
    char *end = zq_put_number(zq_put(text, ZQ_SLICE("bytes=")), fetch->writer.rest);
    *end++ = '-';
    add_field(to, ZQ_SLICE("range"), zq_slice(text, (size_t)(end - text)));
    add_field(to, ZQ_SLICE("if-range"), fetch->writer.if_range);
    return 0;
}

static int select_fields(struct fetch *fetch, const struct zq_fields *from, struct zq_fields *to)
{
    const struct zq_writer *writer = &fetch->writer;

    *to = *from;
    if (!writer->whole && !writer->anonymous)
        return 0;
    *to = (struct zq_fields){.v = zq_arena_alloc(&fetch->arena, (from->n + 4) * sizeof(*from->v))};
    if (to->v == NULL)
        return ZQ_ENOMEM;
    for (size_t i = 0; i < from->n; i++)
        if (!(writer->whole && asks_for_less(from->v[i].name)) &&
            !(writer->anonymous && names_the_user(from->v[i].name)))
            to->v[to->n++] = from->v[i];
    add_field(to, ZQ_SLICE("if-none-match"), writer->etag);
    add_field(to, ZQ_SLICE("if-modified-since"), writer->last_modified);
    return writer->rest > 0 ? ask_for_rest(fetch, to) : 0;
}

/* An unsafe method's success will invalidate what is stored for its target (RFC 9111 4.4), and the
 * exchange may be gone by then. */
static int remember_target(struct fetch *fetch, const struct zq_request *r)
{
    if (!fetch->unsafe)
        return 0;
    fetch->scheme = zq_arena_copy(&fetch->arena, r->scheme);
    fetch->host = zq_arena_copy(&fetch->arena, r->host);
    fetch->target = zq_arena_copy(&fetch->arena, r->target);
    return fetch->scheme.p && fetch->host.p && fetch->target.p ? 0 : ZQ_ENOMEM;
}

int fetch_encode(struct fetch *fetch, const struct zq_exchange *exchange)
{
    const struct zq_request *r = &exchange->request;
    struct zq_slice path = zq_http_decode_path(r->path, &fetch->arena);
    struct zq_fields fields;

    fetch->selects = forwarded_selects(&r->fields, &fetch->arena);
    if ((path.p == NULL && r->path.n > 0) || select_fields(fetch, &r->fields, &fields) < 0 ||
        remember_target(fetch, r) < 0 || fetch->selects.p == NULL)
        return ZQ_ENOMEM;
    struct zq_wire_request request = {
        .version_minor = r->version_minor,
        .method = fetch->background ? ZQ_SLICE("GET") : r->method,
        .scheme = r->scheme,
        .raw_path = r->path,
        .path = path,
        .query = r->query,
        .client = r->client.is_unix ? (struct zq_slice){0} : r->client.host,
        .client_port = r->client.port,
        .server = r->server.host,
        .server_port = r->server.port,
        .fields = fields,
    };
    return zq_wire_encode_request(&fetch->request, 1, &request, r->has_body ? 0 : ZQ_WIRE_END);
}
