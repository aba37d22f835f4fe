#include "cache/tags.h"

#include "cache/entry.h"
#include "cache/store.h"

#include <stdlib.h>

#define FORGET_MAX 64 /* tags looked at when a fetch has ended */

/* ---- the table; purges locked ---- */

static size_t tag_bytes(size_t n)
{
    return sizeof(struct zq_tag) + n;
}

static struct zq_tag **bucket_of(const struct zq_tag_table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->n_buckets - 1)];
}

static struct zq_tag *find(const struct zq_tag_table *table, struct zq_slice name, uint64_t hash)
{
    struct zq_tag *tag = *bucket_of(table, hash);

    while (tag != NULL && !(tag->hash == hash && zq_slice_eq(zq_slice(tag->name, tag->n), name)))
        tag = tag->next;
    return tag;
}

static void take(struct zq_tag_table *table, struct zq_tag *tag)
{
    if (tag->refs++ == 0 && !zq_list_empty(&tag->kept)) {
        zq_list_remove(&tag->kept);
        table->kept_bytes -= tag_bytes(tag->n);
    }
}

static void forget(struct zq_cache *cache, struct zq_tag *tag)
{
    struct zq_tag_table *table = &cache->purges.tags;
    struct zq_tag **at = bucket_of(table, tag->hash);
    size_t bytes = tag_bytes(tag->n);

    if (!zq_list_empty(&tag->kept)) {
        zq_list_remove(&tag->kept);
        table->kept_bytes -= bytes;
    }
    while (*at != tag)
        at = &(*at)->next;
    *at = tag->next;
    table->n--;
    zq_store_free(cache, tag, bytes);
}

/* Could a fetch that is under way bring it, and have to know of its purge? */
static bool matters(const struct zq_purges *purges, const struct zq_tag *tag)
{
    const struct zq_purged *purged = &tag->purged;
    uint64_t last = purged->hard > purged->soft ? purged->hard : purged->soft;

    if (last == 0 || zq_list_empty(&purges->running))
        return false;
    return ZQ_CONTAINER(purges->running.next, struct zq_entry, queued)->born < last;
}

static void keep_or_forget(struct zq_cache *cache, struct zq_tag *tag)
{
    struct zq_purges *purges = &cache->purges;
    struct zq_tag_table *table = &purges->tags;

    if (!matters(purges, tag)) {
        forget(cache, tag);
        return;
    }
    zq_list_append(&table->kept, &tag->kept);
    table->kept_bytes += tag_bytes(tag->n);
    if (table->kept_bytes <= table->kept_bytes_max)
        return;
    purges->forgotten = atomic_load_explicit(&purges->number, memory_order_relaxed);
    while (!zq_list_empty(&table->kept))
        forget(cache, ZQ_CONTAINER(table->kept.next, struct zq_tag, kept));
}

void zq_tags_fini(struct zq_cache *cache)
{
    struct zq_tag_table *table = &cache->purges.tags;

    while (!zq_list_empty(&table->kept))
        forget(cache, ZQ_CONTAINER(table->kept.next, struct zq_tag, kept));
    ZQ_ASSERT(table->n == 0);
    free(table->buckets);
}

void zq_tags_forget(struct zq_cache *cache)
{
    struct zq_purges *purges = &cache->purges;

    ZQ_LOCK_HELD(&purges->lock);
    for (int i = 0; i < FORGET_MAX && !zq_list_empty(&purges->tags.kept); i++) {
        struct zq_tag *tag = ZQ_CONTAINER(purges->tags.kept.next, struct zq_tag, kept);
        if (matters(purges, tag))
            return;
        forget(cache, tag);
    }
}

/* ---- one tag ---- */

static struct zq_tag *tag_new(struct zq_cache *cache, struct zq_slice name, uint64_t hash)
{
    struct zq_tag *tag = zq_store_alloc(cache, tag_bytes(name.n));

    if (tag == NULL)
        return NULL;
    *tag = (struct zq_tag){.hash = hash, .n = (uint32_t)name.n};
    zq_list_init(&tag->kept);
    memcpy(tag->name, name.p, name.n);
    return tag;
}

static struct zq_tag *find_and_take(struct zq_purges *purges, struct zq_slice name, uint64_t hash)
{
    zq_lock_take(&purges->lock);
    struct zq_tag *tag = find(&purges->tags, name, hash);
    if (tag != NULL)
        take(&purges->tags, tag);
    zq_lock_give(&purges->lock);
    return tag;
}

/* Puts a new tag in, with a reference, unless another thread was quicker. */
static struct zq_tag *insert(struct zq_cache *cache, struct zq_tag *new)
{
    struct zq_purges *purges = &cache->purges;

