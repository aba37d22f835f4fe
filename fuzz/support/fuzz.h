/* What every target shares: a checked invariant, a cursor over the input, and fields made of it.
 *
 * A target is one file of fuzz/ with LLVMFuzzerTestOneInput. It is linked with libFuzzer
 * (BUILD=fuzz), with AFL++'s driver (BUILD=afl), or with support/replay.c (any other BUILD). */
#ifndef ZQ_FUZZ_H
#define ZQ_FUZZ_H

#include "zq/base.h"
#include "zq/field.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An invariant does not hold: says which, and dies. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_failed(#condition, __FILE__, __LINE__);                                           \
    } while (0)

static inline _Noreturn void fuzz_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, condition);
    abort();
}

/* ---- input ---- */

struct fuzz_input {
    const char *p;
    size_t n;
};

static inline struct fuzz_input fuzz_input(const uint8_t *data, size_t size)
{
    return (struct fuzz_input){(const char *)data, size};
}

static inline struct zq_slice fuzz_take(struct fuzz_input *in, size_t n)
{
    struct zq_slice s = zq_slice(in->p, n < in->n ? n : in->n);
    in->p += s.n;
    in->n -= s.n;
    return s;
}

/* The next byte; 0 where there is none. */
static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
    struct zq_slice s = fuzz_take(in, 1);
    return s.n == 1 ? (uint8_t)s.p[0] : 0;
}

static inline uint64_t fuzz_number(struct fuzz_input *in, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | fuzz_byte(in);
    return number;
}

/* What comes before the next `end`, which is taken too; all that is left if there is none. */
static inline struct zq_slice fuzz_until(struct fuzz_input *in, char end)
{
    const char *at = in->n > 0 ? memchr(in->p, end, in->n) : NULL;
    if (at == NULL)
        return fuzz_take(in, in->n);
    struct zq_slice s = fuzz_take(in, (size_t)(at - in->p));
    fuzz_take(in, 1);
    return s;
}

/* A copy that ends where its memory ends, so that reading past it is seen. Release: free(p). */
static inline struct zq_slice fuzz_copy(struct zq_slice s)
{
    char *p = malloc(s.n > 0 ? s.n : 1);
    FUZZ_CHECK(p != NULL);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return zq_slice(p, s.n);
}

/* Small and repeatable; not for anything but choices (xorshift64*). */
static inline uint64_t fuzz_random(uint64_t *state)
{
    *state = *state != 0 ? *state : 0x9e3779b97f4a7c15u;
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

/* ---- fields ---- */

#define FUZZ_FIELDS_MAX 32

struct fuzz_fields {
    struct zq_field v[FUZZ_FIELDS_MAX];
    struct zq_fields fields;
};

/* Lines `name:value`, up to an empty line or the end. With `as_request` only what a request can
 * hand on: names in lower case, values trimmed and without LF. Release: fuzz_fields_fini. */
static inline void fuzz_fields_read(struct fuzz_fields *out, struct fuzz_input *in, bool as_request)
{
    *out = (struct fuzz_fields){.fields = {out->v, 0}};
    while (in->n > 0 && out->fields.n < FUZZ_FIELDS_MAX) {
        struct zq_slice line = fuzz_until(in, '\n');
        if (line.n == 0)
            break;
        struct fuzz_input rest = {line.p, line.n};
        struct zq_slice name = fuzz_copy(fuzz_until(&rest, ':'));
        struct zq_slice value = zq_slice(rest.p, rest.n);
        if (as_request)
            value = zq_slice_trim(value);
        for (size_t i = 0; i < name.n && as_request; i++)
            ((char *)(uintptr_t)name.p)[i] = zq_lower(name.p[i]);
        out->v[out->fields.n++] = (struct zq_field){name, fuzz_copy(value)};
    }
}

static inline void fuzz_fields_fini(struct fuzz_fields *fields)
{
    for (size_t i = 0; i < fields->fields.n; i++) {
        free((char *)(uintptr_t)fields->v[i].name.p);
        free((char *)(uintptr_t)fields->v[i].value.p);
    }
}

#endif
