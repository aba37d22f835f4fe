/* ROUTE frames. */
#include "wire/frame.h"

/* ---- what both ends hold a route to ---- */

/* RFC 9110 5.6.2, without lower case: methods are case-sensitive, and these are declared. */
static bool is_method(struct zq_slice s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return s.n > 0;
}

static bool are_methods(struct zq_slice s)
{
    const char *comma;

    while ((comma = s.n > 0 ? memchr(s.p, ',', s.n) : NULL) != NULL) {
        size_t n = (size_t)(comma - s.p);
        if (!is_method(zq_slice(s.p, n)))
            return false;
        s = zq_slice(s.p + n + 1, s.n - n - 1);
    }
    return is_method(s);
}

static bool has_response(const struct zq_route *r)
{
    if (r->kind == ZQ_ROUTE_STATIC)
        return r->status >= 200 && r->status <= 599;
    return r->status == 0 && r->fields.n == 0 && r->body.n == 0;
}

static bool is_text(struct zq_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return s.n <= ZQ_WIRE_ROUTE_TEXT_MAX;
}

static bool is_valid(const struct zq_route *r)
{
    return (unsigned)r->kind < ZQ_ROUTE_KIND_COUNT && zq_route_fault(r->path) == NULL &&
           r->methods.n <= ZQ_WIRE_ROUTE_TEXT_MAX && are_methods(r->methods) && is_text(r->why) &&
           has_response(r) && (r->rule.has_query || r->rule.query.n == 0) &&
           (r->rule.has_cookies || r->rule.cookies.n == 0);
}

/* ---- decoding ---- */

static int take_list(struct zq_slice *in, size_t n, struct zq_arena *arena, struct zq_slices *out)
{
    uint16_t length;

    *out = (struct zq_slices){NULL, n};
    if (n == 0)
        return 0;
    if (n > ZQ_ROUTE_LIST_MAX)
        return ZQ_EPROTO;
    out->v = zq_arena_alloc(arena, n * sizeof(*out->v));
    if (out->v == NULL)
        return ZQ_ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (!zq_wire_take_copy(in, &length, sizeof(length)) || length == 0 ||
            length > ZQ_WIRE_ROUTE_TEXT_MAX || !zq_wire_take(in, length, &out->v[i]))
            return ZQ_EPROTO;
    return 0;
}

int zq_wire_decode_route(struct zq_slice in, struct zq_arena *arena, struct zq_route *out)
{
    struct zq_key_rule *rule = &out->rule;
    struct zq_slices *lists[4] = {&rule->query, &rule->ignore_query, &rule->cookies,
                                  &rule->headers};
    struct zq_slice *texts[3] = {&out->path, &out->methods, &out->why};
    struct wire_route_head head;
    int error = 0;

    if (!zq_wire_take_copy(&in, &head, sizeof(head)) || head.zero != 0 || head.more_zero != 0 ||
        head.kind >= ZQ_ROUTE_KIND_COUNT || head.given > (WIRE_ROUTE_QUERY | WIRE_ROUTE_COOKIES))
        return ZQ_EPROTO;
    out->kind = (enum zq_route_kind)head.kind;
    out->status = head.status;
    rule->has_query = head.given & WIRE_ROUTE_QUERY;
    rule->has_cookies = head.given & WIRE_ROUTE_COOKIES;
    for (int i = 0; i < 3; i++)
        if (!zq_wire_take(&in, head.lengths[i], texts[i]))
            return ZQ_EPROTO;
    for (int i = 0; i < 4 && error == 0; i++)
        error = take_list(&in, head.lists[i], arena, lists[i]);
    if (error == 0)
        error = zq_wire_take_fields(&in, head.n_fields, arena, &out->fields);
    out->body = in;
    return error == 0 && !is_valid(out) ? ZQ_EPROTO : error;
}

/* ---- encoding ---- */

static size_t list_length(const struct zq_slices *list, bool *valid)
{
    size_t n = 0;

    *valid &= list->n <= ZQ_ROUTE_LIST_MAX;
    for (size_t i = 0; i < list->n; i++) {
        *valid &= list->v[i].n > 0 && list->v[i].n <= ZQ_WIRE_ROUTE_TEXT_MAX;
        n += sizeof(uint16_t) + list->v[i].n;
    }
    return n;
}

static char *put_list(char *to, const struct zq_slices *list)
{
    for (size_t i = 0; i < list->n; i++) {
        uint16_t length = (uint16_t)list->v[i].n;
        to = zq_wire_put(to, &length, sizeof(length));
        to = zq_wire_put(to, list->v[i].p, list->v[i].n);
    }
    return to;
}

int zq_wire_encode_route(struct zq_buf *out, const struct zq_route *r)
{
    const struct zq_key_rule *rule = &r->rule;
    const struct zq_slices *lists[4] = {&rule->query, &rule->ignore_query, &rule->cookies,
                                        &rule->headers};
    const struct zq_slice texts[3] = {r->path, r->methods, r->why};
    struct wire_route_head head = {
        .kind = (uint8_t)r->kind,
        .given = (uint8_t)((rule->has_query ? WIRE_ROUTE_QUERY : 0) |
                           (rule->has_cookies ? WIRE_ROUTE_COOKIES : 0)),
        .status = (uint16_t)r->status,
        .n_fields = (uint16_t)r->fields.n,
    };
    size_t length = sizeof(head) + zq_wire_fields_length(&r->fields) + r->body.n;
    bool valid = is_valid(r);
    int error;

    for (int i = 0; i < 4; i++)
        length += list_length(lists[i], &valid);
    if (!valid)
        return ZQ_EINVAL;
    for (int i = 0; i < 4; i++)
        head.lists[i] = (uint16_t)lists[i]->n;
    for (int i = 0; i < 3; i++) {
        head.lengths[i] = (uint16_t)texts[i].n;
        length += texts[i].n;
    }
    if (r->fields.n > UINT16_MAX)
        return ZQ_ELIMIT;
    char *to = zq_wire_open_frame(out, ZQ_WIRE_ROUTE, 0, 0, length, &error);
    if (to == NULL)
        return error;
    to = zq_wire_put(to, &head, sizeof(head));
    for (int i = 0; i < 3; i++)
        to = zq_wire_put(to, texts[i].p, texts[i].n);
    for (int i = 0; i < 4; i++)
        to = put_list(to, lists[i]);
    to = zq_wire_put_fields(to, &r->fields);
    zq_wire_put(to, r->body.p, r->body.n);
    return 0;
}
