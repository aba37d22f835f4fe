#include "worker/output.h"

/* Room for one more part behind the last: 0 or ZQ_ENOMEM. */
static int make_room(struct zq_output *o)
{
    if (o->first + o->n_parts < o->cap)
        return 0;
    if (o->first > o->n_parts) {
        memcpy(o->parts, o->parts + o->first, o->n_parts * sizeof(*o->parts));
        o->first = 0;
        return 0;
    }
    size_t cap = o->cap ? 2 * o->cap : 16;
    struct zq_output_part *parts = PyMem_Realloc(o->parts, cap * sizeof(*parts));
    if (parts == NULL)
        return ZQ_ENOMEM;
    o->parts = parts;
    o->cap = cap;
    return 0;
}

int zq_output_refer(struct zq_output *o, PyObject *bytes, const char *p, size_t n)
{
    if (make_room(o) < 0)
        return ZQ_ENOMEM;
    o->parts[o->first + o->n_parts++] =
        (struct zq_output_part){o->frames.n - o->claimed, Py_NewRef(bytes), p, n};
    o->claimed = o->frames.n;
    o->part_bytes += n;
    return 0;
}

int zq_output_gather(const struct zq_output *o, struct iovec *v, int max)
{
    char *frames = zq_buf_data(&o->frames);
    size_t left = o->frames.n;
    int n = 0;

    for (size_t i = 0; i < o->n_parts && n + 1 < max; i++) {
        const struct zq_output_part *part = &o->parts[o->first + i];
        if (part->before > 0)
            v[n++] = (struct iovec){frames, part->before};
        v[n++] = (struct iovec){(void *)(uintptr_t)part->p, part->n};
        frames += part->before;
        left -= part->before;
    }
    if (left == o->frames.n - o->claimed && left > 0 && n < max)
        v[n++] = (struct iovec){frames, left};
    return n;
}

/* The first part, or some of it. */
static size_t consume_part(struct zq_output *o, size_t n)
{
    struct zq_output_part *part = &o->parts[o->first];

    n = n < part->n ? n : part->n;
    part->p += n;
    part->n -= n;
    o->part_bytes -= n;
    if (part->n == 0) {
        Py_DECREF(part->bytes);
        o->first++;
        if (--o->n_parts == 0)
            o->first = 0;
    }
    return n;
}

void zq_output_consume(struct zq_output *o, size_t n)
{
    while (n > 0 && o->n_parts > 0) {
        struct zq_output_part *part = &o->parts[o->first];
        size_t frames = n < part->before ? n : part->before;
        zq_buf_consume(&o->frames, frames);
        part->before -= frames;
        o->claimed -= frames;
        n -= frames;
        if (part->before == 0)
            n -= consume_part(o, n);
    }
    zq_buf_consume(&o->frames, n);
}

void zq_output_fini(struct zq_output *o)
{
    for (size_t i = 0; i < o->n_parts; i++)
        Py_DECREF(o->parts[o->first + i].bytes);
    PyMem_Free(o->parts);
    zq_buf_fini(&o->frames);
    *o = (struct zq_output){0};
}
