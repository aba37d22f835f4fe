/* room: base
 *
 * What every room needs: errors, slices, growing buffers, arenas, checked objects, hashing.
 * Nothing here blocks, and nothing here is shared between threads unless it says so.
 */
#ifndef ZQ_BASE_H
#define ZQ_BASE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

/* Errors: functions return 0 (or a count) or one of these, negative. */
#define ZQ_ERRORS(X)                                                                               \
    X(NOMEM, 1, "out of memory")                                                                   \
    X(INVAL, 2, "invalid value")                                                                   \
    X(PROTO, 3, "protocol violation")                                                              \
    X(LIMIT, 4, "over a limit")                                                                    \
    X(IO, 5, "input/output error")                                                                 \
    X(AGAIN, 6, "not ready yet")                                                                   \
    X(CLOSED, 7, "closed by the peer")

enum zq_error {
#define X(name, number, text) ZQ_E##name = -(number),
    ZQ_ERRORS(X)
#undef X
};

const char *zq_strerror(int error);

/* Our own bugs assert, also in release builds; a peer's input never does. */
#define ZQ_ASSERT(condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            zq_assert_failed(#condition, __FILE__, __LINE__);                                      \
    } while (0)
_Noreturn void zq_assert_failed(const char *condition, const char *file, int line);

/* Shared objects begin with `unsigned magic`, checked at every door. */
#define ZQ_CHECK(object, value) ZQ_ASSERT((object) != NULL && (object)->magic == (value))

#define ZQ_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ZQ_CONTAINER(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* A borrowed run of bytes; never NUL-terminated by contract. `p` may be NULL only if n is 0. */
struct zq_slice {
    const char *p;
    size_t n;
};

#define ZQ_SLICE(literal) ((struct zq_slice){(literal), sizeof(literal) - 1})

static inline struct zq_slice zq_slice(const void *p, size_t n)
{
    return (struct zq_slice){(const char *)p, n};
}

static inline struct zq_slice zq_slice_str(const char *s)
{
    return (struct zq_slice){s, s ? strlen(s) : 0};
}

static inline bool zq_slice_eq(struct zq_slice a, struct zq_slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII only, no locale. */
bool zq_slice_ieq(struct zq_slice a, struct zq_slice b);
struct zq_slice zq_slice_trim(struct zq_slice s); /* SP and HTAB at both ends */
static inline char zq_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}
void zq_to_lower(char *p, size_t n); /* in place; ASCII alone, as everywhere */
bool zq_is_lower(struct zq_slice s); /* would that change nothing? */

/* Takes what comes before the next `mark`, or all there is, off `*rest`, and the mark with it.
 * False where nothing is left. */
bool zq_slice_next(struct zq_slice *rest, char mark, struct zq_slice *piece);

/* Is the text that `n` pieces make, one behind the other, as the pattern says? `*` stands for any
 * run of bytes. Each byte is looked at as often as the pattern is long, at the most. */
bool zq_glob(struct zq_slice pattern, const struct zq_slice *pieces, size_t n);

/* A decimal number without sign or space; ZQ_EINVAL if it is none, ZQ_ELIMIT past `max`. */
int zq_parse_u64(struct zq_slice s, uint64_t max, uint64_t *out);

/* Both write at `to`, and return the end of what they wrote: a few instructions where printf would
 * be a good part of what a warm hit costs. A number takes up to 20 bytes. */
static inline char *zq_put(char *to, struct zq_slice s)
{
    memcpy(to, s.p, s.n);
    return to + s.n;
}
static inline char *zq_put_text(char *to, const char *text)
{
    return zq_put(to, zq_slice_str(text));
}
char *zq_put_number(char *to, uint64_t number);

/* Takes the next member of a comma-separated list off `*list` (RFC 9110 5.6.1: empty members are
 * skipped; commas inside quoted strings do not split). False at the end. */
bool zq_list_next(struct zq_slice *list, struct zq_slice *member);

/* Freed blocks of up to `block_bytes`, and so much in all, stay in the heap for the next use,
 * instead of going back to the system with each response. Call it first. */
void zq_memory_keep(size_t block_bytes, size_t bytes);

/* A growing byte buffer. Zero-initialised is empty. Readable bytes are p[off .. off+n). */
struct zq_buf {
    char *p;
    size_t off, n, cap;
};

void zq_buf_fini(struct zq_buf *b);
/* At least `n` writable bytes behind the data, or NULL when out of memory. */
char *zq_buf_reserve(struct zq_buf *b, size_t n);
static inline void zq_buf_commit(struct zq_buf *b, size_t n)
{
    b->n += n;
}
int zq_buf_append(struct zq_buf *b, const void *p, size_t n); /* 0 or ZQ_ENOMEM */
int zq_buf_printf(struct zq_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int zq_buf_vprintf(struct zq_buf *b, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
void zq_buf_consume(struct zq_buf *b, size_t n); /* from the front */
static inline char *zq_buf_data(const struct zq_buf *b)
{
    return b->p + b->off;
}

/* A counted piece of memory, which several may read, on any thread, once it is filled. */
struct zq_chunk {
    atomic_uint refs;
    size_t size;
    void (*release)(struct zq_chunk *chunk); /* before it is freed, if set */
    _Alignas(16) char data[];
};

struct zq_chunk *zq_chunk_new(size_t size); /* one reference; NULL when out of memory */
void zq_chunk_ref(struct zq_chunk *chunk);
void zq_chunk_unref(struct zq_chunk *chunk); /* NULL is fine */
/* By whoever holds a reference: is that the only one, so that it may be filled anew? */
bool zq_chunk_is_mine(const struct zq_chunk *chunk);

/* What all of them hold together. */
static inline size_t zq_iov_bytes(const struct iovec *v, int n)
{
    size_t bytes = 0;

    for (int i = 0; i < n; i++)
        bytes += v[i].iov_len;
    return bytes;
}

/* An arena: bump allocation, freed as a whole. Aligned to 16. */
struct zq_arena {
    struct zq_arena_block *head;
    char *next;  /* the rest of that block */
    size_t left; /* a multiple of 16 */
};

void *zq_arena_alloc_block(struct zq_arena *a, size_t n);        /* for zq_arena_alloc */
static inline void *zq_arena_alloc(struct zq_arena *a, size_t n) /* NULL when out of memory */
{
    if (a->head == NULL || n > a->left)
        return zq_arena_alloc_block(a, n);
    char *p = a->next;
    n = (n + 15) & ~(size_t)15;
    a->next += n;
    a->left -= n;
    return p;
}
struct zq_slice zq_arena_copy(struct zq_arena *a, struct zq_slice s); /* p is NULL if no memory */
void zq_arena_reset(struct zq_arena *a); /* keeps the first block for the next use */
void zq_arena_fini(struct zq_arena *a);

/* An intrusive doubly linked list; the head is a node that points to itself when empty. */
struct zq_node {
    struct zq_node *prev, *next;
};

static inline void zq_list_init(struct zq_node *n)
{
    n->prev = n->next = n;
}
static inline bool zq_list_empty(const struct zq_node *n)
{
    return n->next == n;
}
static inline void zq_list_append(struct zq_node *head, struct zq_node *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}
static inline void zq_list_remove(struct zq_node *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    zq_list_init(n);
}

/* SipHash-1-3 (Aumasson & Bernstein) under a key drawn once a process: tables keyed by what
 * clients send cannot be flooded with collisions. */
uint64_t zq_hash(const void *p, size_t n);
/* The same under a key that never changes: for names that outlive the process, not for tables. */
uint64_t zq_hash_fixed(const void *p, size_t n);

#endif
