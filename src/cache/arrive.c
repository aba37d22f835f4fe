/* What becomes of a response when its head arrives: as it is, merged with a stored one, or a stored
 * one instead of it. */
#include "cache/alloc.h"
#include "cache/block.h"
#include "cache/coding.h"
#include "cache/entry.h"
#include "cache/store.h"
#include "cache/validate.h"
#include "cache/vary.h"

/* What the head brings, while it is being decided on. */
struct arrival {
    struct zq_cache_response response;
    struct zq_freshness freshness;
    enum zq_policy_verdict verdict;
    bool shareable;    /* joined readers may have it, if they match its Vary */
    bool retained;     /* it is to be stored */
    bool too_large;    /* for that, by its announced length */
    bool fits;         /* the head is in the store */
    bool again;        /* it is of no use to anybody: all ask again */
    bool may_be_coded; /* in a content coding, if it is stored */
    bool stands_in;    /* it is the stored response, for want of another */
    bool varied;       /* so a line was added to the block: */
    struct zq_buf block;
    struct zq_entry *content; /* whose content it has; NULL: its own */
    struct zq_buf vary;
    char
        *head; /* its block, what is withheld, vary, and what is hidden; behind a struct zq_coded */
    size_t head_bytes, withheld, hidden;
};

static int gather_vary(struct zq_entry *entry, struct arrival *a)
{
    int error = 0;

    zq_lock_take(&entry->lock);
    const struct zq_fields *request = zq_entry_request(entry);
    if (request != NULL)
        error = zq_vary_build(&a->vary, a->response.fields, request);
    else
        a->verdict = ZQ_POLICY_VARY; /* nobody knows for which requests it is right */
    zq_lock_give(&entry->lock);
    return error;
}

static int judge(struct zq_entry *entry, struct arrival *a, int64_t now_ms, time_t now)
{
    struct zq_policy_exchange x = {
        .traits = entry->traits,
        .status = a->response.status,
        .response = a->response.fields,
        .request_ms = entry->freshness.response_ms,
        .response_ms = now_ms,
        .now = now,
        .rules = entry->cache->rules,
    };

    a->verdict = zq_policy_judge(&x, &a->freshness);
    if (a->again)
        a->verdict = ZQ_POLICY_STALE;
    int error = a->verdict == ZQ_POLICY_STORABLE ? gather_vary(entry, a) : 0;
    a->shareable = a->verdict == ZQ_POLICY_STORABLE && zq_freshness_is_fresh(&a->freshness, now_ms);
    return error;
}

/* In the store, unless it will not be stored, or there is no room. */
static char *head_alloc(const struct zq_entry *entry, struct arrival *a)
{
    bool wanted = entry->shard != NULL && a->verdict == ZQ_POLICY_STORABLE && a->response.storable;
    char *head = wanted ? zq_store_alloc(entry->cache, a->head_bytes) : NULL;

    a->fits = head != NULL;
    return a->fits ? head : zq_cache_alloc(a->head_bytes);
}

static int copy_head(const struct zq_entry *entry, struct arrival *a)
{
    struct zq_slice block = a->response.block;
    bool storable = a->verdict == ZQ_POLICY_STORABLE;
    size_t coded = a->may_be_coded ? sizeof(struct zq_coded) : 0;

    ZQ_ASSERT(block.n <= UINT32_MAX && a->vary.n <= UINT32_MAX);
    a->hidden = storable ? zq_block_hidden(NULL, a->response.fields) : 0;
    a->head_bytes = coded + block.n + a->vary.n + a->hidden;
    a->head = head_alloc(entry, a);
    if (a->head == NULL)
        return ZQ_ENOMEM;
    memset(a->head, 0, coded);
    a->head += coded;
    if (storable)
        a->withheld = zq_block_part(a->head, block, a->response.fields);
    else
        memcpy(a->head, block.p, block.n);
    if (a->vary.n > 0)
        memcpy(a->head + block.n, zq_buf_data(&a->vary), a->vary.n);
    if (a->hidden > 0)
        zq_block_hidden(a->head + block.n + a->vary.n, a->response.fields);
    return 0;
}

/* Takes its tags and its place in the store; false when it is not to be stored after all. */
static bool retain(struct zq_entry *entry, const struct arrival *a)
{
    struct zq_tags *tags;

    if (!a->fits || zq_tags_of(entry->cache, a->response.fields, &tags) < 0)
        return false;
    if (zq_store_confirm_fill(entry, tags))
        return true;
    zq_tags_free(entry->cache, tags);
    return false;
}

