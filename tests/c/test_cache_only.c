/* Content that gets to the only one who wants it without passing through the entry. */
#include "test_cache_rig.h"

static void what_bypasses_counts(void **state)
{
    struct rig_client c = {0};

    rig_pass(*state, &c, 3 << 20);
    rig_append_bytes(&c, 0, 1000);
    assert_false(zq_reader_is_only(&c.reader, &c.writer)); /* some is not passed yet */
    assert_int_equal(rig_take_bytes(&c, 1000), 1000);
    assert_true(zq_reader_is_only(&c.reader, &c.writer));
    zq_reader_bypass(&c.reader, &c.writer, (1 << 20) - 1000);
    zq_reader_bypass(&c.reader, &c.writer, 1 << 20);
    assert_int_equal(c.reader.offset, 2 << 20);
    assert_int_equal(zq_writer_window(&c.writer), ZQ_CACHE_WINDOW);
    /* What comes by the entry again is found behind it. */
    for (uint64_t at = 2 << 20; at < 3 << 20; at += 8192) {
        rig_append_bytes(&c, at, 8192);
        assert_int_equal(rig_take_bytes(&c, 8192), 8192);
    }
    rig_end(&c, true, ZQ_READER_COMPLETE);
    assert_int_equal(zq_cache_used(*state), 0);
}

static void what_never_came_is_missing(void **state)
{
    struct rig_client c = {0};

    rig_pass(*state, &c, 2000);
    zq_reader_bypass(&c.reader, &c.writer, 1999);
    rig_end(&c, true, ZQ_READER_ABORTED);
}

static void a_reader_that_leaves_ends_it(void **state)
{
    struct rig_client c = {0};

    rig_pass(*state, &c, 2000);
    zq_reader_bypass(&c.reader, &c.writer, 1000);
    rig_leave(&c);
    assert_true(zq_writer_abandoned(&c.writer));
    zq_entry_finish(&c.writer, false);
}

static void what_is_stored_does_not(void **state)
{
    struct rig_client c = {0};

    rig_lead(*state, &c, 10);
    assert_false(zq_reader_is_only(&c.reader, &c.writer));
    assert_int_equal(rig_append(&c, "0123456789"), 0);
    rig_finish(&c);
    rig_leave(&c);
}

/* A fetch that others may join has one reader for good once its head says that it is not stored. */
static void who_joined_in_vain_is_gone(void **state)
{
    struct rig_client c = {0}, other = {0};

    assert_int_equal(rig_get(*state, &c, .now_ms = 0), ZQ_CACHE_LEAD);
    assert_int_equal(rig_get(*state, &other, .now_ms = 0), ZQ_CACHE_JOIN);
    assert_false(zq_reader_is_only(&c.reader, &c.writer));
    assert_int_equal(rig_head(&c, .fields = "Cache-Control: no-store", .length = 2000), 0);
    assert_int_equal(rig_state(&other), ZQ_READER_RELEASED);
    assert_true(zq_reader_is_only(&c.reader, &c.writer));
    zq_reader_bypass(&c.reader, &c.writer, 2000);
    rig_leave(&other);
    rig_end(&c, true, ZQ_READER_COMPLETE);
}

static void there_is_nothing_to_head(void **state)
{
    struct rig_client c = {0};

    assert_int_equal(rig_get(*state, &c, .method = "HEAD", .now_ms = 0), ZQ_CACHE_PASS);
    assert_int_equal(rig_head(&c, .fields = "Cache-Control: no-store", .no_content = true), 0);
    assert_false(zq_reader_is_only(&c.reader, &c.writer));
    zq_entry_finish(&c.writer, true);
    rig_leave(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_bypasses_counts),         RIG_TEST(what_never_came_is_missing),
        RIG_TEST(a_reader_that_leaves_ends_it), RIG_TEST(what_is_stored_does_not),
        RIG_TEST(who_joined_in_vain_is_gone),   RIG_TEST(there_is_nothing_to_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
