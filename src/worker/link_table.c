/* The streams of a link, by their numbers. */
#include "worker/link.h"

#define BUCKETS_AT_FIRST 64u

static struct zq_stream **bucket(const struct zq_link *link, uint32_t id)
{
    return &link->table[id & (link->n_buckets - 1)];
}

static int grow_table(struct zq_link *link)
{
    size_t n = link->n_buckets ? 2 * link->n_buckets : BUCKETS_AT_FIRST, old_n = link->n_buckets;
    struct zq_stream **old = link->table, **table = PyMem_Calloc(n, sizeof(*table));

    if (table == NULL)
        return ZQ_ENOMEM;
    link->table = table;
    link->n_buckets = n;
    for (size_t i = 0; i < old_n; i++)
        for (struct zq_stream *s = old[i], *next; s != NULL; s = next) {
            struct zq_stream **to = bucket(link, s->id);
            next = s->next;
            s->next = *to;
            *to = s;
        }
    PyMem_Free(old);
    return 0;
}

int zq_link_add(struct zq_link *link, struct zq_stream *s)
{
    if (link->n_streams >= link->n_buckets && grow_table(link) < 0)
        return ZQ_ENOMEM;
    struct zq_stream **to = bucket(link, s->id);
    s->next = *to;
    *to = s;
    link->n_streams++;
    Py_INCREF(s->owner);
    return 0;
}

void zq_link_remove(struct zq_link *link, struct zq_stream *s)
{
    struct zq_stream **at = bucket(link, s->id);

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    s->next = NULL;
    s->link = NULL;
    zq_list_remove(&s->held);
    link->n_streams--;
}

struct zq_stream *zq_link_find(const struct zq_link *link, uint32_t id)
{
    struct zq_stream *s = link->n_buckets ? *bucket(link, id) : NULL;

    while (s != NULL && s->id != id)
        s = s->next;
    return s;
}
