#include "cache/part.h"

#include "cache/block.h"
#include "cache/combine.h"
#include "cache/condition.h"
#include "cache/entry.h"
#include "cache/store.h"

#include <inttypes.h>

/* ---- Content-Range ---- */

static bool take_number(struct zq_slice *s, uint64_t *out)
{
    size_t n = 0;

    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    struct zq_slice digits = zq_slice(s->p, n);
    *s = zq_slice(s->p + n, s->n - n);
    return n > 0 && zq_parse_u64(digits, INT64_MAX, out) == 0;
}

static bool take(struct zq_slice *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = zq_slice(s->p + 1, s->n - 1);
    return true;
}

/* RFC 9110 14.4 */
bool zq_part_parse(struct zq_slice s, struct zq_part *out)
{
    static const struct zq_slice unit = {"bytes ", 6};
    uint64_t last;

    s = zq_slice_trim(s);
    if (s.n < unit.n || !zq_slice_ieq(zq_slice(s.p, unit.n), unit))
        return false;
    s = zq_slice(s.p + unit.n, s.n - unit.n);
    if (!take_number(&s, &out->first) || !take(&s, '-') || !take_number(&s, &last) ||
        !take(&s, '/') || !take_number(&s, &out->length) || s.n > 0)
        return false;
    out->end = last + 1;
    out->exact = true;
    return out->first <= last && last < out->length;
}

int zq_part_put_range(struct zq_buf *out, const struct zq_part *part)
{
    return zq_buf_printf(out, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n",
                         part->first, part->end - 1, part->length);
}

bool zq_part_of_fields(const struct zq_fields *response, struct zq_part *out)
{
    static const struct zq_slice name = {"content-range", 13};
    const struct zq_field *f = zq_fields_find(response, name, NULL);

    return f != NULL && zq_fields_find(response, name, f) == NULL && zq_part_parse(f->value, out);
}

bool zq_part_of_block(struct zq_slice block, uint64_t n, struct zq_part *out)
{
    struct zq_slice value;

    if (!zq_block_find(block, ZQ_SLICE("content-range"), &value) || !zq_part_parse(value, out))
        return false;
    if (n == out->end - out->first)
        return true;
    if (n == 0 || n > out->end - out->first || out->end != out->length)
        return false;
    out->end = out->length = out->first + n;
    out->exact = false;
    return true;
}

static bool part_of(const struct zq_entry *entry, struct zq_part *out)
{
    return zq_part_of_block(entry->block, entry->length, out);
}

bool zq_part_is_sound(const struct zq_entry *entry)
{
    struct zq_validators v = zq_validators_of(entry->block);
    struct zq_part part;

    return part_of(entry, &part) && (part.exact || (entry->content_length >= 0 &&
                                                    v.etag.p == NULL && v.last_modified.p == NULL));
}

/* ---- using what is stored ---- */

bool zq_part_answers(const struct zq_entry *stored, const struct zq_fields *request)
{
    struct zq_validators v = zq_validators_of(stored->block);
    struct zq_part part;

    if (!part_of(stored, &part) || !zq_condition_range_counts(request, &v))
        return false;
    struct zq_range range = zq_range_of(request, part.length);
    return range.kind == ZQ_RANGE_PART && range.first >= part.first && range.last < part.end;
}

uint64_t zq_part_rest(const struct zq_entry *stored)
{
    struct zq_part part;
    bool fits = part_of(stored, &part) && part.exact && part.first == 0 &&
                stored->length <= ZQ_PART_COMBINED_MAX && part.length <= stored->cache->object_max;

    return fits ? part.end : 0;
}

uint64_t zq_part_length(const struct zq_entry *stored)
{
    struct zq_part part = {0};

    part_of(stored, &part);
    return part.length;
}

static bool share_strong_validator(struct zq_slice a, struct zq_slice b)
{
    struct zq_validators x = zq_validators_of(a), y = zq_validators_of(b);

    return zq_validators_strongly_equal(&x, &y);
}

bool zq_part_is_rest(const struct zq_entry *stored, const struct zq_cache_response *rest)
{
    struct zq_part had, got;

    return rest->status == 206 && part_of(stored, &had) && zq_part_of_fields(rest->fields, &got) &&
           got.first == had.end && got.end == got.length && got.length == had.length &&
           (rest->content_length < 0 || (uint64_t)rest->content_length == got.end - got.first) &&
           share_strong_validator(stored->block, rest->block);
}

/* ---- content ---- */

int zq_part_copy(struct zq_writer *to, const struct zq_entry *from, uint64_t first, uint64_t end)
{
    struct zq_part part;
    int error = 0;

    if (!part_of(from, &part))
        return 0;
    for (const struct zq_segment *s = from->first; s != NULL && error == 0; s = s->next) {
        uint64_t start = part.first + s->start, stop = start + s->size;
        stop = stop < part.end ? stop : part.end;
        uint64_t a = first > start ? first : start, b = end < stop ? end : stop;
        if (a < b)
            error = zq_entry_append(to, zq_slice(zq_segment_data(s) + (a - start), b - a));
    }
    return error;
}

/* ---- putting parts together ---- */

/* They touch or overlap, and are of the same bytes (RFC 9110 15.3.7.3). */
static bool belong_together(const struct zq_entry *a, const struct zq_entry *b,
                            struct zq_part *both)
{
    struct zq_part x, y;

    if (!part_of(a, &x) || !part_of(b, &y) || !x.exact || !y.exact || x.length != y.length ||
        x.first > y.end || y.first > x.end || !share_strong_validator(a->block, b->block))
        return false;
    both->first = x.first < y.first ? x.first : y.first;
    both->end = x.end > y.end ? x.end : y.end;
    both->length = x.length;
    both->exact = true;
    return both->end - both->first <= ZQ_PART_COMBINED_MAX;
}

void zq_part_complete(struct zq_entry *entry)
{
    struct zq_entry *stored = zq_store_find_part(entry), *whole = NULL;
    struct zq_part both;

    if (stored != NULL && belong_together(stored, entry, &both))
        whole = zq_combine(stored, entry, &both);
    zq_store_complete(entry, whole);
    if (whole != NULL)
        zq_entry_unref(whole);
    if (stored != NULL)
        zq_entry_unref(stored);
}
