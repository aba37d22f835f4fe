#include "cache/validate.h"

#include "cache/block.h"
#include "cache/condition.h"
#include "cache/entry.h"

#include <stdlib.h>

/* RFC 9111 4.3.4: a strong tag names only what has the same strong one; a weak one any. */
static bool names(struct zq_slice said, struct zq_slice had)
{
    struct zq_etag x, y;

    if (!zq_etag_next(&said, &x) || !zq_etag_next(&had, &y))
        return false;
    return zq_etag_weakly_equal(&x, &y) && (x.weak || !y.weak);
}

bool zq_can_be_validated(const struct zq_entry *stored)
{
    struct zq_validators had = zq_validators_of(stored->block);

    return had.etag.p != NULL || had.last_modified.p != NULL;
}

bool zq_validates(const struct zq_cache_response *not_modified, const struct zq_entry *stored)
{
    struct zq_validators said = zq_validators_of(not_modified->block);
    struct zq_validators had = zq_validators_of(stored->block);

    if (said.etag.p != NULL)
        return had.etag.p != NULL && names(said.etag, had.etag);
    return said.last_modified.p == NULL || had.last_modified.p == NULL ||
           zq_slice_eq(said.last_modified, had.last_modified);
}

/* Has the HEAD's response none of that kind, or the same? */
static bool agrees(struct zq_slice said, struct zq_slice had)
{
    return said.p == NULL || (had.p != NULL && zq_slice_eq(said, had));
}

bool zq_head_confirms(const struct zq_cache_response *head, const struct zq_entry *stored)
{
    struct zq_validators said = zq_validators_of(head->block);
    struct zq_validators had = zq_validators_of(stored->block);

    return head->status == 200 && stored->status == 200 && agrees(said.etag, had.etag) &&
           agrees(said.last_modified, had.last_modified) &&
           (head->content_length < 0 || (uint64_t)head->content_length == stored->length);
}

/* ---- merging ---- */

/* RFC 9111 3.2: these describe the content that is stored. */
static bool is_fixed(struct zq_slice name)
{
    return zq_slice_ieq(name, ZQ_SLICE("content-length")) ||
           zq_slice_ieq(name, ZQ_SLICE("content-encoding")) ||
           zq_slice_ieq(name, ZQ_SLICE("content-range"));
}

/* Appends old lines, but for those that new ones replace (fixed ones are not replaced); or,
 * `without` NULL, new lines, but for fixed ones and Age, which is made anew for every answer (RFC
 * 9111 5.1). `unranged`: also without Content-Range. */
static int append_lines(struct zq_buf *out, struct zq_slice lines, const struct zq_fields *without,
                        bool unranged)
{
    struct zq_block_line line;

    while (zq_block_next(&lines, &line)) {
        bool skip = without == NULL
                        ? is_fixed(line.name) || zq_slice_ieq(line.name, ZQ_SLICE("age"))
                        : !is_fixed(line.name) && zq_fields_find(without, line.name, NULL) != NULL;
        skip |= unranged && zq_slice_ieq(line.name, ZQ_SLICE("content-range"));
        if (!skip && zq_buf_append(out, line.whole.p, line.whole.n) < 0)
            return ZQ_ENOMEM;
    }
    return 0;
}

static bool is_all(const struct zq_part *part)
{
    return part->first == 0 && part->end == part->length;
}

/* Another one than the stored response's where parts make the whole. */
static struct zq_slice status_line(struct zq_slice stored, const struct zq_part *whole)
{
    if (whole != NULL && is_all(whole))
        return ZQ_SLICE("HTTP/1.1 200 OK\r\n");
    return zq_slice(stored.p, stored.n - zq_block_lines(stored).n);
}

