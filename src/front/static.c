#include "front/static.h"

#include "front/tags.h"
#include "zq/clock.h"
#include "zq/http.h"

#include <inttypes.h>
#include <stdio.h>

/* The fields as they go out: without Date, and with an ETag. */
static int select_fields(const struct zq_route *route, struct zq_slice etag, struct zq_arena *arena,
                         struct zq_fields *out)
{
    struct zq_fields shown;

    if (tags_strip(&route->fields, false, arena, &shown) < 0)
        return ZQ_ENOMEM;
    *out = (struct zq_fields){zq_arena_alloc(arena, (shown.n + 1) * sizeof(*out->v)), 0};
    if (out->v == NULL)
        return ZQ_ENOMEM;
    for (size_t i = 0; i < shown.n; i++)
        if (!zq_slice_ieq(shown.v[i].name, ZQ_SLICE("date")))
            out->v[out->n++] = shown.v[i];
    if (route->status == 200 && zq_fields_find(out, ZQ_SLICE("etag"), NULL) == NULL)
        out->v[out->n++] = (struct zq_field){ZQ_SLICE("ETag"), etag};
    return 0;
}

int static_make(const struct zq_config *config, const struct zq_route *route, struct zq_slice body,
                struct zq_entry **out)
{
    struct zq_cache_response response = {
        .status = route->status,
        .no_content = route->status == 204 || route->status == 304,
    };
    struct zq_config dateless = *config;
    struct zq_arena arena = {0};
    struct zq_buf block = {0};
    struct zq_fields fields;
    struct zq_slice bad;
    char etag[48];

    /* The same in every front and at every start, as long as the body is. */
    int n = snprintf(etag, sizeof(etag), "\"%016" PRIx64 "%zx\"", zq_hash_fixed(body.p, body.n),
                     body.n);
    dateless.date_header = false;
    int error = select_fields(route, zq_slice(etag, (size_t)n), &arena, &fields);
    if (error == 0)
        error = zq_http_block(&block, route->status, &fields, &dateless, 0,
                              &response.content_length, &response.close, &bad);
    if (error == 0 && response.content_length >= 0 && (uint64_t)response.content_length != body.n)
        error = ZQ_EINVAL;
    if (error == 0) {
        response.block = zq_slice(zq_buf_data(&block), block.n);
        response.fields = &fields;
        response.content_length = response.no_content ? -1 : (int64_t)body.n;
        response.close = false;
        *out = zq_held_new(&response, body);
        error = *out != NULL ? 0 : ZQ_ENOMEM;
    }
    zq_buf_fini(&block);
    zq_arena_fini(&arena);
    return error;
}

void static_free(struct zq_entry *held)
{
    zq_held_free(held);
}

int static_date(struct zq_buf *block, const struct zq_config *config, time_t now)
{
    char line[6 + ZQ_DATE_SIZE + 2] = "Date: ";

    if (!config->date_header)
        return 0;
    zq_date_format(now, line + 6);
    memcpy(line + 6 + ZQ_DATE_SIZE, "\r\n", 2);
    return zq_buf_append(block, line, sizeof(line));
}
