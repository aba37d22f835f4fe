#include "cache/vary.h"

/* A record: this head, the name in lower case, the value: its members, each with a line feed
 * behind it, which no field value contains. */
struct record_head {
    uint16_t name_n;
    uint16_t present; /* an empty field is not an absent one */
    uint32_t value_n;
};

struct record {
    struct zq_slice name, value;
    bool present;
};

static bool record_next(struct zq_slice *block, struct record *out)
{
    struct record_head head;

    if (block->n == 0)
        return false;
    memcpy(&head, block->p, sizeof(head));
    out->present = head.present;
    out->name = zq_slice(block->p + sizeof(head), head.name_n);
    out->value = zq_slice(out->name.p + head.name_n, head.value_n);
    size_t used = sizeof(head) + head.name_n + head.value_n;
    *block = zq_slice(block->p + used, block->n - used);
    return true;
}

/* ---- walking over a request field's members ---- */

struct cursor {
    const struct zq_fields *fields;
    struct zq_slice name, line;
    size_t next;   /* the field to look at next */
    bool verbatim; /* a line is one member */
    bool present;  /* some line was there */
};

static struct cursor cursor_make(const struct zq_fields *fields, struct zq_slice name)
{
    return (struct cursor){
        .fields = fields,
        .name = name,
        .verbatim =
            zq_slice_eq(name, ZQ_SLICE("cookie")) || zq_slice_eq(name, ZQ_SLICE("authorization")),
    };
}

/* Request field names are in lower case already, and so are a record's. */
static bool next_line(struct cursor *c)
{
    for (; c->next < c->fields->n; c->next++)
        if (zq_slice_eq(c->fields->v[c->next].name, c->name)) {
            c->line = zq_slice_trim(c->fields->v[c->next++].value);
            c->present = true;
            return true;
        }
    return false;
}

static bool cursor_next(struct cursor *c, struct zq_slice *member)
{
    if (!c->verbatim) {
        while (!zq_list_next(&c->line, member))
            if (!next_line(c))
                return false;
        return true;
    }
    if (!next_line(c))
        return false;
    *member = c->line;
    return true;
}

/* ---- names ---- */

static bool is_token(struct zq_slice s)
{
    static const char others[] = "!#$%&'*+-.^_`|~"; /* RFC 9110 5.6.2 */

    for (size_t i = 0; i < s.n; i++) {
        char c = zq_lower(s.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) &&
            (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return s.n > 0 && s.n <= UINT16_MAX;
}

struct names {
    const struct zq_fields *fields;
    const struct zq_field *field;
    struct zq_slice line;
};

static bool name_next(struct names *names, struct zq_slice *name)
{
    while (!zq_list_next(&names->line, name)) {
        names->field = zq_fields_find(names->fields, ZQ_SLICE("vary"), names->field);
        if (names->field == NULL)
            return false;
        names->line = names->field->value;
    }
    return true;
}

bool zq_vary_selects(const struct zq_fields *response)
{
    struct names names = {.fields = response};
    struct zq_slice name;
    size_t n = 0;

    while (name_next(&names, &name))
        if (zq_slice_eq(name, ZQ_SLICE("*")) || !is_token(name) || ++n > ZQ_VARY_NAMES_MAX)
            return false;
    return true;
}

/* ---- blocks ---- */

static bool has_name(struct zq_slice block, struct zq_slice name)
{
    struct record r;

    while (record_next(&block, &r))
        if (zq_slice_ieq(r.name, name))
            return true;
    return false;
}

static size_t value_length(const struct zq_fields *request, struct zq_slice name, bool *present)
{
    struct cursor c = cursor_make(request, name);
    struct zq_slice member;
    size_t n = 0;

    while (cursor_next(&c, &member))
        n += member.n + 1;
    *present = c.present;
    return n;
}

static void write_value(char *to, const struct zq_fields *request, struct zq_slice name)
{
    struct cursor c = cursor_make(request, name);
    struct zq_slice member;

    while (cursor_next(&c, &member)) {
        if (member.n > 0)
            memcpy(to, member.p, member.n);
        to += member.n;
        *to++ = '\n';
    }
}

/* The name goes in first, for its lower case is what the request is searched for. */
static int add_record(struct zq_buf *out, struct zq_slice name, const struct zq_fields *request)
{
    size_t start = out->n;
    struct record_head head = {.name_n = (uint16_t)name.n};
    char *to = zq_buf_reserve(out, sizeof(head) + name.n);

    if (to == NULL)
        return ZQ_ENOMEM;
    for (size_t i = 0; i < name.n; i++)
        to[sizeof(head) + i] = zq_lower(name.p[i]);
    zq_buf_commit(out, sizeof(head) + name.n);

    struct zq_slice lower = zq_slice(to + sizeof(head), name.n);
    bool present;
    size_t n = value_length(request, lower, &present);
    if (n > UINT32_MAX || (to = zq_buf_reserve(out, n + 1)) == NULL)
        return ZQ_ENOMEM;
    char *record = zq_buf_data(out) + start;
    write_value(to, request, zq_slice(record + sizeof(head), name.n));
    zq_buf_commit(out, n);
    head.present = present;
    head.value_n = (uint32_t)n;
    memcpy(record, &head, sizeof(head));
    return 0;
}

int zq_vary_build(struct zq_buf *out, const struct zq_fields *response,
                  const struct zq_fields *request)
{
    struct names names = {.fields = response};
    struct zq_slice name;
    size_t start = out->n;

    while (name_next(&names, &name)) {
        struct zq_slice so_far = {0};
        if (out->n > start)
            so_far = zq_slice(zq_buf_data(out) + start, out->n - start);
        if (has_name(so_far, name))
            continue;
        if (add_record(out, name, request) < 0)
            return ZQ_ENOMEM;
    }
    return 0;
}

static bool value_matches(const struct record *r, const struct zq_fields *request)
{
    struct cursor c = cursor_make(request, r->name);
    struct zq_slice rest = r->value, member;

    while (cursor_next(&c, &member)) {
        if (rest.n < member.n + 1 || rest.p[member.n] != '\n' ||
            !zq_slice_eq(zq_slice(rest.p, member.n), member))
            return false;
        rest = zq_slice(rest.p + member.n + 1, rest.n - member.n - 1);
    }
    return rest.n == 0 && c.present == r->present;
}

bool zq_vary_match(struct zq_slice block, const struct zq_fields *request)
{
    struct record r;

    while (record_next(&block, &r))
        if (!value_matches(&r, request))
            return false;
    return true;
}

static bool values_alike(struct zq_slice name, const struct zq_fields *a, const struct zq_fields *b)
{
    struct cursor left = cursor_make(a, name), right = cursor_make(b, name);
    struct zq_slice x, y;

    for (;;) {
        bool more = cursor_next(&left, &x);
        if (more != cursor_next(&right, &y))
            return false;
        if (!more)
            return left.present == right.present;
        if (!zq_slice_eq(x, y))
            return false;
    }
}

bool zq_vary_alike(struct zq_slice block, const struct zq_fields *a, const struct zq_fields *b)
{
    struct record r;

    while (record_next(&block, &r))
        if (!values_alike(r.name, a, b))
            return false;
    return true;
}