/* What is worth remembering of this answer: why others need not wait for one, or STORABLE. */
static enum zq_policy_verdict telling(const struct zq_entry *entry, const struct arrival *a)
{
    bool is_telling = a->content == NULL && !a->again && !zq_entry_is_alone(entry) &&
                      !(entry->traits & ZQ_REQUEST_POST);

    return is_telling ? a->verdict : ZQ_POLICY_STORABLE;
}

/* Settles whether it will be stored, and takes what will not off the index. */
static void settle(struct zq_entry *entry, struct arrival *a, int64_t now_ms)
{
    const struct zq_cache_response *r = &a->response;
    bool storable = a->verdict == ZQ_POLICY_STORABLE;

    if (entry->shard == NULL)
        return;
    a->too_large =
        storable && r->content_length > 0 && (uint64_t)r->content_length > entry->cache->object_max;
    if (a->too_large)
        a->verdict = ZQ_POLICY_SIZE;
    a->retained = a->verdict == ZQ_POLICY_STORABLE && r->storable && retain(entry, a);
    zq_purge_headed(entry);
    if (!a->retained)
        zq_store_drop_fill(entry, telling(entry, a), now_ms);
}

/* What is too large to be stored passes through a window, and there one slow reader would hold up
 * all the others: they go by themselves, as those who come later do. */
static void release_others(struct zq_entry *entry, const struct arrival *a)
{
    bool shared = a->shareable && !a->too_large;
    struct zq_node *next;

    for (struct zq_node *n = entry->readers.next; n != &entry->readers; n = next) {
        struct zq_reader *reader = ZQ_CONTAINER(n, struct zq_reader, node);
        next = n->next;
        if (a->again || (reader != entry->leader &&
                         !(shared && zq_vary_match(zq_entry_vary(entry), &reader->request))))
            zq_reader_release(reader);
    }
}

/* The content is another's, and all there. */
static void show_content_of(struct zq_entry *entry, struct zq_entry *owner)
{
    entry->length = owner->length;
    entry->first = owner->first;
    entry->tail = owner->tail;
}

/* Nobody reads on, which the writer is to hear of. */
static void dismiss(struct zq_entry *entry)
{
    entry->leader = NULL;
    if (entry->writer->notify != NULL)
        entry->writer->notify(entry->writer);
}

static void publish(struct zq_entry *entry, const struct arrival *a)
{
    const struct zq_cache_response *r = &a->response;
    struct zq_entry *base = entry->base;

    zq_lock_take(&entry->lock);
    struct zq_request_copy *copy = entry->copy;
    entry->tail = NULL;
    entry->status = (uint16_t)r->status;
    entry->close = r->close;
    entry->no_content = r->no_content;
    entry->content_length = r->content_length;
    entry->block = zq_slice(a->head, r->block.n - a->withheld);
    entry->withheld_n = (uint32_t)a->withheld;
    entry->vary_n = (uint32_t)a->vary.n;
    entry->hidden_n = (uint32_t)a->hidden;
    entry->freshness = a->freshness;
    entry->retained = a->retained;
    entry->varied = a->varied;
    entry->stands_in = a->stands_in;
    entry->may_be_coded = a->may_be_coded;
    entry->state = ZQ_ENTRY_FILLING;
    entry->base = a->content;
    if (a->content != NULL)
        show_content_of(entry, a->content);
    release_others(entry, a);
    if (a->again)
        dismiss(entry);
    zq_readers_find_slowest(entry);
    zq_readers_tell(entry);
    zq_lock_give(&entry->lock);
    zq_request_copy_free(entry->cache, copy);
    if (base != NULL)
        zq_entry_unref(base);
}

/* Whose content it will be that an entry shows which is made from a stored one; with a reference.
 */
static struct zq_entry *take_content_of(struct zq_entry *stored)
{
    struct zq_entry *owner = stored->base != NULL ? stored->base : stored;

    zq_entry_ref(owner);
    return owner;
}

