#include "cache/vary.h"

#include "cache/preference.h"

/* A record: this head, the name in lower case, the value: its members, each with a line feed
 * behind it, which no field value contains; for Accept-Language, the one language that the response
 * is in; and of preferences, the line that they came in: most clients of a kind send the same one,
 * and need not have it read again. */
struct record_head {
    uint16_t name_n;
    uint8_t present;    /* an empty field is not an absent one */
    uint8_t language_n; /* 0: not known */
    uint32_t value_n;
    uint32_t line_n; /* 0: there were several lines, or none */
};

struct record {
    struct zq_slice name, value, language, line;
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
    out->language = zq_slice(out->value.p + head.value_n, head.language_n);
    out->line = zq_slice(out->language.p + head.language_n, head.line_n);
    size_t used = sizeof(head) + head.name_n + head.value_n + head.language_n + head.line_n;
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

/* The field's value where it is one line; else n is 0. */
static struct zq_slice only_line(const struct zq_fields *request, struct zq_slice name)
{
    struct zq_slice line = {0};

    for (size_t i = 0; i < request->n; i++) {
        if (!zq_slice_eq(request->v[i].name, name))
            continue;
        if (line.p != NULL)
            return (struct zq_slice){0};
        line = request->v[i].value;
    }
    return line;
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
    bool rules; /* Vary is done, Zq-Vary is next */
};

static bool name_next(struct names *names, struct zq_slice *name)
{
    while (!zq_list_next(&names->line, name)) {
        names->field = zq_fields_find(
            names->fields, names->rules ? ZQ_SLICE("zq-vary") : ZQ_SLICE("vary"), names->field);
        if (names->field == NULL && names->rules)
            return false;
        if (names->field == NULL)
            names->rules = true;
        else
            names->line = names->field->value;
    }
    return true;
}

bool zq_vary_has(const struct zq_fields *response, struct zq_slice name)
{
    struct names names = {.fields = response};
    struct zq_slice each;

    while (name_next(&names, &each))
        if (zq_slice_ieq(each, name))
            return true;
    return false;
}

bool zq_vary_selects(const struct zq_fields *response)
{
    struct zq_slice name, seen[ZQ_VARY_NAMES_MAX];
    struct names names = {.fields = response};
    size_t n = 0;

    while (name_next(&names, &name)) {
        if (zq_slice_eq(name, ZQ_SLICE("*")) || !is_token(name))
            return false;
        size_t i = 0;
        while (i < n && !zq_slice_ieq(seen[i], name))
            i++;
        if (i == ZQ_VARY_NAMES_MAX)
            return false;
        seen[i] = name;
        n += i == n;
    }
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

static size_t write_preferences(char *to, const struct zq_preferences *p, bool *present)
{
    *present = p->present;
    return zq_preferences_write(to, p);
}

/* Returns the bytes; `to` may be NULL. */
static size_t write_value(char *to, const struct zq_fields *request, struct zq_slice name,
                          bool *present)
{
    struct zq_preferences preferences;
    struct cursor c = cursor_make(request, name);
    struct zq_slice member;
    size_t n = 0;

    if (zq_preference_is(name) && zq_preferences_read(&preferences, request, name))
        return write_preferences(to, &preferences, present);
    while (cursor_next(&c, &member)) {
        if (to != NULL) {
            if (member.n > 0)
                memcpy(to + n, member.p, member.n);
            to[n + member.n] = '\n';
        }
        n += member.n + 1;
    }
    *present = c.present;
    return n;
}

/* The one language that a response is in; n is 0: none, several, or nothing that is known. */
static struct zq_slice language_of(const struct zq_fields *response)
{
    const struct zq_field *f = zq_fields_find(response, ZQ_SLICE("content-language"), NULL);
    struct zq_slice line, language, other;

    if (f == NULL || zq_fields_find(response, ZQ_SLICE("content-language"), f) != NULL)
        return (struct zq_slice){0};
    line = f->value;
    if (!zq_list_next(&line, &language) || zq_list_next(&line, &other) || language.n > UINT8_MAX)
        return (struct zq_slice){0};
    return language;
}

static void put_lower(char *to, struct zq_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        to[i] = zq_lower(s.p[i]);
}

/* The name goes in first, for its lower case is what the request is searched for. */
static int add_record(struct zq_buf *out, struct zq_slice name, const struct zq_fields *response,
                      const struct zq_fields *request)
{
    size_t start = out->n;
    struct record_head head = {.name_n = (uint16_t)name.n};
    char *to = zq_buf_reserve(out, sizeof(head) + name.n);

    if (to == NULL)
        return ZQ_ENOMEM;
    put_lower(to + sizeof(head), name);
    zq_buf_commit(out, sizeof(head) + name.n);

    struct zq_slice language = {0};
    if (zq_slice_ieq(name, ZQ_SLICE("accept-language")))
        language = language_of(response);
    bool present;
    struct zq_slice line = {0}, lower = zq_slice(to + sizeof(head), name.n);
    if (zq_preference_is(lower))
        line = only_line(request, lower);
    size_t n = write_value(NULL, request, lower, &present);
    if (n > UINT32_MAX || line.n > UINT32_MAX ||
        (to = zq_buf_reserve(out, n + language.n + line.n + 1)) == NULL)
        return ZQ_ENOMEM;
    char *record = zq_buf_data(out) + start;
    write_value(to, request, zq_slice(record + sizeof(head), name.n), &present);
    put_lower(to + n, language);
    if (line.n > 0)
        zq_put(to + n + language.n, line);
    zq_buf_commit(out, n + language.n + line.n);
    head.present = present;
    head.language_n = (uint8_t)language.n;
    head.value_n = (uint32_t)n;
    head.line_n = (uint32_t)line.n;
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
        if (add_record(out, name, response, request) < 0)
            return ZQ_ENOMEM;
    }
    return 0;
}

/* ---- matching ---- */

static bool members_match(const struct record *r, const struct zq_fields *request)
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

/* The same wishes, or the response is in the language that is wished for above all others. */
static bool preferences_match(const struct record *r, const struct zq_preferences *p)
{
    if (r->language.n > 0 && zq_preferences_favour(p, r->language))
        return true;
    return p->present == r->present && zq_preferences_written_as(p, r->value);
}

static bool value_matches(const struct record *r, const struct zq_fields *request)
{
    struct zq_preferences preferences;

    if (r->line.n > 0 && zq_slice_eq(r->line, only_line(request, r->name)))
        return true;
    if (zq_preference_is(r->name) && zq_preferences_read(&preferences, request, r->name))
        return preferences_match(r, &preferences);
    return members_match(r, request);
}

bool zq_vary_match(struct zq_slice block, const struct zq_fields *request)
{
    struct record r;

    while (record_next(&block, &r))
        if (!value_matches(&r, request))
            return false;
    return true;
}

bool zq_vary_same(struct zq_slice a, struct zq_slice b)
{
    struct record x, y;

    while (record_next(&a, &x))
        if (!record_next(&b, &y) || !zq_slice_eq(x.name, y.name) || x.present != y.present ||
            !zq_slice_eq(x.value, y.value))
            return false;
    return b.n == 0;
}

static bool members_alike(struct zq_slice name, const struct zq_fields *a,
                          const struct zq_fields *b)
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

static bool values_alike(struct zq_slice name, const struct zq_fields *a, const struct zq_fields *b)
{
    struct zq_preferences x, y;

    if (!zq_preference_is(name))
        return members_alike(name, a, b);
    bool sorted = zq_preferences_read(&x, a, name);
    if (sorted != zq_preferences_read(&y, b, name))
        return false;
    return sorted ? zq_preferences_equal(&x, &y) : members_alike(name, a, b);
}

bool zq_vary_alike(struct zq_slice block, const struct zq_fields *a, const struct zq_fields *b)
{
    struct record r;

    while (record_next(&block, &r))
        if (!values_alike(r.name, a, b))
            return false;
    return true;
}
