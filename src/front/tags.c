#include "front/tags.h"

static bool is_hidden(const struct zq_field *field, bool show_tags)
{
    if (zq_slice_ieq(field->name, ZQ_SLICE("zq-cache-control")) ||
        zq_slice_ieq(field->name, ZQ_SLICE("zq-vary")))
        return true;
    return !show_tags && (zq_slice_ieq(field->name, ZQ_SLICE("cache-tag")) ||
                          zq_slice_ieq(field->name, ZQ_SLICE("surrogate-key")));
}

int tags_strip(const struct zq_fields *fields, bool show_tags, struct zq_arena *arena,
               struct zq_fields *out)
{
    size_t i = 0;

    *out = *fields;
    while (i < fields->n && !is_hidden(&fields->v[i], show_tags))
        i++;
    if (i == fields->n)
        return 0;
    out->v = zq_arena_alloc(arena, fields->n * sizeof(*out->v));
    if (out->v == NULL)
        return ZQ_ENOMEM;
    out->n = 0;
    for (i = 0; i < fields->n; i++)
        if (!is_hidden(&fields->v[i], show_tags))
            out->v[out->n++] = fields->v[i];
    return 0;
}