    zq_lock_take(&purges->lock);
    struct zq_tag *tag = find(&purges->tags, zq_slice(new->name, new->n), new->hash);
    if (tag == NULL) {
        struct zq_tag **bucket = bucket_of(&purges->tags, new->hash);
        new->next = *bucket;
        *bucket = tag = new;
        purges->tags.n++;
    }
    take(&purges->tags, tag);
    zq_lock_give(&purges->lock);
    if (tag != new)
        zq_store_free(cache, new, tag_bytes(new->n));
    return tag;
}

struct zq_tag *zq_tag_get(struct zq_cache *cache, struct zq_slice name)
{
    uint64_t hash = zq_hash(name.p, name.n);
    struct zq_tag *tag = find_and_take(&cache->purges, name, hash);

    if (tag == NULL && (tag = tag_new(cache, name, hash)) != NULL)
        tag = insert(cache, tag);
    return tag;
}

void zq_tag_unref(struct zq_cache *cache, struct zq_tag *tag)
{
    zq_lock_take(&cache->purges.lock);
    if (--tag->refs == 0)
        keep_or_forget(cache, tag);
    zq_lock_give(&cache->purges.lock);
}

/* ---- a response's ---- */

static bool is_separator(char c, bool by_comma)
{
    return c == ' ' || c == '\t' || (by_comma && c == ',');
}

/* Takes the next name off `*list`. A space ends one in both fields: none holds any. */
static bool next_name(struct zq_slice *list, bool by_comma, struct zq_slice *name)
{
    while (list->n > 0 && is_separator(list->p[0], by_comma)) {
        list->p++;
        list->n--;
    }
    size_t n = 0;
    while (n < list->n && !is_separator(list->p[n], by_comma))
        n++;
    *name = zq_slice(list->p, n);
    list->p += n;
    list->n -= n;
    return n > 0;
}

static size_t tags_bytes(size_t size)
{
    return sizeof(struct zq_tags) + size * sizeof(struct zq_tag *);
}

static struct zq_tags *tags_new(struct zq_cache *cache, size_t size)
{
    struct zq_tags *tags = zq_store_alloc(cache, tags_bytes(size));

    if (tags != NULL)
        *tags = (struct zq_tags){.size = size};
    return tags;
}

static int add(struct zq_cache *cache, struct zq_tags *tags, struct zq_slice name)
{
    struct zq_tag *tag = zq_tag_get(cache, name);

    if (tag == NULL)
        return ZQ_ENOMEM;
    for (size_t i = 0; i < tags->n; i++)
        if (tags->v[i] == tag) {
            zq_tag_unref(cache, tag);
            return 0;
        }
    tags->v[tags->n++] = tag;
    return 0;
}

/* Calls for every name of the two fields: counts them with `tags` NULL, else adds them. */
static int walk(struct zq_cache *cache, const struct zq_fields *response, struct zq_tags *tags,
                size_t *count)
{
    int error = 0;

    *count = 0;
    for (size_t i = 0; i < response->n; i++) {
        bool by_comma = zq_slice_ieq(response->v[i].name, ZQ_SLICE("cache-tag"));
        struct zq_slice list = response->v[i].value, name;
        if (!by_comma && !zq_slice_ieq(response->v[i].name, ZQ_SLICE("surrogate-key")))
            continue;
        while (error == 0 && next_name(&list, by_comma, &name)) {
            if (++*count > ZQ_TAGS_MAX || name.n > ZQ_TAG_MAX)
                error = ZQ_ELIMIT;
            else if (tags != NULL)
                error = add(cache, tags, name);
        }
    }
    return error;
}

int zq_tags_of(struct zq_cache *cache, const struct zq_fields *response, struct zq_tags **out)
{
    size_t count;
    int error = walk(cache, response, NULL, &count);

    *out = NULL;
    if (error < 0 || count == 0)
        return error;
    *out = tags_new(cache, count);
    if (*out == NULL)
        return ZQ_ENOMEM;
    error = walk(cache, response, *out, &count);
    if (error < 0) {
        zq_tags_free(cache, *out);
        *out = NULL;
    }
    return error;
}

void zq_tags_free(struct zq_cache *cache, struct zq_tags *tags)
{
    if (tags == NULL)
        return;
    for (size_t i = 0; i < tags->n; i++)
        zq_tag_unref(cache, tags->v[i]);
    zq_store_free(cache, tags, tags_bytes(tags->size));
}

size_t zq_tags_count(const struct zq_tags *tags)
{
    return tags != NULL ? tags->n : 0;
}

struct zq_slice zq_tags_at(const struct zq_tags *tags, size_t i)
{
    return zq_slice(tags->v[i]->name, tags->v[i]->n);
}
