/* The store's heap: never more than it was given, whatever is asked for in whatever order, nothing
 * overlaps, and all of it comes back. */
#include "cache/heap.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static uint32_t dice(uint64_t *seed, uint32_t n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % n;
}

/* ---- classes ---- */

static void every_size_has_a_class(void **state)
{
    size_t before = 0;

    (void)state;
    for (size_t bytes = 1; bytes <= 5 * ZQ_HEAP_PAGE; bytes++) {
        size_t class = zq_heap_class(bytes), fit = zq_heap_fit(bytes);
        assert_true(class >= bytes && class >= before && class % 8 == 0);
        assert_int_equal(zq_heap_class(class), class);
        assert_true(bytes > 256 || class <= bytes + 15);
        assert_true(fit > 0 && fit <= bytes);
        /* What is asked for in this way is used, all but an eighth; and a good part of the whole.
         */
        assert_true(fit <= 256 || zq_heap_class(fit) <= fit + bytes / 8);
        assert_true(fit >= bytes / 2);
        before = class;
    }
    assert_int_equal(zq_heap_class(ZQ_HEAP_MAX), ZQ_HEAP_MAX);
}

/* A page of pieces has no more than 5 % that is no piece. */
static void a_slab_is_used(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes <= ZQ_HEAP_PIECE_MAX; bytes++) {
        size_t class = zq_heap_class(bytes);
        assert_true(ZQ_HEAP_PAGE / class * class >= ZQ_HEAP_PAGE * 95 / 100);
    }
}

/* ---- alone ---- */

static void its_tables_are_in_its_bytes(void **state)
{
    struct zq_heap heap;

    (void)state;
    assert_true(zq_heap_init(&heap, 64 * MIB));
    assert_true((uint64_t)heap.n_pages * ZQ_HEAP_PAGE < 64 * MIB);
    assert_true((uint64_t)heap.n_pages * ZQ_HEAP_PAGE > 63 * MIB);
    zq_heap_fini(&heap);
}

static void of_no_bytes_nothing_is_had(void **state)
{
    struct zq_heap heap;
    size_t bytes = 5000;
    int outside;

    (void)state;
    assert_true(zq_heap_init(&heap, 100));
    assert_null(zq_heap_alloc(&heap, 1));
    assert_null(zq_heap_alloc_some(&heap, &bytes));
    assert_int_equal(bytes, 5000);
    assert_false(zq_heap_has(&heap, &outside));
    zq_heap_fini(&heap);
}

/* Until there is no more; the same number again when all of it has come back. */
static size_t fill(struct zq_heap *heap, size_t bytes)
{
    static void *all[70000];
    size_t n = 0, taken;

    while ((all[n] = zq_heap_alloc(heap, bytes)) != NULL) {
        memset(all[n], (int)n, bytes);
        n++;
    }
    taken = n;
    assert_int_equal(zq_heap_live(heap), n * zq_heap_class(bytes));
    assert_true(zq_heap_used(heap) <= (uint64_t)heap->n_pages * ZQ_HEAP_PAGE);
    while (n > 0)
        zq_heap_free(heap, all[--n]);
    assert_int_equal(zq_heap_used(heap), 0);
    assert_int_equal(zq_heap_live(heap), 0);
    return taken;
}

static void it_is_full_and_empty_again(void **state)
{
    static const size_t sizes[] = {16, 100, 256, 2048, 2049, 4096, 10000, 65536, 300000, MIB};
    struct zq_heap heap;

    (void)state;
    assert_true(zq_heap_init(&heap, MIB + MIB / 64));
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(sizes); i++) {
        size_t n = fill(&heap, sizes[i]);
        /* A long run is looked for in a block of 2^k pages; the rest of that serves others. */
        assert_true(n * zq_heap_class(sizes[i]) >= (sizes[i] > 65536 ? MIB / 2 : MIB * 3 / 4));
    }
    assert_null(zq_heap_alloc(&heap, MIB + 1));
    zq_heap_fini(&heap);
}

