#include "cache/coding.h"

#include "cache/block.h"
#include "cache/policy.h"
#include "zq/clock.h"

#include <stdio.h>

#define QUALITY_MAX 1000

const char *zq_coding_word(enum zq_coding coding)
{
    static const char *const words[] = {
#define X(name, word) word,
        ZQ_CODINGS(X)
#undef X
    };

    ZQ_ASSERT((size_t)coding < ZQ_ARRAY_SIZE(words));
    return words[coding];
}

int zq_coding_of(struct zq_slice word)
{
    for (int i = 0; i < ZQ_CODING_COUNT; i++)
        if (zq_slice_ieq(word, zq_slice_str(zq_coding_word((enum zq_coding)i))))
            return i;
    return -1;
}

/* ---- responses ---- */

static bool has_prefix(struct zq_slice s, struct zq_slice prefix)
{
    return s.n >= prefix.n && zq_slice_ieq(zq_slice(s.p, prefix.n), prefix);
}

static bool has_suffix(struct zq_slice s, struct zq_slice suffix)
{
    return s.n >= suffix.n && zq_slice_ieq(zq_slice(s.p + s.n - suffix.n, suffix.n), suffix);
}

/* Text, and what is not compressed by itself. */
static bool is_compressible(struct zq_slice type)
{
    static const struct zq_slice types[] = {
#define TYPE(text) {text, sizeof(text) - 1}
        TYPE("application/json"),
        TYPE("application/javascript"),
        TYPE("application/x-javascript"),
        TYPE("application/ecmascript"),
        TYPE("application/xml"),
        TYPE("application/wasm"),
        TYPE("application/x-ndjson"),
        TYPE("application/jsonlines"),
        TYPE("application/graphql"),
        TYPE("application/yaml"),
        TYPE("application/toml"),
        TYPE("application/sql"),
        TYPE("application/rtf"),
        TYPE("application/postscript"),
        TYPE("application/geo+json-seq"),
        TYPE("application/vnd.ms-fontobject"),
        TYPE("font/ttf"),
        TYPE("font/otf"),
        TYPE("image/bmp"),
        TYPE("image/x-icon"),
        TYPE("image/vnd.microsoft.icon"),
#undef TYPE
    };

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(types); i++)
        if (zq_slice_ieq(types[i], type))
            return true;
    return has_prefix(type, ZQ_SLICE("text/")) || has_suffix(type, ZQ_SLICE("+json")) ||
           has_suffix(type, ZQ_SLICE("+xml")) || has_suffix(type, ZQ_SLICE("+text"));
}

/* Its media type without parameters; empty when it has none, or several. */
static struct zq_slice media_type(const struct zq_fields *response)
{
    const struct zq_field *f = zq_fields_find(response, ZQ_SLICE("content-type"), NULL);

    if (f == NULL || zq_fields_find(response, ZQ_SLICE("content-type"), f) != NULL)
        return (struct zq_slice){0};
    const char *end = f->value.n > 0 ? memchr(f->value.p, ';', f->value.n) : NULL;
    size_t n = end != NULL ? (size_t)(end - f->value.p) : f->value.n;
    return zq_slice_trim(zq_slice(f->value.p, n));
}

/* A targeted field says nothing for Cache-Control here: transforming is no matter of caching. */
static bool forbids_transforming(const struct zq_fields *response)
{
    const struct zq_field *f = NULL;
    struct zq_cache_control cc;

    zq_policy_cache_control(response, &cc);
    while ((f = zq_fields_find(response, ZQ_SLICE("cache-control"), f)) != NULL)
        zq_cache_control_add(&cc, f->value);
    return cc.no_transform;
}

static bool has(const struct zq_fields *response, struct zq_slice name)
{
    return zq_fields_find(response, name, NULL) != NULL;
}

bool zq_coding_suits(const struct zq_fields *response)
{
    return !has(response, ZQ_SLICE("content-encoding")) && is_compressible(media_type(response)) &&
           !forbids_transforming(response);
}

bool zq_coding_permitted(const struct zq_fields *response)
{
    return zq_coding_suits(response) && !has(response, ZQ_SLICE("content-range"));
}

bool zq_coding_is_varied(const struct zq_fields *response)
{
    const struct zq_field *f = NULL;

    while ((f = zq_fields_find(response, ZQ_SLICE("vary"), f)) != NULL) {
        struct zq_slice line = f->value, name;
        while (zq_list_next(&line, &name))
            if (zq_slice_ieq(name, ZQ_SLICE("accept-encoding")))
                return true;
    }
    return false;
}

/* ---- Accept-Encoding ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 9110 12.4.2: up to three decimals, at most 1. What is no quality counts as 0. */
static unsigned quality_of(struct zq_slice s)
{
    unsigned q = 0, unit = QUALITY_MAX;

    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return 0;
    q = s.p[0] == '1' ? QUALITY_MAX : 0;
    for (size_t i = 2; i < s.n; i++) {
        if (!is_digit(s.p[i]))
            return 0;
        unit /= 10;
        q += (unsigned)(s.p[i] - '0') * unit;
    }
    return q <= QUALITY_MAX ? q : 0;
}

/* `coding [;q=quality]`: the coding is left in `*member`. */
static unsigned split_quality(struct zq_slice *member)
{
    const char *semicolon = memchr(member->p, ';', member->n);

    if (semicolon == NULL)
        return QUALITY_MAX;
    size_t n = (size_t)(semicolon - member->p);
    struct zq_slice weight = zq_slice_trim(zq_slice(semicolon + 1, member->n - n - 1));
    *member = zq_slice_trim(zq_slice(member->p, n));
    if (!has_prefix(weight, ZQ_SLICE("q=")))
        return 0;
    return quality_of(zq_slice(weight.p + 2, weight.n - 2));
}