/* Whether stored or not, it says what its like is selected by; its forms are made of what is. */
static int note_coding(struct zq_entry *entry, struct arrival *a, int64_t now_ms, time_t now)
{
    const struct zq_cache_response *r = &a->response;
    bool storable = entry->shard != NULL && a->verdict == ZQ_POLICY_STORABLE;

    if (entry->cache == NULL || (!storable && (entry->traits & ZQ_REQUEST_POST)) ||
        !zq_coded_concerns(entry->cache, r, now_ms, now))
        return 0;
    a->may_be_coded = storable && !r->no_content && zq_coding_permitted(r->fields);
    a->varied = !zq_coding_is_varied(r->fields);
    return a->varied ? zq_coded_add_vary(&a->response, &a->block) : 0;
}

/* What a response, as it is or merged, becomes. */
static int arrive(struct zq_entry *entry, struct arrival *a, int64_t now_ms, time_t now)
{
    int error = 0;

    if (entry->shard != NULL)
        error = judge(entry, a, now_ms, now);
    if (error == 0)
        error = note_coding(entry, a, now_ms, now);
    if (error == 0)
        error = copy_head(entry, a);
    if (error == 0) {
        settle(entry, a, now_ms);
        publish(entry, a);
    }
    return error;
}

/* ---- stale responses ---- */

/* The stored response goes out as it is. */
static int arrive_stale(struct zq_entry *entry, struct arrival *a)
{
    struct zq_entry *stored = entry->base;
    struct zq_slice vary = zq_entry_vary(stored);

    a->response = (struct zq_cache_response){
        .status = stored->status,
        .block = stored->block,
        .content_length = stored->no_content ? stored->content_length : (int64_t)stored->length,
        .no_content = stored->no_content,
    };
    a->freshness = zq_entry_freshness(stored);
    a->verdict = ZQ_POLICY_STALE;
    a->shareable = a->stands_in = true;
    if (vary.n > 0 && zq_buf_append(&a->vary, vary.p, vary.n) < 0)
        return ZQ_ENOMEM;
    int error = copy_head(entry, a);
    if (error < 0)
        return error;
    a->content = take_content_of(stored);
    settle(entry, a, 0);
    publish(entry, a);
    return 0;
}

static bool is_server_error(unsigned status)
{
    return status == 500 || (status >= 502 && status <= 504); /* RFC 5861 4 */
}

static bool may_serve_stale(const struct zq_entry *entry, int64_t extra_ms, int64_t now_ms)
{
    const struct zq_freshness f = zq_entry_freshness(entry->base);
    int64_t if_error_ms = (int64_t)f.if_error_s * 1000;

    return !zq_entry_is_part(entry->base) &&
           zq_freshness_permits(&f, now_ms, if_error_ms > extra_ms ? if_error_ms : extra_ms);
}

bool zq_entry_serve_stale(struct zq_writer *writer, bool disconnected, int64_t now_ms)
{
    struct zq_entry *entry = zq_entry_of(writer);
    struct arrival a = {0};

    ZQ_ASSERT(entry->state == ZQ_ENTRY_WAITING);
    if (entry->base == NULL ||
        !may_serve_stale(entry, disconnected ? entry->cache->rules.grace_ms : 0, now_ms))
        return false;
    int error = arrive_stale(entry, &a);
    zq_buf_fini(&a.vary);
    if (error < 0)
        return false;
    zq_entry_finish(writer, true);
    return true;
}

/* ---- validation ---- */

/* The 304 itself forbids what it would freshen: frameworks renew cookies on any response. */
static bool forbids_reuse(enum zq_policy_verdict verdict)
{
    return verdict == ZQ_POLICY_NO_STORE || verdict == ZQ_POLICY_PRIVATE ||
           verdict == ZQ_POLICY_SET_COOKIE || verdict == ZQ_POLICY_VARY;
}

/* RFC 9111 4.3.4 */
static int arrive_validated(struct zq_entry *entry, struct arrival *a, int64_t now_ms, time_t now)
{
    const struct zq_cache_response not_modified = a->response;
    struct zq_entry *stored = entry->base;
    struct zq_merged merged;

    int error = zq_merged_init(&merged, &not_modified, stored, NULL);
    if (error == 0) {
        a->response = merged.response;
        a->again = not_modified.status == 304 && !zq_validates(&not_modified, stored);
        a->content = take_content_of(stored);
        zq_entry_ref(stored);
        error = arrive(entry, a, now_ms, now);
        if (error < 0)
            zq_entry_unref(a->content);
        if (a->again || forbids_reuse(a->verdict))
            zq_store_invalidate_variant(stored);
        zq_entry_unref(stored);
    }
    a->response = not_modified;
    zq_merged_fini(&merged);
    return error;
}

