/* What of a whole response a request gets: all of it, a part, or the word that it has it already.
 */
#include "cache/block.h"
#include "cache/condition.h"
#include "cache/part.h"
#include "cache/policy.h"
#include "zq/cache.h"

#include <inttypes.h>

/* Conditions count only where the response without them were a success (RFC 9110 13.2.1). */
static bool is_success(unsigned status)
{
    return status >= 200 && status < 300;
}

static void choose_range(const struct zq_reader *reader, const struct zq_validators *v,
                         struct zq_answer *out)
{
    if (!zq_condition_range_counts(&reader->request, v))
        return;
    struct zq_range range = zq_range_of(&reader->request, out->length);
    if (range.kind == ZQ_RANGE_PART && range.first >= out->start) {
        out->status = 206;
        out->first = range.first - out->start;
        out->n = range.last - range.first + 1;
    } else if (range.kind == ZQ_RANGE_UNSATISFIABLE) {
        out->status = 416;
    }
}

/* Where the content lies in the whole. A part is only chosen for those whom it answers. */
static bool find_length(const struct zq_entry_info *info, struct zq_answer *out)
{
    struct zq_part part;

    out->length = (uint64_t)info->content_length;
    if (info->status != 206)
        return info->status == 200;
    if (!zq_part_of_block(info->block, out->length, &part))
        return false;
    out->start = part.first;
    out->length = part.length;
    return true;
}

void zq_answer_choose(const struct zq_reader *reader, bool is_get, const struct zq_entry_info *info,
                      struct zq_answer *out)
{
    *out = (struct zq_answer){0};
    if ((reader->traits & ZQ_REQUEST_SELECTIVE) == 0 || !is_success(info->status))
        return;
    struct zq_validators v = zq_validators_of(info->block);
    if (zq_condition_not_modified(&reader->request, &v))
        out->status = 304;
    else if (is_get && info->content_length >= 0 && find_length(info, out))
        choose_range(reader, &v, out);
}

/* ---- its head ---- */

static bool has_prefix(struct zq_slice s, struct zq_slice prefix)
{
    return s.n >= prefix.n && zq_slice_ieq(zq_slice(s.p, prefix.n), prefix);
}

/* RFC 9110 15.4.5: no more about the representation than who has it needs to update it. */
static bool belongs_in_304(struct zq_slice name, bool has_etag)
{
    if (has_prefix(name, ZQ_SLICE("content-")))
        return zq_slice_ieq(name, ZQ_SLICE("content-location")) ||
               has_prefix(name, ZQ_SLICE("content-security-policy"));
    return !(has_etag && zq_slice_ieq(name, ZQ_SLICE("last-modified")));
}

/* RFC 9110 15.3.7: all that the 200 had; what says how it is framed is added. */
static bool belongs_in_206(struct zq_slice name)
{
    return !zq_slice_ieq(name, ZQ_SLICE("content-range"));
}

/* Nothing of the stored response's: its Cache-Control above all is not meant for an error. */
static bool belongs_in_416(struct zq_slice name)
{
    return zq_slice_ieq(name, ZQ_SLICE("date")) || zq_slice_ieq(name, ZQ_SLICE("server")) ||
           zq_slice_ieq(name, ZQ_SLICE("vary"));
}

static bool belongs(const struct zq_answer *answer, struct zq_slice name, bool has_etag)
{
    switch (answer->status) {
    case 304:
        return belongs_in_304(name, has_etag);
    case 206:
        return belongs_in_206(name);
    default:
        return belongs_in_416(name);
    }
}

static int append_range(struct zq_buf *out, const struct zq_answer *answer)
{
    const uint64_t first = answer->start + answer->first;
    const struct zq_part part = {first, first + answer->n, answer->length, true};

    if (answer->status == 206)
        return zq_part_put_range(out, &part);
    if (answer->status == 416)
        return zq_buf_printf(out, "Content-Range: bytes */%" PRIu64 "\r\n", answer->length);
    return 0;
}

static struct zq_slice status_line(unsigned status)
{
    switch (status) {
    case 304:
        return ZQ_SLICE("HTTP/1.1 304 Not Modified\r\n");
    case 206:
        return ZQ_SLICE("HTTP/1.1 206 Partial Content\r\n");
    default:
        return ZQ_SLICE("HTTP/1.1 416 Range Not Satisfiable\r\n");
    }
}

int zq_answer_block(struct zq_buf *out, const struct zq_answer *answer, struct zq_slice block)
{
    struct zq_slice lines = zq_block_lines(block), etag, first = status_line(answer->status);
    struct zq_block_line line;
    bool has_etag = zq_block_find(block, ZQ_SLICE("etag"), &etag);
    int error = zq_buf_append(out, first.p, first.n);

    while (error == 0 && zq_block_next(&lines, &line))
        if (belongs(answer, line.name, has_etag))
            error = zq_buf_append(out, line.whole.p, line.whole.n);
    return error == 0 ? append_range(out, answer) : error;
}