/* Every other page is free: what needs two in one piece has none, what does not gets one. */
static void some_is_what_there_is(void **state)
{
    struct zq_heap heap;
    void *pages[300], *p;
    size_t n = 0, bytes = 3 * ZQ_HEAP_PAGE;

    (void)state;
    assert_true(zq_heap_init(&heap, MIB));
    while ((pages[n] = zq_heap_alloc(&heap, ZQ_HEAP_PAGE)) != NULL)
        n++;
    assert_null(zq_heap_alloc_some(&heap, &bytes));
    assert_int_equal(bytes, 3 * ZQ_HEAP_PAGE);
    for (size_t i = 0; i < n; i += 2)
        zq_heap_free(&heap, pages[i]);
    assert_null(zq_heap_alloc(&heap, bytes));
    assert_non_null(p = zq_heap_alloc_some(&heap, &bytes));
    assert_int_equal(bytes, ZQ_HEAP_PAGE);
    zq_heap_free(&heap, p);
    for (size_t i = 1; i < n; i += 2)
        zq_heap_free(&heap, pages[i]);
    /* They have joined. */
    bytes = 100 * ZQ_HEAP_PAGE + 1;
    assert_non_null(p = zq_heap_alloc_some(&heap, &bytes));
    assert_int_equal(bytes, 100 * ZQ_HEAP_PAGE + 1);
    zq_heap_free(&heap, p);
    zq_heap_fini(&heap);
}

/* Where no page is left, a piece of a larger class that is free serves, up to twice as large. */
static void a_larger_piece_serves(void **state)
{
    struct zq_heap heap;
    void *pages[300], *pieces[2];
    size_t n = 0;

    (void)state;
    assert_true(zq_heap_init(&heap, MIB));
    pieces[0] = zq_heap_alloc(&heap, 512);
    while ((pages[n] = zq_heap_alloc(&heap, ZQ_HEAP_PAGE)) != NULL)
        n++;
    assert_null(zq_heap_alloc(&heap, 240));
    assert_non_null(pieces[1] = zq_heap_alloc(&heap, 256));
    assert_int_equal(zq_heap_size(&heap, pieces[1]), 512);
    assert_int_equal(zq_heap_live(&heap), n * ZQ_HEAP_PAGE + 2 * 512);
    zq_heap_free(&heap, pieces[0]);
    zq_heap_free(&heap, pieces[1]);
    assert_int_equal(zq_heap_used(&heap), n * ZQ_HEAP_PAGE);
    assert_non_null(pieces[1] = zq_heap_alloc(&heap, 256)); /* there is a page again */
    assert_int_equal(zq_heap_size(&heap, pieces[1]), 256);
    zq_heap_free(&heap, pieces[1]);
    while (n > 0)
        zq_heap_free(&heap, pages[--n]);
    zq_heap_fini(&heap);
}

static void what_is_cut_off_is_free(void **state)
{
    struct zq_heap heap;
    char *p, *small;

    (void)state;
    assert_true(zq_heap_init(&heap, MIB));
    p = zq_heap_alloc(&heap, 16 * ZQ_HEAP_PAGE);
    memset(p, 'x', 16 * ZQ_HEAP_PAGE);
    zq_heap_cut(&heap, p, 5 * ZQ_HEAP_PAGE - 10);
    assert_int_equal(zq_heap_used(&heap), 5 * ZQ_HEAP_PAGE);
    assert_int_equal(zq_heap_live(&heap), 5 * ZQ_HEAP_PAGE);
    for (size_t i = 0; i < 5 * ZQ_HEAP_PAGE; i++)
        assert_int_equal(p[i], 'x');
    zq_heap_cut(&heap, p, 5 * ZQ_HEAP_PAGE);
    assert_int_equal(zq_heap_used(&heap), 5 * ZQ_HEAP_PAGE);
    small = zq_heap_alloc(&heap, 100);
    zq_heap_cut(&heap, small, 10); /* a piece stays what it is */
    assert_int_equal(zq_heap_live(&heap), 5 * ZQ_HEAP_PAGE + zq_heap_class(100));
    zq_heap_free(&heap, small);
    zq_heap_free(&heap, p);
    zq_heap_fini(&heap);
}

/* ---- pages that others refer to ---- */

enum { LENT = 16 * ZQ_HEAP_PAGE };

/* A run of that byte, and a pipe with its pages. */
static char *lend(struct zq_heap *heap, int byte, int ends[2])
{
    struct iovec v = {zq_heap_alloc(heap, LENT), LENT};

    assert_non_null(v.iov_base);
    memset(v.iov_base, byte, LENT);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(vmsplice(ends[1], &v, 1, SPLICE_F_NONBLOCK), LENT);
    return v.iov_base;
}