/* Did the request go out with the stored response's validators? HEAD goes as it came. */
static bool was_asked(const struct zq_entry *entry)
{
    return !(entry->traits & ZQ_REQUEST_HEAD) && zq_can_be_validated(entry->base);
}

/* RFC 9111 4.3.5. What HEAD brings is not stored by itself. */
static int arrive_for_head(struct zq_entry *entry, struct arrival *a, int64_t now_ms, time_t now)
{
    if (entry->base != NULL && zq_head_confirms(&a->response, entry->base))
        return arrive_validated(entry, a, now_ms, now);
    if (entry->base != NULL && a->response.status == 200)
        zq_store_invalidate_variant(entry->base);
    a->response.storable = false;
    return arrive(entry, a, now_ms, now);
}

/* ---- parts ---- */

/* The rest of a stored part makes the whole, which begins with that part (RFC 9111 3.4). */
static int arrive_as_whole(struct zq_writer *writer, struct arrival *a, int64_t now_ms, time_t now)
{
    struct zq_entry *entry = writer->entry, *stored = entry->base;
    const struct zq_cache_response rest = a->response;
    struct zq_part whole = {.exact = true};
    struct zq_merged merged;

    whole.end = whole.length = zq_part_length(stored);
    zq_entry_ref(stored);
    int error = zq_merged_init(&merged, &rest, stored, &whole);
    if (error == 0) {
        a->response = merged.response;
        error = arrive(entry, a, now_ms, now);
    }
    /* Past the head there is no other answer: cut short. */
    if (error == 0)
        entry->overrun = zq_part_copy(writer, stored, 0, whole.end) < 0;
    a->response = rest;
    zq_merged_fini(&merged);
    zq_entry_unref(stored);
    return error;
}

/* The rest was asked for. If something else comes that is not the whole either, all ask again, with
 * the part out of the way. */
static int arrive_as_rest(struct zq_writer *writer, struct arrival *a, int64_t now_ms, time_t now)
{
    struct zq_entry *entry = writer->entry;
    unsigned status = a->response.status;

    if (zq_part_is_rest(entry->base, &a->response))
        return arrive_as_whole(writer, a, now_ms, now);
    a->again = status == 206 || status == 304 || status == 416;
    if (a->again)
        zq_store_invalidate_variant(entry->base);
    return arrive(entry, a, now_ms, now);
}

/* Of what its reader asked for by itself, a part is stored. */
static int arrive_itself(struct zq_entry *entry, struct arrival *a, int64_t now_ms, time_t now)
{
    if (zq_entry_is_alone(entry) && a->response.status != 206)
        a->response.storable = false;
    return arrive(entry, a, now_ms, now);
}

/* ---- the door ---- */

static void tell_outcome(struct zq_writer *writer, const struct zq_entry *entry,
                         const struct arrival *a)
{
    writer->stored = a->retained;
    writer->refusal = NULL;
    if (entry->shard == NULL || a->retained || (entry->traits & ZQ_REQUEST_HEAD) ||
        zq_entry_is_alone(entry))
        return;
    if (a->verdict != ZQ_POLICY_STORABLE)
        writer->refusal = zq_policy_word(a->verdict);
    else
        writer->refusal = "no room, or it came too late";
}

int zq_entry_head(struct zq_writer *writer, const struct zq_cache_response *response,
                  int64_t now_ms, time_t now)
{
    struct zq_entry *entry = zq_entry_of(writer);
    struct arrival a = {.response = *response, .freshness = {.response_ms = now_ms}};
    int error;

    ZQ_ASSERT(entry->state == ZQ_ENTRY_WAITING);
    if (entry->base != NULL && zq_entry_is_part(entry->base))
        error = arrive_as_rest(writer, &a, now_ms, now);
    else if (entry->base != NULL && response->status == 304 && was_asked(entry))
        error = arrive_validated(entry, &a, now_ms, now);
    else if (entry->base != NULL && is_server_error(response->status) &&
             may_serve_stale(entry, 0, now_ms))
        error = arrive_stale(entry, &a);
    else if (entry->traits & ZQ_REQUEST_HEAD)
        error = arrive_for_head(entry, &a, now_ms, now);
    else
        error = arrive_itself(entry, &a, now_ms, now);
    zq_buf_fini(&a.vary);
    zq_buf_fini(&a.block);
    tell_outcome(writer, entry, &a);
    return error;
}
