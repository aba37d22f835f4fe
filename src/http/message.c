/* What a request's head means: framing, connection, authority, expectations. The fields are as
 * llhttp has split them; the rules here are those that it does not know. */
#include "chars.h"
#include "connection.h"

/* What the fields that matter here have said. */
struct findings {
    const struct zq_field *host;
    unsigned hosts, lengths;
    unsigned codings, chunked; /* members of Transfer-Encoding */
    bool last_is_chunked;
    bool transfer_encoding;
    bool more_than_chunked; /* a line of it is more than this word, or less */
    bool close, keep_alive;
    bool unknown_expectation;
    bool expect_continue;
};

static void find_host(struct findings *f, const struct zq_field *field)
{
    f->host = field;
    f->hosts++;
}

static void find_connection(struct findings *f, struct zq_slice value)
{
    struct zq_slice option;
    while (zq_list_next(&value, &option)) {
        f->close |= zq_slice_ieq(option, ZQ_SLICE("close"));
        f->keep_alive |= zq_slice_ieq(option, ZQ_SLICE("keep-alive"));
    }
}

static void find_codings(struct findings *f, struct zq_slice value)
{
    struct zq_slice coding;
    f->transfer_encoding = true;
    f->more_than_chunked |= !zq_slice_ieq(value, ZQ_SLICE("chunked"));
    while (zq_list_next(&value, &coding)) {
        f->codings++;
        f->last_is_chunked = zq_slice_ieq(coding, ZQ_SLICE("chunked"));
        f->chunked += f->last_is_chunked;
    }
}

static void find_expectation(struct findings *f, struct zq_slice value)
{
    struct zq_slice expectation;
    while (zq_list_next(&value, &expectation)) {
        if (zq_slice_ieq(expectation, ZQ_SLICE("100-continue")))
            f->expect_continue = true;
        else
            f->unknown_expectation = true;
    }
}

static void look_at(struct findings *f, const struct zq_field *field)
{
    switch (field->name.n) {
    case 4:
        if (zq_slice_eq(field->name, ZQ_SLICE("host")))
            find_host(f, field);
        break;
    case 6:
        if (zq_slice_eq(field->name, ZQ_SLICE("expect")))
            find_expectation(f, field->value);
        break;
    case 10:
        if (zq_slice_eq(field->name, ZQ_SLICE("connection")))
            find_connection(f, field->value);
        break;
    case 14:
        f->lengths += zq_slice_eq(field->name, ZQ_SLICE("content-length"));
        break;
    case 17:
        if (zq_slice_eq(field->name, ZQ_SLICE("transfer-encoding")))
            find_codings(f, field->value);
        break;
    default:
        break;
    }
}

/* RFC 9112 6.1 to 6.3. llhttp has refused most of this already; nothing here is left to it. */
static unsigned check_framing(struct zq_http_exchange *ex, const struct findings *f)
{
    struct zq_request *request = &ex->pub.request;
    request->content_length = -1;
    if (f->transfer_encoding) {
        if (request->version_minor == 0 || f->lengths > 0)
            return 400;
        if (!f->last_is_chunked || f->chunked != 1)
            return 400;
        if (f->codings > 1)
            return 501;
        /* Empty members: to be ignored (RFC 9110 5.6.1.2), which not all do. */
        if (f->more_than_chunked)
            return 400;
        ex->chunked = request->has_body = true;
        return 0;
    }
    return f->lengths > 1 ? 400 : 0;
}

static unsigned check_length(struct zq_http_exchange *ex, const struct findings *f)
{
    struct zq_request *request = &ex->pub.request;
    uint64_t limit = ex->conn->server->config->limit_request_body;
    if (f->lengths == 0)
        return 0;
    const struct zq_field *field =
        zq_fields_find(&request->fields, ZQ_SLICE("content-length"), NULL);
    uint64_t length;
    if (zq_parse_u64(field->value, INT64_MAX, &length) != 0)
        return 400;
    request->content_length = (int64_t)length;
    request->has_body = length > 0;
    return limit > 0 && length > limit ? 413 : 0;
}