/* Is all that the pipe has that byte? */
static bool has_all(int ends[2], int byte)
{
    static char got[LENT], wanted[LENT];

    memset(wanted, byte, LENT);
    assert_int_equal(read(ends[0], got, LENT), LENT);
    close(ends[0]);
    close(ends[1]);
    return memcmp(got, wanted, LENT) == 0;
}

/* `huge`: where the system has such pages, of which the run is a part. */
static void expect_renewed(bool huge)
{
    struct zq_heap heap;
    int ends[2];

    assert_true(zq_heap_init(&heap, 8 * MIB));
    if (huge)
        madvise(heap.base, (size_t)heap.n_pages * ZQ_HEAP_PAGE, MADV_HUGEPAGE);
    fill(&heap, MIB);
    char *run = lend(&heap, 'a', ends);
    memset(run, 'b', LENT); /* so it is by reference, and this is what must not be */
    if (!has_all(ends, 'b'))
        skip();
    zq_heap_free(&heap, run);
    run = lend(&heap, 'c', ends);
    assert_true(zq_heap_renew(&heap, run));
    for (size_t i = 0; i < LENT; i++)
        assert_int_equal(run[i], 0);
    zq_heap_free(&heap, run);
    fill(&heap, LENT); /* writes to all there is */
    assert_true(has_all(ends, 'c'));
    assert_int_equal(zq_heap_used(&heap), 0);
    zq_heap_fini(&heap);
}

static void what_was_renewed_is_not_written_to(void **state)
{
    (void)state;
    expect_renewed(false);
    expect_renewed(true);
}

/* Locked pages are not let go of. Then the run is nobody's, for good. */
static void what_cannot_be_renewed_stays(void **state)
{
    struct zq_heap heap;
    int ends[2];

    (void)state;
    assert_true(zq_heap_init(&heap, MIB));
    /* The sanitizers' mlock locks nothing. */
    if (syscall(SYS_mlock, heap.base, (size_t)heap.n_pages * ZQ_HEAP_PAGE) != 0) {
        zq_heap_fini(&heap);
        skip();
    }
    char *run = lend(&heap, 'a', ends);
    assert_false(zq_heap_renew(&heap, run));
    assert_int_equal(zq_heap_used(&heap), LENT);
    for (void *p; (p = zq_heap_alloc(&heap, ZQ_HEAP_PAGE)) != NULL;) {
        memset(p, 'b', ZQ_HEAP_PAGE);
        assert_false((char *)p >= run && (char *)p < run + LENT);
    }
    assert_true(has_all(ends, 'a'));
    for (char *p = heap.base; zq_heap_used(&heap) > LENT; p += ZQ_HEAP_PAGE)
        if (p < run || p >= run + LENT)
            zq_heap_free(&heap, p);
    zq_heap_fini(&heap);
}

/* ---- against a model: what is allocated, and what was written to it ---- */

enum { SLOTS = 3000, STEPS = 200000 };

struct held {
    unsigned char *p;
    size_t bytes;
    unsigned char mark;
};

static void expect_mark(const struct held *h)
{
    size_t step = h->bytes > 64 ? h->bytes / 64 : 1;

    for (size_t i = 0; i < h->bytes; i += step)
        assert_int_equal(h->p[i], h->mark);
    assert_int_equal(h->p[h->bytes - 1], h->mark);
}

static size_t any_size(uint64_t *seed)
{
    switch (dice(seed, 8)) {
    case 0:
        return 1 + dice(seed, 200000);
    case 1:
        return 1 + dice(seed, 20000);
    default:
        return 1 + dice(seed, 700);
    }
}

static void take(struct zq_heap *heap, struct held *h, uint64_t *live, uint64_t *seed)
{
    size_t asked = any_size(seed);
    bool some = dice(seed, 4) == 0;

    h->bytes = asked;
    h->p = some ? zq_heap_alloc_some(heap, &h->bytes) : zq_heap_alloc(heap, asked);
    if (h->p == NULL)
        return;
    assert_true(h->bytes == asked || (some && h->bytes < asked && h->bytes % ZQ_HEAP_PAGE == 0));
    assert_int_equal((uintptr_t)h->p % 8, 0);
    assert_true(zq_heap_has(heap, h->p) && zq_heap_has(heap, h->p + h->bytes - 1));
    h->mark = (unsigned char)dice(seed, 256);
    memset(h->p, h->mark, h->bytes);
    size_t size = zq_heap_size(heap, h->p), class = zq_heap_class(h->bytes);
    assert_true(size == class || (size > class && size <= 2 * class && size <= ZQ_HEAP_PIECE_MAX));
    *live += size;
}

