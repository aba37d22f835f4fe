#include "front/json.h"

struct cursor {
    const char *p, *end;
    struct zq_arena *arena;
    const char *fault;
};

static bool fail(struct cursor *c, const char *fault)
{
    if (c->fault == NULL)
        c->fault = fault;
    return false;
}

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
        c->p++;
}

static bool is_next(struct cursor *c, char wanted)
{
    skip_space(c);
    return c->p < c->end && *c->p == wanted;
}

static bool skip(struct cursor *c, char wanted)
{
    if (!is_next(c, wanted))
        return false;
    c->p++;
    return true;
}

static bool skip_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
        return false;
    c->p += n;
    return true;
}

/* ---- strings ---- */

static bool read_hex(struct cursor *c, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char ch = c->p < c->end ? zq_lower(*c->p++) : ' ';
        bool digit = ch >= '0' && ch <= '9';
        if (!digit && !(ch >= 'a' && ch <= 'f'))
            return fail(c, "has a broken \\u escape");
        *out = *out << 4 | (unsigned)(digit ? ch - '0' : ch - 'a' + 10);
    }
    return true;
}

static char *put_utf8(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xe0 | code >> 12);
        } else {
            *to++ = (char)(0xf0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 63));
        }
        *to++ = (char)(0x80 | (code >> 6 & 63));
    }
    *to++ = (char)(0x80 | (code & 63));
    return to;
}

static bool read_unicode(struct cursor *c, char **to)
{
    unsigned code, low;

    if (!read_hex(c, &code))
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        if (!skip_word(c, "\\u") || !read_hex(c, &low) || low < 0xdc00 || low > 0xdfff)
            return fail(c, "has half a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return fail(c, "has half a surrogate pair");
    }
    *to = put_utf8(*to, code);
    return true;
}

static bool read_escape(struct cursor *c, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    char ch = c->p < c->end ? *c->p++ : '\0';

    if (ch == 'u')
        return read_unicode(c, to);
    const char *found = ch != '\0' ? strchr(from, ch) : NULL;
    if (found == NULL)
        return fail(c, "has an unknown escape");
    *(*to)++ = into[found - from];
    return true;
}

/* An escape is never shorter than what it stands for, so the rest of the text is room enough. */
static bool read_string(struct cursor *c, struct zq_slice *out)
{
    if (!skip(c, '"'))
        return fail(c, "is no JSON object of strings, lists of strings, true and false");
    const char *quote = c->p;
    while (quote < c->end && *quote != '"')
        quote += *quote == '\\' ? 2 : 1;
    if (quote >= c->end)
        return fail(c, "has a string without an end");
    char *start = zq_arena_alloc(c->arena, (size_t)(quote - c->p) + 1), *to = start;
    if (start == NULL)
        return fail(c, "does not fit into memory");
    while (*c->p != '"') {
        if ((unsigned char)*c->p < ' ')
            return fail(c, "has a control character in a string");
        if (*c->p != '\\')
            *to++ = *c->p++;
        else if (c->p++, !read_escape(c, &to))
            return false;
    }
    c->p++;
    *out = zq_slice(start, (size_t)(to - start));
    return true;
}

/* ---- values ---- */

static bool read_list(struct cursor *c, struct json_member *m, size_t max)
{
    m->is_list = skip(c, '[');
    m->strings = zq_arena_alloc(c->arena, max * sizeof(*m->strings));
    if (m->strings == NULL)
        return fail(c, "does not fit into memory");
    if (!m->is_list) {
        m->n = 1;
        return read_string(c, m->strings);
    }
    if (skip(c, ']'))
        return true;
    do {
        if (m->n == max)
            return fail(c, "has too long a list");
        if (!read_string(c, &m->strings[m->n++]))
            return false;
    } while (skip(c, ','));
    return skip(c, ']') || fail(c, "has a list without an end");
}

static bool read_member(struct cursor *c, struct json_member *m, size_t max)
{
    *m = (struct json_member){.kind = JSON_STRINGS};
    if (!read_string(c, &m->name))
        return false;
    if (!skip(c, ':'))
        return fail(c, "has a name without a value");
    skip_space(c);
    m->truth = skip_word(c, "true");
    if (m->truth || skip_word(c, "false")) {
        m->kind = JSON_BOOL;
        return true;
    }
    return read_list(c, m, max);
}

const char *json_read(struct zq_slice text, struct zq_arena *arena, struct json_member *members,
                      size_t max_members, size_t max, size_t *n)
{
    struct cursor c = {text.p, text.p + text.n, arena, NULL};

    *n = 0;
    if (!skip(&c, '{'))
        return "is no JSON object";
    if (!skip(&c, '}')) {
        do {
            if (*n == max_members)
                return "has too many members";
            if (!read_member(&c, &members[(*n)++], max))
                return c.fault;
        } while (skip(&c, ','));
        if (!skip(&c, '}'))
            return "is a JSON object without an end";
    }
    skip_space(&c);
    return c.p == c.end ? NULL : "goes on behind the JSON object";
}

/* ---- writing ---- */

int json_put(struct zq_buf *out, struct zq_slice s)
{
    int error = zq_buf_append(out, "\"", 1);

    for (size_t i = 0; i < s.n && error == 0; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            error = zq_buf_printf(out, "\\%c", c);
        else if (c < ' ' || c >= 0x7f)
            error = zq_buf_printf(out, "\\u%04x", c);
        else
            error = zq_buf_append(out, &s.p[i], 1);
    }
    return error == 0 ? zq_buf_append(out, "\"", 1) : error;
}
