/* Write, commit, purge: every order in which that and two requests can meet, a step at a time.
 *
 * A and B ask, the application reads the database for whoever leads, and answers; the writer
 * commits, purges, and the sweep comes by. Who asks after the purge has returned gets what was
 * committed, and so does everybody afterwards. Also where A validates what is stored, or refreshes
 * it in the background. */
#include "test_cache_rig.h"

enum { A, B, WRITER, ACTORS };
enum mode { MISS, VALIDATE, REFRESH };

static const unsigned steps_of[ACTORS] = {5, 3, 3};

#define BLOCK "HTTP/1.1 200 OK\r\nETag: \"old\"\r\n"

struct actor {
    struct rig_client client;
    bool after; /* it asked when the purge had returned */
    bool is_new;
};

struct order {
    struct zq_cache *cache;
    char target[24];
    enum mode mode;
    struct zq_purge purge;
    struct actor actors[2];
    bool committed, purged;
    unsigned *replayed;
};

/* ---- requests ---- */

static void ask(struct order *o, struct actor *a)
{
    a->after = o->purged;
    rig_get(o->cache, &a->client, .target = o->target, .now_ms = 5000);
}

static bool leads(const struct actor *a)
{
    return a->client.writer.entry != NULL;
}

static void answer_head(struct order *o, struct actor *a, bool validates)
{
    struct rig_fields fields;
    const char *lines = "Cache-Control: max-age=60\nCache-Tag: t\nETag: \"new\"";
    bool same = validates && !a->is_new;

    if (!a->is_new)
        lines = "Cache-Control: max-age=60\nCache-Tag: t\nETag: \"old\"";
    struct zq_cache_response response = {
        .status = same ? 304 : 200,
        .fields = rig_fields(&fields, lines),
        .block = a->is_new ? ZQ_SLICE("HTTP/1.1 200 OK\r\nETag: \"new\"\r\n") : ZQ_SLICE(BLOCK),
        .content_length = same ? -1 : 3,
        .no_content = same,
        .storable = true,
    };
    assert_int_equal(zq_entry_head(&a->client.writer, &response, 5000, 1000000000), 0);
}

static void answer_content(struct actor *a)
{
    assert_int_equal(rig_append(&a->client, a->is_new ? "new" : "old"), 0);
}

/* The steps of a request that leads; others only ask. */
static void request_step(struct order *o, struct actor *a, unsigned step, bool brief)
{
    bool validates = a->client.writer.etag.p != NULL;

    if (step == 0)
        ask(o, a);
    else if (!leads(a))
        return;
    else if (step == 1)
        a->is_new = o->committed; /* the view reads the database */
    else if (brief) {
        answer_head(o, a, validates);
        answer_content(a);
        rig_finish(&a->client);
    } else if (step == 2)
        answer_head(o, a, validates);
    else if (step == 3)
        answer_content(a);
    else
        rig_finish(&a->client);
}

/* ---- the writer ---- */

static void sweep(struct zq_cache *cache)
{
    while (zq_cache_sweep(cache))
        ;
}

static void writer_step(struct order *o, unsigned step)
{
    uint64_t number;

    if (step == 0) {
        o->committed = true;
    } else if (step == 1) {
        assert_int_equal(zq_cache_purge(o->cache, &o->purge, 0, &number), 0);
        o->purged = true;
    } else {
        sweep(o->cache);
    }
}

/* ---- one order ---- */

static void expect_nothing_old(struct order *o, struct actor *a)
{
    char got[8] = "";

    if (a->client.reader.entry == NULL)
        return;
    if (rig_state(&a->client) == ZQ_READER_RELEASED) { /* it asks again, by itself */
        rig_leave(&a->client);
        rig_get(o->cache, &a->client, .target = o->target, .now_ms = 5000, .alone = true);
        if (leads(a))
            for (unsigned step = 1; step < 3; step++)
                request_step(o, a, step, true);
    }
    assert_int_equal(rig_state(&a->client), ZQ_READER_COMPLETE);
    rig_take(&a->client, got, sizeof(got) - 1);
    assert_true(strcmp(got, "new") == 0 || strcmp(got, "old") == 0);
    if (a->after)
        assert_string_equal(got, "new");
    *o->replayed += !a->is_new && strcmp(got, "new") == 0;
    rig_leave(&a->client);
}