static void give(struct zq_heap *heap, struct held *h, uint64_t *live)
{
    expect_mark(h);
    *live -= zq_heap_size(heap, h->p);
    zq_heap_free(heap, h->p);
    h->p = NULL;
}

static void cut(struct zq_heap *heap, struct held *h, uint64_t *live, uint64_t *seed)
{
    size_t less = 1 + dice(seed, (uint32_t)h->bytes);

    if (h->bytes <= ZQ_HEAP_PIECE_MAX || less <= ZQ_HEAP_PIECE_MAX)
        return;
    *live -= zq_heap_class(h->bytes) - zq_heap_class(less);
    zq_heap_cut(heap, h->p, less);
    h->bytes = less;
}

static void any_order(void **state)
{
    static struct held held[SLOTS];
    struct zq_heap heap;
    uint64_t live = 0, seed = 1, refused = 0;

    (void)state;
    assert_true(zq_heap_init(&heap, 4 * MIB));
    for (int i = 0; i < STEPS; i++) {
        struct held *h = &held[dice(&seed, SLOTS)];
        if (h->p == NULL) {
            take(&heap, h, &live, &seed);
            refused += h->p == NULL;
        } else if (dice(&seed, 8) == 0) {
            cut(&heap, h, &live, &seed);
        } else {
            give(&heap, h, &live);
        }
        assert_int_equal(zq_heap_live(&heap), live);
        assert_true(zq_heap_used(&heap) >= live);
        assert_true(zq_heap_used(&heap) <= (uint64_t)heap.n_pages * ZQ_HEAP_PAGE);
    }
    assert_true(refused > 100); /* it was full, too */
    for (int i = 0; i < SLOTS; i++)
        if (held[i].p != NULL)
            give(&heap, &held[i], &live);
    assert_int_equal(zq_heap_used(&heap), 0);
    assert_int_equal(fill(&heap, MIB), 3); /* in as large blocks as at first */
    zq_heap_fini(&heap);
}

/* ---- threads ---- */

enum { THREADS = 4, HANDS = 200, TURNS = 20000 };

struct hand {
    pthread_t thread;
    struct zq_heap *heap;
    uint64_t seed;
};

static void *work(void *argument)
{
    struct hand *hand = argument;
    struct held held[HANDS] = {0};

    for (int i = 0; i < TURNS; i++) {
        struct held *h = &held[dice(&hand->seed, HANDS)];
        uint64_t live = UINT64_MAX / 2;
        if (h->p == NULL)
            take(hand->heap, h, &live, &hand->seed);
        else
            give(hand->heap, h, &live);
    }
    for (int i = 0; i < HANDS; i++)
        if (held[i].p != NULL)
            zq_heap_free(hand->heap, held[i].p);
    return NULL;
}

static void from_several_threads(void **state)
{
    struct hand hands[THREADS];
    struct zq_heap heap;

    (void)state;
    assert_true(zq_heap_init(&heap, 2 * MIB));
    for (int i = 0; i < THREADS; i++) {
        hands[i] = (struct hand){.heap = &heap, .seed = (uint64_t)i};
        assert_int_equal(pthread_create(&hands[i].thread, NULL, work, &hands[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(hands[i].thread, NULL);
    assert_int_equal(zq_heap_used(&heap), 0);
    zq_heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_has_a_class),
        cmocka_unit_test(a_slab_is_used),
        cmocka_unit_test(its_tables_are_in_its_bytes),
        cmocka_unit_test(of_no_bytes_nothing_is_had),
        cmocka_unit_test(it_is_full_and_empty_again),
        cmocka_unit_test(some_is_what_there_is),
        cmocka_unit_test(a_larger_piece_serves),
        cmocka_unit_test(what_is_cut_off_is_free),
        cmocka_unit_test(what_was_renewed_is_not_written_to),
        cmocka_unit_test(what_cannot_be_renewed_stays),
        cmocka_unit_test(any_order),
        cmocka_unit_test(from_several_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
