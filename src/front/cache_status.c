#include "front/cache_status.h"

/* ---- the value ---- */

static char *put_seconds(char *to, int64_t s)
{
    if (s < 0)
        *to++ = '-';
    return zq_put_number(to, s < 0 ? 0 - (uint64_t)s : (uint64_t)s);
}

static struct zq_slice hit(const struct zq_entry_info *info, char out[CACHE_STATUS_SIZE])
{
    char *to = put_seconds(zq_put(out, ZQ_SLICE("zq; hit; ttl=")), info->remaining_s);

    to = zq_put(to, info->remaining_s > 0 ? ZQ_SLICE("") : ZQ_SLICE("; detail=stale"));
    return zq_slice(out, (size_t)(to - out));
}

struct zq_slice cache_status(enum zq_cache_verdict verdict, enum zq_cache_forward forward,
                             const struct zq_entry_info *info, const char *maker,
                             char out[CACHE_STATUS_SIZE])
{
    bool timed = info != NULL && (info->stored || info->had_content);

    if (verdict == ZQ_CACHE_HIT)
        return hit(info, out);
    bool for_error = timed && info->stands_in;
    char *to = zq_put_text(zq_put(out, ZQ_SLICE("zq; fwd=")), zq_cache_forward_word(forward));
    if (timed && info->stored)
        to = zq_put(to, ZQ_SLICE("; stored"));
    if (timed && info->had_content && !for_error)
        to = zq_put(to, ZQ_SLICE("; fwd-status=304"));
    if (verdict == ZQ_CACHE_JOIN)
        to = zq_put(to, ZQ_SLICE("; collapsed"));
    if (timed)
        to = put_seconds(zq_put(to, ZQ_SLICE("; ttl=")), info->remaining_s);
    to = zq_put_text(zq_put(to, ZQ_SLICE("; detail=")), for_error ? "stale-if-error" : maker);
    return zq_slice(out, (size_t)(to - out));
}

/* ---- the key ---- */

/* RFC 8941 3.3.3: printable ASCII, with a backslash before a quotation mark or another. What is not
 * printable is escaped as in a URL. A key's parts end with line feeds: scheme, host, and the rest.
 */
static char *put_key(char *to, struct zq_slice key)
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned parts = 0;

    for (size_t i = 0; i < key.n; i++) {
        unsigned char c = (unsigned char)key.p[i];
        if (c == '\n' && parts < 2) {
            to = parts++ == 0 ? zq_put(to, ZQ_SLICE("://")) : to;
        } else if (c < ' ' || c > '~') {
            *to++ = '%';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        } else {
            if (c == '"' || c == '\\')
                *to++ = '\\';
            *to++ = (char)c;
        }
    }
    return to;
}

struct zq_slice cache_status_keyed(struct zq_slice value, struct zq_slice key,
                                   struct zq_arena *arena)
{
    char *text = zq_arena_alloc(arena, value.n + sizeof("; key=\"\"") + 3 * key.n);

    if (text == NULL)
        return value;
    char *to = put_key(zq_put(zq_put(text, value), ZQ_SLICE("; key=\"")), key);
    *to++ = '"';
    return zq_slice(text, (size_t)(to - text));
}