static int merge_block(struct zq_buf *out, struct zq_slice new_lines, struct zq_slice old,
                       const struct zq_fields *new_fields, const struct zq_part *whole)
{
    struct zq_slice first = status_line(old, whole);

    if (zq_buf_append(out, first.p, first.n) < 0 ||
        append_lines(out, zq_block_lines(old), new_fields, whole != NULL) < 0 ||
        append_lines(out, new_lines, NULL, false) < 0)
        return ZQ_ENOMEM;
    return whole != NULL && !is_all(whole) ? zq_part_put_range(out, whole) : 0;
}

static int merge_hidden(struct zq_buf *out, const struct zq_fields *new_fields, struct zq_slice old)
{
    if (append_lines(out, old, new_fields, false) < 0)
        return ZQ_ENOMEM;
    size_t n = zq_block_hidden(NULL, new_fields);
    char *to = zq_buf_reserve(out, n + 1);
    if (to == NULL)
        return ZQ_ENOMEM;
    zq_buf_commit(out, zq_block_hidden(to, new_fields));
    return 0;
}

static size_t count_lines(struct zq_slice lines)
{
    struct zq_block_line line;
    size_t n = 0;

    while (zq_block_next(&lines, &line))
        n++;
    return n;
}

static void add_fields(struct zq_fields *fields, struct zq_slice lines)
{
    struct zq_block_line line;

    while (zq_block_next(&lines, &line))
        fields->v[fields->n++] = (struct zq_field){line.name, line.value};
}

static struct zq_slice text_of(const struct zq_buf *buf)
{
    return buf->n > 0 ? zq_slice(zq_buf_data(buf), buf->n) : (struct zq_slice){0};
}

/* With the 304's Age, which its freshness is reckoned by. */
static int parse(struct zq_merged *m, const struct zq_field *age)
{
    struct zq_slice lines = zq_block_lines(text_of(&m->block)), hidden = text_of(&m->hidden);

    m->fields.v = calloc(count_lines(lines) + count_lines(hidden) + 2, sizeof(*m->fields.v));
    if (m->fields.v == NULL)
        return ZQ_ENOMEM;
    add_fields(&m->fields, lines);
    add_fields(&m->fields, hidden);
    if (age != NULL)
        m->fields.v[m->fields.n++] = *age;
    return 0;
}

int zq_fields_of_lines(struct zq_fields *out, struct zq_slice lines)
{
    *out = (struct zq_fields){.v = calloc(count_lines(lines) + 1, sizeof(*out->v))};
    if (out->v == NULL)
        return ZQ_ENOMEM;
    add_fields(out, lines);
    return 0;
}

int zq_merged_init(struct zq_merged *m, const struct zq_cache_response *newer,
                   const struct zq_entry *stored, const struct zq_part *whole)
{
    struct zq_slice lines = zq_block_lines(newer->block);
    struct zq_fields names; /* those that the front adds by itself (Date, Server) replace, too */

    *m = (struct zq_merged){.response = *newer};
    if (zq_fields_of_lines(&names, lines) < 0)
        return ZQ_ENOMEM;
    int error = merge_block(&m->block, lines, zq_entry_own_block(stored), &names, whole);
    free(names.v);
    if (error == 0)
        error = merge_hidden(&m->hidden, newer->fields, zq_entry_hidden(stored));
    if (error == 0)
        error = parse(m, zq_fields_find(newer->fields, ZQ_SLICE("age"), NULL));
    if (error < 0)
        return error;
    m->response.status = whole != NULL && is_all(whole) ? 200 : stored->status;
    m->response.fields = &m->fields;
    m->response.block = text_of(&m->block);
    m->response.no_content = stored->no_content;
    if (whole != NULL)
        m->response.content_length = (int64_t)(whole->end - whole->first);
    else
        m->response.content_length =
            stored->no_content ? stored->content_length : (int64_t)stored->length;
    return 0;
}

void zq_merged_fini(struct zq_merged *m)
{
    free(m->fields.v);
    zq_buf_fini(&m->block);
    zq_buf_fini(&m->hidden);
}
