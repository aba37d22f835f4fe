/* src/front/json.c: what the admin API reads and writes. */
#include "front/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MEMBERS 3
#define STRINGS 4

struct reading {
    struct zq_arena arena;
    struct json_member v[MEMBERS];
    size_t n;
};

/* From memory of just that length, so that the sanitizers see what is read beyond. */
static const char *read_bytes(struct reading *r, const char *text, size_t n)
{
    char *copy = malloc(n ? n : 1);

    *r = (struct reading){0};
    memcpy(copy, text, n);
    const char *fault = json_read(zq_slice(copy, n), &r->arena, r->v, MEMBERS, STRINGS, &r->n);
    free(copy); /* what was read is in the arena */
    return fault;
}

static void objects_are_read(void **state)
{
    struct reading r;
    const char *text = " { \"a\" : \"x\" ,\r\n\t\"b\":[ \"1\", \"2\" ,\"3\",\"\" ],\"c\":true } ";

    (void)state;
    assert_null(read_bytes(&r, text, strlen(text)));
    assert_int_equal(r.n, 3);
    assert_true(zq_slice_eq(r.v[0].name, ZQ_SLICE("a")));
    assert_int_equal(r.v[0].kind, JSON_STRINGS);
    assert_int_equal(r.v[0].n, 1);
    assert_false(r.v[0].is_list);
    assert_true(zq_slice_eq(r.v[0].strings[0], ZQ_SLICE("x")));
    assert_true(r.v[1].is_list);
    assert_int_equal(r.v[1].n, 4);
    assert_true(zq_slice_eq(r.v[1].strings[2], ZQ_SLICE("3")));
    assert_int_equal(r.v[1].strings[3].n, 0);
    assert_int_equal(r.v[2].kind, JSON_BOOL);
    assert_true(r.v[2].truth);
    zq_arena_fini(&r.arena);
    assert_null(read_bytes(&r, "{}", 2));
    assert_int_equal(r.n, 0);
    zq_arena_fini(&r.arena);
    assert_null(read_bytes(&r, "{\"\":[],\"f\":false}", 17));
    assert_int_equal(r.v[0].n, 0);
    assert_false(r.v[1].truth);
    zq_arena_fini(&r.arena);
}

static void escapes_are_read(void **state)
{
    static const struct {
        const char *text, *value;
    } rows[] = {
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac"},
        {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
        {"\xc3\xa9", "\xc3\xa9"},
    };
    struct reading r;
    char text[100];

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        strcpy(text, "{\"a\":\"");
        strcat(text, rows[i].text);
        strcat(text, "\"}");
        assert_null(read_bytes(&r, text, strlen(text)));
        assert_true(zq_slice_eq(r.v[0].strings[0], zq_slice_str(rows[i].value)));
        zq_arena_fini(&r.arena);
    }
}

static void what_is_wrong_is_said(void **state)
{
    static const char *const rows[] = {
        "",
        "[]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1}",
        "{\"a\":tru}",
        "{\"a\":null}",
        "{\"a\":{}}",
        "{\"a\":[\"x\"}",
        "{\"a\":[\"x\",]}",
        "{\"a\":[\"1\",\"2\",\"3\",\"4\",\"5\"]}",
        "{\"a\":\"x\",}",
        "{\"a\":\"x\"}}",
        "{a:\"x\"}",
        "{\"a\":\"\\",
        "{\"a\":\"\\\"}",
        "{\"a\":\"\\q\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":true,\"b\":true,\"c\":true,\"d\":true}",
    };
    struct reading r;

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        if (read_bytes(&r, rows[i], strlen(rows[i])) == NULL)
            fail_msg("accepted: %s", rows[i]);
        zq_arena_fini(&r.arena);
    }
}

/* Every truncation and many changes end in a fault or in slices; the sanitizers watch. */
static void damaged_objects_do_no_harm(void **state)
{
    static const char text[] =
        "{\"a\":[\"\\u00e9\\n\",\"\\ud83d\\ude00\"],\"b\":\"x\",\"c\":false}";
    struct reading r;
    char copy[sizeof(text)];

    (void)state;
    srand(5);
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        assert_non_null(read_bytes(&r, text, n));
        zq_arena_fini(&r.arena);
    }
    for (int i = 0; i < 20000; i++) {
        memcpy(copy, text, sizeof(text));
        for (int k = rand() % 3; k >= 0; k--)
            copy[(size_t)rand() % (sizeof(text) - 1)] = "\"\\{}[],:u0d8 x"[rand() % 14];
        read_bytes(&r, copy, sizeof(text) - 1);
        zq_arena_fini(&r.arena);
    }
}

static void strings_are_written(void **state)
{
    struct zq_buf out = {0};

    (void)state;
    assert_int_equal(json_put(&out, ZQ_SLICE("a\"\\\n\x7f\xe9 z")), 0);
    assert_true(zq_slice_eq(zq_slice(zq_buf_data(&out), out.n),
                            ZQ_SLICE("\"a\\\"\\\\\\u000a\\u007f\\u00e9 z\"")));
    zq_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_read),      cmocka_unit_test(escapes_are_read),
        cmocka_unit_test(what_is_wrong_is_said), cmocka_unit_test(damaged_objects_do_no_harm),
        cmocka_unit_test(strings_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
