#include "cache/bypass.h"

#include "cache/store.h"

void zq_bypass_init(struct zq_bypass *bypass)
{
    ZQ_ASSERT(pthread_rwlock_init(&bypass->lock, NULL) == 0);
}

void zq_bypass_fini(struct zq_bypass *bypass)
{
    for (unsigned i = 0; i < bypass->n; i++)
        zq_pattern_free(bypass->v[i]);
    pthread_rwlock_destroy(&bypass->lock);
}

bool zq_bypass_matches(struct zq_bypass *bypass, struct zq_slice key)
{
    bool matches = false;

    if (atomic_load_explicit(&bypass->n, memory_order_acquire) == 0)
        return false;
    pthread_rwlock_rdlock(&bypass->lock);
    for (unsigned i = 0; i < bypass->n && !matches; i++)
        matches = zq_pattern_match(bypass->v[i], key);
    pthread_rwlock_unlock(&bypass->lock);
    return matches;
}

/* ---- the door ---- */

static struct zq_purge glob(struct zq_slice text)
{
    return (struct zq_purge){.kind = ZQ_PURGE_GLOB, .text = text};
}

/* What is not ASCII is kept as an escape (pattern.c). */
const char *zq_bypass_fault(struct zq_slice text)
{
    const struct zq_purge purge = glob(text);
    size_t n = text.n;

    for (size_t i = 0; i < text.n && n <= ZQ_BYPASS_TEXT_MAX; i++)
        n += (unsigned char)text.p[i] >= 0x80 ? 2 : 0;
    return n > ZQ_BYPASS_TEXT_MAX ? "is too long" : zq_purge_fault(&purge);
}

/* Where an equal one is; `n` if there is none. */
static unsigned find(const struct zq_bypass *bypass, const struct zq_pattern *pattern)
{
    unsigned i = 0;

    while (i < bypass->n && !zq_slice_eq(zq_slice(bypass->v[i]->text, bypass->v[i]->n),
                                         zq_slice(pattern->text, pattern->n)))
        i++;
    return i;
}

/* Takes the pattern over where it returns 0 and nothing equal was there. */
static int add(struct zq_bypass *bypass, struct zq_pattern **pattern)
{
    if (find(bypass, *pattern) < bypass->n)
        return 0;
    if (bypass->n == ZQ_BYPASS_MAX)
        return ZQ_ELIMIT;
    bypass->v[bypass->n] = *pattern;
    bypass->n++;
    *pattern = NULL;
    return 0;
}

/* Leaves what it takes out to the caller. */
static int take(struct zq_bypass *bypass, struct zq_pattern **pattern)
{
    unsigned i = find(bypass, *pattern);

    if (i == bypass->n)
        return ZQ_EINVAL;
    struct zq_pattern *found = bypass->v[i];
    for (bypass->n--; i < bypass->n; i++)
        bypass->v[i] = bypass->v[i + 1];
    zq_pattern_free(*pattern);
    *pattern = found;
    return 0;
}

static int change(struct zq_cache *cache, struct zq_slice text,
                  int (*how)(struct zq_bypass *, struct zq_pattern **))
{
    const struct zq_purge purge = glob(text);

    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    if (zq_bypass_fault(text) != NULL)
        return ZQ_EINVAL;
    struct zq_pattern *pattern = zq_pattern_new(&purge);
    if (pattern == NULL)
        return ZQ_ENOMEM;
    pthread_rwlock_wrlock(&cache->bypass.lock);
    int error = how(&cache->bypass, &pattern);
    pthread_rwlock_unlock(&cache->bypass.lock);
    if (pattern != NULL)
        zq_pattern_free(pattern);
    return error;
}

int zq_cache_bypass(struct zq_cache *cache, struct zq_slice text)
{
    return change(cache, text, add);
}

int zq_cache_unbypass(struct zq_cache *cache, struct zq_slice text)
{
    return change(cache, text, take);
}

void zq_cache_bypasses(struct zq_cache *cache, void (*each)(struct zq_slice text, void *argument),
                       void *argument)
{
    struct zq_bypass *bypass = &cache->bypass;

    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    pthread_rwlock_rdlock(&bypass->lock);
    for (unsigned i = 0; i < bypass->n; i++)
        each(zq_slice(bypass->v[i]->text, bypass->v[i]->n), argument);
    pthread_rwlock_unlock(&bypass->lock);
}