static void store_stale(struct order *o)
{
    struct actor a = {0};
    struct rig_fields fields;
    struct zq_cache_response response = {
        .status = 200,
        .fields = rig_fields(
            &fields, o->mode == REFRESH ? "Cache-Control: max-age=1, stale-while-revalidate=60\n"
                                          "Cache-Tag: t\nETag: \"old\""
                                        : "Cache-Control: max-age=1\nCache-Tag: t\nETag: \"old\""),
        .block = ZQ_SLICE(BLOCK),
        .content_length = 3,
        .storable = true,
    };

    assert_int_equal(rig_get(o->cache, &a.client, .target = o->target), ZQ_CACHE_LEAD);
    assert_int_equal(zq_entry_head(&a.client.writer, &response, 0, 1000000000), 0);
    answer_content(&a);
    rig_finish(&a.client);
    rig_leave(&a.client);
}

static void play(struct order *o, const uint8_t *turns, unsigned n)
{
    unsigned done[ACTORS] = {0};
    struct actor last = {0};

    memset(o->actors, 0, sizeof(o->actors));
    o->committed = o->purged = false;
    if (o->mode != MISS)
        store_stale(o);
    for (unsigned i = 0; i < n; i++) {
        unsigned who = turns[i], step = done[who]++;
        if (who == WRITER)
            writer_step(o, step);
        else
            request_step(o, &o->actors[who], step, who == B);
    }
    expect_nothing_old(o, &o->actors[A]);
    expect_nothing_old(o, &o->actors[B]);
    for (unsigned step = 0; step < 3; step++)
        request_step(o, &last, step, true);
    expect_nothing_old(o, &last);
    sweep(o->cache);
}

/* All orders of what is left, behind the first `n` turns. */
static unsigned play_all(struct order *o, uint8_t *turns, unsigned n, const unsigned *left)
{
    unsigned played = 0;

    for (unsigned who = 0; who < ACTORS; who++) {
        unsigned rest[ACTORS] = {left[A], left[B], left[WRITER]};
        if (rest[who] == 0)
            continue;
        rest[who]--;
        turns[n] = (uint8_t)who;
        played += play_all(o, turns, n + 1, rest);
    }
    if (played > 0)
        return played;
    static unsigned serial;
    snprintf(o->target, sizeof(o->target), "/page/%u", serial++);
    if (o->purge.kind == ZQ_PURGE_URL)
        o->purge.text = zq_slice_str(o->target);
    play(o, turns, n);
    return 1;
}

static void in_every_order(enum mode mode)
{
    static const struct zq_purge purges[] = {
        {ZQ_PURGE_TAG, false, {"t", 1}},     {ZQ_PURGE_TAG, true, {"t", 1}},
        {ZQ_PURGE_PREFIX, false, {"/p", 2}}, {ZQ_PURGE_PREFIX, true, {"/p", 2}},
        {ZQ_PURGE_URL, false, {"", 0}},      {ZQ_PURGE_URL, true, {"", 0}},
        {ZQ_PURGE_ALL, false, {"", 0}},      {ZQ_PURGE_ALL, true, {"", 0}},
    };
    unsigned replayed = 0;
    uint8_t turns[16];

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(purges); i++) {
        /* A soft purge is there so that stale responses are used while they are refreshed. */
        if (mode == REFRESH && purges[i].soft)
            continue;
        struct order o = {.mode = mode, .purge = purges[i], .replayed = &replayed};
        o.cache = zq_cache_new(32 << 10); /* little is left for the sweep of earlier orders */
        assert_int_equal(play_all(&o, turns, 0, steps_of), 9240); /* 11! / (5! 3! 3!) */
        zq_cache_free(o.cache);
    }
    assert_true(replayed > 0);
}

static void a_miss(void **state)
{
    in_every_order(MISS);
}

/* RFC 9111 4.3.4 */
static void a_validation(void **state)
{
    in_every_order(VALIDATE);
}

/* RFC 5861 3 */
static void a_refresh(void **state)
{
    in_every_order(REFRESH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_miss),
        cmocka_unit_test(a_validation),
        cmocka_unit_test(a_refresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