/* Behind the codings come the two names that are none of them. */
enum { IDENTITY = ZQ_CODING_COUNT, ANY, NAMES };

static int name_of(struct zq_slice word)
{
    if (zq_slice_eq(word, ZQ_SLICE("*")))
        return ANY;
    if (zq_slice_ieq(word, ZQ_SLICE("identity")))
        return IDENTITY;
    return zq_coding_of(zq_slice_ieq(word, ZQ_SLICE("x-gzip")) ? ZQ_SLICE("gzip") : word);
}

/* Of what is named twice the lower quality counts: a coding that is not wanted does harm, one that
 * is not used does none. */
static void note_member(struct zq_slice member, int quality[NAMES])
{
    int q = (int)split_quality(&member), name = name_of(member);

    if (name >= 0 && (quality[name] < 0 || q < quality[name]))
        quality[name] = q;
}

struct zq_accepted zq_coding_accepted(const struct zq_fields *request)
{
    const struct zq_field *f = NULL;
    int quality[NAMES] = {-1, -1, -1, -1, -1};
    struct zq_accepted out = {.identity = 1};

    while ((f = zq_fields_find(request, ZQ_SLICE("accept-encoding"), f)) != NULL) {
        struct zq_slice line = f->value, member;
        while (zq_list_next(&line, &member))
            note_member(member, quality);
    }
    for (int i = 0; i < ZQ_CODING_COUNT; i++) {
        int q = quality[i] >= 0 ? quality[i] : quality[ANY];
        out.codings[i] = q > 0 ? (unsigned)q : 0;
    }
    /* Acceptable unless excluded, but nobody who names codings prefers none to them without saying
     * so. */
    int q = quality[IDENTITY] >= 0 ? quality[IDENTITY] : quality[ANY];
    if (q >= 0)
        out.identity = (unsigned)q;
    return out;
}

size_t zq_coding_rank(const struct zq_accepted *accepted, const struct zq_coding_rules *rules,
                      enum zq_coding out[ZQ_CODING_COUNT])
{
    size_t n = 0;

    for (size_t i = 0; i < rules->n; i++) {
        unsigned q = accepted->codings[rules->codings[i]];
        size_t at = n;
        if (q == 0 || q < accepted->identity)
            continue;
        for (; at > 0 && accepted->codings[out[at - 1]] < q; at--)
            out[at] = out[at - 1];
        out[at] = rules->codings[i];
        n++;
    }
    return n;
}

/* ---- heads ---- */

/* What was said of the bytes without a coding (RFC 9530, RFC 3230, RFC 1864), and that they can be
 * had in ranges: those are of the bytes without a coding, too. */
static bool is_about_bytes(struct zq_slice name)
{
    static const struct zq_slice names[] = {
        {"content-digest", 14}, {"repr-digest", 11},   {"digest", 6},
        {"content-md5", 11},    {"accept-ranges", 13},
    };

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(names); i++)
        if (zq_slice_ieq(name, names[i]))
            return true;
    return false;
}

#define DATE_TAG_BYTES 48 /* of `ETag: W/"…"` with a number */

size_t zq_coding_block_bound(struct zq_slice block)
{
    return block.n + sizeof("W/") + sizeof("Content-Encoding: gzip\r\n") + DATE_TAG_BYTES;
}

/* What is no tag does not go out again. */
static char *put_weak_tag(char *to, struct zq_slice tag)
{
    bool weak = tag.n > 2 && memcmp(tag.p, "W/\"", 3) == 0;

    if (!weak && !has_prefix(tag, ZQ_SLICE("\"")))
        return to;
    to = zq_put(to, weak ? ZQ_SLICE("ETag: ") : ZQ_SLICE("ETag: W/"));
    return zq_put(zq_put(to, tag), ZQ_SLICE("\r\n"));
}

static char *put_date_tag(char *to, struct zq_slice last_modified)
{
    time_t date;

    if (zq_date_parse(last_modified, &date) < 0)
        return to;
    return to + snprintf(to, DATE_TAG_BYTES, "ETag: W/\"%llx\"\r\n", (unsigned long long)date);
}

size_t zq_coding_block(char *to, struct zq_slice block, enum zq_coding coding)
{
    struct zq_slice lines = zq_block_lines(block), value;
    struct zq_block_line line;
    char *p = zq_put(to, zq_slice(block.p, block.n - lines.n));
    bool tagged = false;

    while (zq_block_next(&lines, &line)) {
        bool is_tag = zq_slice_ieq(line.name, ZQ_SLICE("etag"));
        if (is_tag && !tagged)
            p = put_weak_tag(p, line.value);
        else if (!is_tag && !is_about_bytes(line.name))
            p = zq_put(p, line.whole);
        tagged |= is_tag;
    }
    if (!tagged && zq_block_find(block, ZQ_SLICE("last-modified"), &value))
        p = put_date_tag(p, value);
    p = zq_put(p, ZQ_SLICE("Content-Encoding: "));
    p = zq_put(p, zq_slice_str(zq_coding_word(coding)));
    p = zq_put(p, ZQ_SLICE("\r\n"));
    ZQ_ASSERT((size_t)(p - to) <= zq_coding_block_bound(block));
    return (size_t)(p - to);
}
