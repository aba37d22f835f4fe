/* The cache's key.
 *
 * Input: lines: scheme, host, target; and the same once more.
 *
 * Invariants: two requests have one key exactly if schemes and hosts are equal but for case and the
 * scheme's default port, and targets are equal but for the case of the digits of escapes; the key
 * of a key's parts is the key. */
#include "support/fuzz.h"

#include "cache/key.h"

struct parts {
    struct zq_slice scheme, host, target;
};

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (zq_lower(c) >= 'a' && zq_lower(c) <= 'f');
}

/* ---- what may be folded, said once more ---- */

static bool same_target(struct zq_slice a, struct zq_slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (a.p[i] != b.p[i])
            return false;
        if (a.p[i] != '%' || i + 2 >= a.n || !is_hex(a.p[i + 1]) || !is_hex(a.p[i + 2]))
            continue;
        if (!zq_slice_ieq(zq_slice(a.p + i, 3), zq_slice(b.p + i, 3)))
            return false;
        i += 2;
    }
    return true;
}

/* Up to the port, where that is the default. `::80` is no port, `[::]:80` is. */
static struct zq_slice host_of(const struct parts *p)
{
    const char *port = zq_slice_ieq(p->scheme, ZQ_SLICE("http"))    ? ":80"
                       : zq_slice_ieq(p->scheme, ZQ_SLICE("https")) ? ":443"
                                                                    : "";
    size_t n = strlen(port), colons = 0;
    if (n == 0 || p->host.n <= n || memcmp(p->host.p + p->host.n - n, port, n) != 0)
        return p->host;
    struct zq_slice name = zq_slice(p->host.p, p->host.n - n);
    for (size_t i = 0; i < name.n; i++)
        colons += name.p[i] == ':';
    return colons == 0 || name.p[name.n - 1] == ']' ? name : p->host;
}

static bool same(const struct parts *a, const struct parts *b)
{
    return zq_slice_ieq(a->scheme, b->scheme) && zq_slice_ieq(host_of(a), host_of(b)) &&
           same_target(a->target, b->target);
}

/* ---- the checks ---- */

static struct zq_slice key_of(struct zq_buf *out, const struct parts *p)
{
    size_t bound = zq_key_bound(p->scheme, p->host, p->target);
    char *written = malloc(bound);
    FUZZ_CHECK(written != NULL);
    size_t n = zq_key_write(written, p->scheme, p->host, p->target);
    FUZZ_CHECK(n <= bound);
    FUZZ_CHECK(zq_cache_key(out, p->scheme, p->host, p->target) == 0 && out->n == n);
    FUZZ_CHECK(memcmp(zq_buf_data(out), written, n) == 0);
    free(written);
    return zq_slice(zq_buf_data(out), out->n);
}

static void check_again(struct zq_slice key)
{
    struct fuzz_input in = {key.p, key.n};
    struct parts p = {.scheme = fuzz_until(&in, '\n'), .host = fuzz_until(&in, '\n')};
    struct zq_buf out = {0};
    p.target = zq_slice(in.p, in.n);
    /* `a:80:80` is a host nowhere; folding it twice would take both. */
    struct zq_slice again = key_of(&out, &p);
    if (host_of(&p).n == p.host.n)
        FUZZ_CHECK(zq_slice_eq(again, key));
    zq_buf_fini(&out);
}

static struct parts read_parts(struct fuzz_input *in)
{
    struct parts p;
    p.scheme = fuzz_copy(fuzz_until(in, '\n'));
    p.host = fuzz_copy(fuzz_until(in, '\n'));
    p.target = fuzz_copy(fuzz_until(in, '\n'));
    return p;
}

static void free_parts(struct parts *p)
{
    free((char *)(uintptr_t)p->scheme.p);
    free((char *)(uintptr_t)p->host.p);
    free((char *)(uintptr_t)p->target.p);
}

/* With every letter that may be folded in the other case. */
static void check_folded(const struct parts *p, struct zq_slice key)
{
    struct parts q = {fuzz_copy(p->scheme), fuzz_copy(p->host), fuzz_copy(p->target)};
    struct zq_buf out = {0};
    char *host = (char *)(uintptr_t)q.host.p, *target = (char *)(uintptr_t)q.target.p;
    for (size_t i = 0; i < q.host.n; i++)
        host[i] = zq_lower(host[i]);
    for (size_t i = 0; i + 2 < q.target.n; i++)
        if (target[i] == '%' && is_hex(target[i + 1]) && is_hex(target[i + 2])) {
            target[i + 1] = zq_lower(target[i + 1]);
            target[i + 2] = zq_lower(target[i + 2]);
            i += 2;
        }
    FUZZ_CHECK(zq_slice_eq(key_of(&out, &q), key));
    zq_buf_fini(&out);
    free_parts(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    struct parts a = read_parts(&in), b = read_parts(&in);
    struct zq_buf x = {0}, y = {0};
    struct zq_slice key = key_of(&x, &a), other = key_of(&y, &b);
    FUZZ_CHECK(zq_slice_eq(key, other) == same(&a, &b));
    check_again(key);
    check_folded(&a, key);
    zq_buf_fini(&x);
    zq_buf_fini(&y);
    free_parts(&a);
    free_parts(&b);
    return 0;
}
