#include "front/tags.h"

static bool is_tags(const struct zq_field *field)
{
    return zq_slice_ieq(field->name, ZQ_SLICE("cache-tag")) ||
           zq_slice_ieq(field->name, ZQ_SLICE("surrogate-key"));
}

int tags_strip(const struct zq_fields *fields, struct zq_arena *arena, struct zq_fields *out)
{
    size_t i = 0;

    *out = *fields;
    while (i < fields->n && !is_tags(&fields->v[i]))
        i++;
    if (i == fields->n)
        return 0;
    out->v = zq_arena_alloc(arena, fields->n * sizeof(*out->v));
    if (out->v == NULL)
        return ZQ_ENOMEM;
    out->n = 0;
    for (i = 0; i < fields->n; i++)
        if (!is_tags(&fields->v[i]))
            out->v[out->n++] = fields->v[i];
    return 0;
}
