#include "cache/coded.h"

#include "cache/coder.h"
#include "cache/coding.h"
#include "cache/entry.h"
#include "cache/policy.h"
#include "cache/store.h"

/* ---- the head that came ---- */

static bool is_large_enough(const struct zq_cache *cache, const struct zq_cache_response *r)
{
    bool is_known = r->content_length >= 0 && r->status != 206 && r->status != 304;

    return !is_known || (uint64_t)r->content_length >= zq_coder_rules(cache->coder)->min_bytes;
}

/* By a request without credentials; a 206 and a 304 as the 200 that they stand for. */
static bool may_be_stored(const struct zq_cache *cache, const struct zq_cache_response *r,
                          int64_t now_ms, time_t now)
{
    const struct zq_policy_exchange x = {
        .status = r->status == 206 || r->status == 304 ? 200 : r->status,
        .response = r->fields,
        .request_ms = now_ms,
        .response_ms = now_ms,
        .now = now,
        .rules = cache->rules,
    };
    struct zq_freshness freshness;

    return zq_policy_judge(&x, &freshness) == ZQ_POLICY_STORABLE;
}

bool zq_coded_concerns(const struct zq_cache *cache, const struct zq_cache_response *r,
                       int64_t now_ms, time_t now)
{
    /* What must not be stored of a response would have to be told from what is added to it. */
    return cache->coder != NULL && r->status != 204 && is_large_enough(cache, r) &&
           zq_coding_suits(r->fields) && !zq_cache_control_names(r->fields, ZQ_SLICE("vary")) &&
           may_be_stored(cache, r, now_ms, now);
}

int zq_coded_add_vary(struct zq_cache_response *response, struct zq_buf *buf)
{
    const struct zq_slice line = ZQ_SLICE(ZQ_CODING_VARY);

    if (zq_buf_append(buf, response->block.p, response->block.n) < 0 ||
        zq_buf_append(buf, line.p, line.n) < 0)
        return ZQ_ENOMEM;
    response->block = zq_slice(zq_buf_data(buf), buf->n);
    return 0;
}

/* ---- life ---- */

static void body_free(struct zq_cache *cache, struct zq_coded_body *body)
{
    zq_segments_free(cache, body->first);
    zq_store_free(cache, body, sizeof(*body));
}

static void head_free(struct zq_cache *cache, struct zq_coded_head *head)
{
    zq_store_free(cache, head, sizeof(*head) + head->room);
}

void zq_coded_fini(struct zq_cache *cache, struct zq_coded *coded)
{
    for (int i = 0; i < ZQ_CODING_COUNT; i++) {
        struct zq_coded_body *body = atomic_load_explicit(&coded->bodies[i], memory_order_acquire);
        struct zq_coded_head *head = atomic_load_explicit(&coded->heads[i], memory_order_acquire);
        if (body != NULL) {
            atomic_fetch_sub_explicit(&cache->compressed, 1, memory_order_relaxed);
            atomic_fetch_sub_explicit(&cache->compressed_bytes, body->n, memory_order_relaxed);
            body_free(cache, body);
        }
        if (head != NULL)
            head_free(cache, head);
    }
}

bool zq_coded_publish(struct zq_cache *cache, struct zq_coded *coded, enum zq_coding coding,
                      struct zq_slice content)
{
    struct zq_coded_body *body = zq_store_alloc(cache, sizeof(*body));

    if (body == NULL)
        return false;
    *body = (struct zq_coded_body){.n = content.n, .first = zq_segments_of(cache, content)};
    if (body->first == NULL) {
        zq_store_free(cache, body, sizeof(*body));
        return false;
    }
    atomic_store_explicit(&coded->bodies[coding], body, memory_order_release);
    atomic_fetch_add_explicit(&cache->compressed_bytes, body->n, memory_order_relaxed);
    atomic_fetch_add_explicit(&cache->compressed, 1, memory_order_release);
    return true;
}

/* ---- looking ---- */

static const struct zq_coded_body *body_of(const struct zq_entry *entry, enum zq_coding coding)
{
    const struct zq_entry *owner = zq_entry_owner(entry);

    if (!entry->may_be_coded || !owner->may_be_coded)
        return NULL;
    return atomic_load_explicit(&zq_entry_coded(owner)->bodies[coding], memory_order_acquire);
}

uint64_t zq_coded_bytes(const struct zq_entry *entry, enum zq_coding coding)
{
    const struct zq_coded_body *body = body_of(entry, coding);

    return body != NULL ? body->n : 0;
}

static struct zq_coded_head *head_new(const struct zq_entry *entry, enum zq_coding coding)
{
    size_t room = zq_coding_block_bound(entry->block);
    struct zq_coded_head *head = zq_store_alloc(entry->cache, sizeof(*head) + room);

    if (head == NULL)
        return NULL;
    head->room = (uint32_t)room;
    head->n = (uint32_t)zq_coding_block(head->data, entry->block, coding);
    return head;
}

/* Several hits may make it at once; the first counts. */
static const struct zq_coded_head *head_of(const struct zq_entry *entry, enum zq_coding coding)
{
    _Atomic(struct zq_coded_head *) *place = &zq_entry_coded(entry)->heads[coding];
    struct zq_coded_head *there = atomic_load_explicit(place, memory_order_acquire), *made;

    if (there != NULL || (made = head_new(entry, coding)) == NULL)
        return there;
    if (atomic_compare_exchange_strong_explicit(place, &there, made, memory_order_acq_rel,
                                                memory_order_acquire))
        return made;
    head_free(entry->cache, made);
    return there;
}

static bool use(struct zq_reader *reader, enum zq_coding coding)
{
    const struct zq_coded_body *body = body_of(reader->entry, coding);
    const struct zq_coded_head *head = body != NULL ? head_of(reader->entry, coding) : NULL;

    if (head == NULL)
        return false;
    reader->body = body;
    reader->head = head;
    return true;
}

static bool takes_any(const struct zq_reader *reader)
{
    return !(reader->traits & ZQ_REQUEST_NO_TRANSFORM) &&
           !((reader->traits & ZQ_REQUEST_SELECTIVE) &&
             zq_fields_find(&reader->request, ZQ_SLICE("range"), NULL) != NULL);
}

void zq_coded_choose(struct zq_reader *reader)
{
    struct zq_entry *entry = reader->entry, *owner = zq_entry_owner(entry);
    struct zq_coder *coder = entry->cache->coder;
    enum zq_coding ranked[ZQ_CODING_COUNT];

    if (coder == NULL || !entry->may_be_coded || !owner->may_be_coded ||
        owner->length < zq_coder_rules(coder)->min_bytes || !takes_any(reader))
        return;
    struct zq_accepted accepted = zq_coding_accepted(&reader->request);
    size_t n = zq_coding_rank(&accepted, zq_coder_rules(coder), ranked);
    size_t i = 0;
    while (i < n && !use(reader, ranked[i]))
        i++;
    if (n > 0 && i > 0)
        zq_coder_ask(coder, entry, ranked[0]);
}
