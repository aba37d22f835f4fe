#include "cache/pattern.h"

#include "cache/alloc.h"
#include "cache/key.h"

/* ---- URLs ---- */

static bool is_scheme_char(char c)
{
    c = zq_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

bool zq_url_parse(struct zq_slice text, struct zq_url *out)
{
    size_t scheme = 0;

    while (scheme < text.n && is_scheme_char(text.p[scheme]))
        scheme++;
    if (scheme == 0 || text.n - scheme < 4 || memcmp(text.p + scheme, "://", 3) != 0)
        return false;
    size_t end = scheme + 3;
    while (end < text.n && text.p[end] != '/' && text.p[end] != '?')
        end++;
    *out = (struct zq_url){
        .scheme = zq_slice(text.p, scheme),
        .host = zq_slice(text.p + scheme + 3, end - scheme - 3),
        .target = zq_slice(text.p + end, text.n - end),
    };
    if (out->target.n == 0)
        out->target = ZQ_SLICE("/");
    return out->host.n > 0 && memchr(out->host.p, '@', out->host.n) == NULL;
}

struct zq_url zq_url_of_key(struct zq_slice key)
{
    const char *end = key.p + key.n;
    const char *host = memchr(key.p, '\n', key.n);
    ZQ_ASSERT(host != NULL);
    const char *target = memchr(host + 1, '\n', (size_t)(end - host - 1));
    ZQ_ASSERT(target != NULL);
    return (struct zq_url){
        .scheme = zq_slice(key.p, (size_t)(host - key.p)),
        .host = zq_slice(host + 1, (size_t)(target - host - 1)),
        .target = zq_slice(target + 1, (size_t)(end - target - 1)),
    };
}

/* ---- what may be asked for ---- */

const char *zq_purge_word(enum zq_purge_kind kind)
{
    static const char *const words[] = {
#define X(name, word) word,
        ZQ_PURGES(X)
#undef X
    };

    ZQ_ASSERT((size_t)kind < ZQ_ARRAY_SIZE(words));
    return words[kind];
}

static const char *tag_fault(struct zq_slice tag)
{
    if (tag.n > ZQ_TAG_MAX)
        return "is longer than any tag";
    return memchr(tag.p, ',', tag.n) != NULL ? "holds a comma, which no tag does" : NULL;
}

/* Is `glob`, as far as its first star, the beginning of something that begins with `scheme`? */
static bool may_begin_with(struct zq_slice glob, struct zq_slice scheme)
{
    const char *star = memchr(glob.p, '*', glob.n);
    size_t n = star != NULL ? (size_t)(star - glob.p) : glob.n;

    if (star == NULL && n <= scheme.n)
        return false;
    n = n < scheme.n ? n : scheme.n;
    return zq_slice_ieq(zq_slice(glob.p, n), zq_slice(scheme.p, n));
}

static bool may_be_absolute(struct zq_slice glob)
{
    return may_begin_with(glob, ZQ_SLICE("http://")) || may_begin_with(glob, ZQ_SLICE("https://"));
}

static const char *place_fault(const struct zq_purge *purge)
{
    struct zq_url url;

    if (memchr(purge->text.p, '#', purge->text.n) != NULL)
        return "has a fragment, which is never part of a request";
    if (purge->text.p[0] == '/')
        return NULL;
    if (purge->kind == ZQ_PURGE_GLOB)
        return may_be_absolute(purge->text)
                   ? NULL
                   : "matches no URL: it begins neither with / nor with http:// or https:// nor "
                     "with *";
    return zq_url_parse(purge->text, &url) && may_be_absolute(purge->text)
               ? NULL
               : "is neither absolute (http://host/path) nor a path (/path)";
}

const char *zq_purge_fault(const struct zq_purge *purge)
{
    const struct zq_slice text = purge->text;

    if ((unsigned)purge->kind >= ZQ_PURGE_COUNT)
        return "is of no known kind";
    if (purge->kind == ZQ_PURGE_ALL)
        return text.n > 0 ? "takes no text" : NULL;
    if (text.n == 0)
        return "is empty";
    if (text.n > ZQ_PURGE_TEXT_MAX)
        return "is too long";
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f)
            return "holds a space or a control character";
    return purge->kind == ZQ_PURGE_TAG ? tag_fault(text) : place_fault(purge);
}

