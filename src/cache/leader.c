/* The request that an entry is for. While its reader is attached it lends its fields; when it
 * leaves others waiting for the head, they are copied, for the head is judged by them. */
#include "cache/entry.h"
#include "cache/store.h"

static bool is_left_out(const struct zq_field *field, bool anonymous)
{
    return anonymous && (zq_slice_eq(field->name, ZQ_SLICE("cookie")) ||
                         zq_slice_eq(field->name, ZQ_SLICE("authorization")));
}

static size_t copy_bytes(const struct zq_fields *fields, bool anonymous)
{
    size_t bytes = sizeof(struct zq_request_copy);

    for (size_t i = 0; i < fields->n; i++)
        if (!is_left_out(&fields->v[i], anonymous))
            bytes += sizeof(struct zq_field) + fields->v[i].name.n + fields->v[i].value.n;
    return bytes;
}

static struct zq_slice put(char **to, struct zq_slice s)
{
    struct zq_slice copy = zq_slice(*to, s.n);

    if (s.n > 0)
        memcpy(*to, s.p, s.n);
    *to += s.n;
    return copy;
}

static void copy_init(struct zq_request_copy *copy, const struct zq_fields *fields, bool anonymous,
                      size_t bytes)
{
    copy->bytes = bytes;
    copy->fields = (struct zq_fields){.v = copy->v};
    for (size_t i = 0; i < fields->n; i++)
        if (!is_left_out(&fields->v[i], anonymous))
            copy->v[copy->fields.n++] = fields->v[i];
    char *to = (char *)(copy->v + copy->fields.n);
    for (size_t i = 0; i < copy->fields.n; i++) {
        copy->v[i].name = put(&to, copy->v[i].name);
        copy->v[i].value = put(&to, copy->v[i].value);
    }
}

void zq_request_copy_free(struct zq_cache *cache, struct zq_request_copy *copy)
{
    if (copy != NULL)
        zq_store_free(cache, copy, copy->bytes);
}

void zq_entry_lose_leader(struct zq_entry *entry)
{
    const struct zq_fields *request = &entry->leader->request;
    size_t bytes = copy_bytes(request, false);

    ZQ_LOCK_HELD(&entry->lock);
    entry->leader = NULL;
    if (entry->state != ZQ_ENTRY_WAITING || zq_list_empty(&entry->readers))
        return;
    entry->copy = zq_store_try_alloc(entry->cache, bytes);
    if (entry->copy != NULL)
        copy_init(entry->copy, request, false, bytes);
}

bool zq_entry_keep_request(struct zq_entry *entry, const struct zq_fields *request, bool anonymous)
{
    size_t bytes = copy_bytes(request, anonymous);

    entry->copy = zq_store_alloc(entry->cache, bytes);
    if (entry->copy != NULL)
        copy_init(entry->copy, request, anonymous, bytes);
    return entry->copy != NULL;
}

const struct zq_fields *zq_entry_request(const struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->lock);
    if (entry->leader != NULL)
        return &entry->leader->request;
    return entry->state == ZQ_ENTRY_WAITING && entry->copy != NULL ? &entry->copy->fields : NULL;
}