/* RFC 9110 10.1.1; ignored in HTTP/1.0. */
static unsigned check_expectation(struct zq_http_exchange *ex, const struct findings *f)
{
    struct zq_request *request = &ex->pub.request;
    if (request->version_minor == 0)
        return 0;
    request->expect_continue = f->expect_continue && request->has_body;
    ex->continue_pending = request->expect_continue;
    return f->unknown_expectation ? 417 : 0;
}

/* ---- authority ---- */

/* RFC 9112 3.2: exactly one Host in 1.1, and at most one in 1.0. An empty one is for targets
 * without an authority; here that is only the asterisk. */
static unsigned check_host(const struct zq_request *request, const struct findings *f,
                           enum zq_target_form form)
{
    if (f->hosts > 1 || (f->hosts == 0 && request->version_minor > 0))
        return 400;
    if (f->hosts == 0)
        return 0;
    if (f->host->value.n == 0)
        return form == ZQ_TARGET_ASTERISK ? 0 : 400;
    return zq_host_valid(f->host->value) ? 0 : 400;
}

/* RFC 9112 3.2.2: the target's authority replaces the Host field. */
static void replace_host(struct zq_request *request, const struct findings *f,
                         struct zq_slice authority)
{
    size_t at = f->host != NULL ? (size_t)(f->host - request->fields.v) : request->fields.n++;
    request->fields.v[at] = (struct zq_field){ZQ_SLICE("host"), authority};
    request->host = authority;
}

/* The path of an absolute target may be empty: it means `/`, for OPTIONS without a query `*`. */
static struct zq_slice origin_form(struct zq_http_exchange *ex, const struct zq_target *target)
{
    struct zq_slice rest = target->rest;
    if (rest.n > 0 && rest.p[0] == '/')
        return rest;
    if (rest.n == 0)
        return ex->pub.request.method_id == ZQ_METHOD_OPTIONS ? ZQ_SLICE("*") : ZQ_SLICE("/");
    char *p = zq_arena_alloc(&ex->pub.arena, rest.n + 1);
    if (p == NULL)
        return (struct zq_slice){0};
    p[0] = '/';
    memcpy(p + 1, rest.p, rest.n);
    return zq_slice(p, rest.n + 1);
}

static void split_target(struct zq_request *request)
{
    struct zq_slice target = request->target;
    const char *mark = memchr(target.p, '?', target.n);
    size_t path = mark != NULL ? (size_t)(mark - target.p) : target.n;
    request->path = zq_slice(target.p, path);
    request->query = mark != NULL ? zq_slice(mark + 1, target.n - path - 1) : (struct zq_slice){0};
}

static unsigned check_target(struct zq_http_exchange *ex, const struct findings *f)
{
    struct zq_request *request = &ex->pub.request;
    struct zq_target target;
    unsigned status = zq_target_parse(request->target, request->method, &target);
    if (status == 0)
        status = check_host(request, f, target.form);
    if (status != 0)
        return status;
    if (target.form == ZQ_TARGET_AUTHORITY)
        return 501; /* CONNECT: zq is no proxy */
    request->host = f->host != NULL ? f->host->value : (struct zq_slice){0};
    if (target.form == ZQ_TARGET_ABSOLUTE) {
        request->target = origin_form(ex, &target);
        if (request->target.p == NULL)
            return 503;
        replace_host(request, f, target.authority);
    }
    split_target(request);
    return 0;
}

unsigned zq_message_check(struct zq_http_exchange *ex)
{
    struct zq_request *request = &ex->pub.request;
    struct findings f = {0};
    for (size_t i = 0; i < request->fields.n; i++)
        look_at(&f, &request->fields.v[i]);
    /* RFC 9112 9.3: 1.1 goes on unless told not to, 1.0 only on request. */
    ex->client_keeps = !f.close && (request->version_minor > 0 || f.keep_alive);
    unsigned status = check_framing(ex, &f);
    if (status == 0)
        status = check_target(ex, &f);
    if (status == 0)
        status = check_length(ex, &f);
    if (status == 0)
        status = check_expectation(ex, &f);
    return status;
}