/* ---- making ---- */

/* What no request line can hold is escaped there. */
static size_t write_escaped(char *to, struct zq_slice text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *p = to;

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < 0x80) {
            *p++ = (char)c;
        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }
    return (size_t)(p - to);
}

/* A glob's scheme and host in lower case, and its escapes in upper, as keys have them. */
static size_t write_glob(char *to, struct zq_slice text)
{
    size_t n = zq_key_write(to, (struct zq_slice){0}, (struct zq_slice){0}, text) - 2;

    memmove(to, to + 2, n);
    for (size_t i = 0; i + 2 < n && to[0] != '/'; i++) {
        if (memcmp(to + i, "://", 3) != 0)
            continue;
        for (size_t k = 0; k < n && (k < i + 3 || to[k] != '/'); k++)
            to[k] = zq_lower(to[k]);
        break;
    }
    return n;
}

static size_t write_text(char *to, const struct zq_pattern *pattern, struct zq_slice text)
{
    struct zq_url url;

    if (pattern->kind == ZQ_PURGE_GLOB)
        return write_glob(to, text);
    if (pattern->any_host) {
        size_t n = zq_key_write(to, (struct zq_slice){0}, (struct zq_slice){0}, text) - 2;
        memmove(to, to + 2, n);
        return n;
    }
    ZQ_ASSERT(zq_url_parse(text, &url));
    return zq_key_write(to, url.scheme, url.host, url.target);
}

struct zq_pattern *zq_pattern_new(const struct zq_purge *purge)
{
    char escaped[3 * ZQ_PURGE_TEXT_MAX];
    size_t n = write_escaped(escaped, purge->text), bound = sizeof(struct zq_pattern) + n + 4;
    struct zq_pattern *pattern = zq_cache_alloc(bound);

    if (pattern == NULL)
        return NULL;
    *pattern = (struct zq_pattern){.kind = purge->kind, .any_host = escaped[0] == '/'};
    zq_list_init(&pattern->node);
    pattern->n = write_text(pattern->text, pattern, zq_slice(escaped, n));
    ZQ_ASSERT(sizeof(struct zq_pattern) + pattern->n <= bound);
    return pattern;
}

void zq_pattern_free(struct zq_pattern *pattern)
{
    zq_cache_dealloc(NULL, pattern, sizeof(*pattern));
}

/* ---- comparing ---- */

/* A key is read as `scheme://host/path`, without copying it; or its target alone. */
static bool glob_matches(const struct zq_pattern *pattern, const struct zq_url *key)
{
    const struct zq_slice text = zq_slice(pattern->text, pattern->n);
    const struct zq_slice pieces[] = {key->scheme, ZQ_SLICE("://"), key->host, key->target};

    return pattern->any_host ? zq_glob(text, &key->target, 1)
                             : zq_glob(text, pieces, ZQ_ARRAY_SIZE(pieces));
}

bool zq_pattern_match(const struct zq_pattern *pattern, struct zq_slice key)
{
    struct zq_slice text = zq_slice(pattern->text, pattern->n), against = key;
    struct zq_url url = zq_url_of_key(key);

    if (pattern->kind == ZQ_PURGE_GLOB)
        return glob_matches(pattern, &url);
    if (pattern->any_host)
        against = url.target;
    if (against.n < text.n || (pattern->kind == ZQ_PURGE_URL && against.n != text.n))
        return false;
    return memcmp(against.p, text.p, text.n) == 0;
}
