/* src/base: slices, lists, numbers, buffers, arenas, the hash. */
#include "zq/base.h"
#include "zq/field.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define assert_slice(actual, literal) assert_true(zq_slice_eq((actual), zq_slice_str(literal)))

static void trims_only_space_and_tab(void **state)
{
    (void)state;
    assert_slice(zq_slice_trim(ZQ_SLICE(" \t a b\t ")), "a b");
    assert_slice(zq_slice_trim(ZQ_SLICE("\r\na")), "\r\na");
    assert_int_equal(zq_slice_trim(ZQ_SLICE(" \t ")).n, 0);
    assert_int_equal(zq_slice_trim((struct zq_slice){0}).n, 0);
}

static void compares_ascii_without_locale(void **state)
{
    (void)state;
    assert_true(zq_slice_ieq(ZQ_SLICE("Content-TYPE"), ZQ_SLICE("content-type")));
    assert_false(zq_slice_ieq(ZQ_SLICE("a"), ZQ_SLICE("ab")));
    /* `[` and `{`, `\xc9` and `\xe9` differ by the same bit as letters do. */
    assert_false(zq_slice_ieq(ZQ_SLICE("["), ZQ_SLICE("{")));
    assert_false(zq_slice_ieq(ZQ_SLICE("\xc9"), ZQ_SLICE("\xe9")));
}

/* Every byte in every place of texts of all lengths about a word's, and nothing beyond them. */
static void lowers_ascii_in_place(void **state)
{
    (void)state;
    for (size_t n = 0; n < 20; n++)
        for (unsigned c = 0; c < 256; c++) {
            char text[21], expected[21];
            for (size_t i = 0; i < sizeof(text); i++) {
                text[i] = (char)(c + i * 7);
                expected[i] = i < n ? zq_lower(text[i]) : text[i];
            }
            bool is_lower = memcmp(text, expected, n) == 0;
            assert_int_equal(zq_is_lower(zq_slice(text, n)), is_lower);
            zq_to_lower(text, n);
            assert_memory_equal(text, expected, sizeof(text));
        }
}

/* On both sides of every power of ten, and nothing beyond the digits. */
static void writes_decimal_numbers(void **state)
{
    uint64_t power = 1;

    (void)state;
    for (int i = 0; i < 20; i++, power *= 10) {
        const uint64_t numbers[] = {power - 1, power, UINT64_MAX};
        for (size_t k = 0; k < ZQ_ARRAY_SIZE(numbers); k++) {
            char text[24] = {0}, expected[24];
            snprintf(expected, sizeof(expected), "%llu", (unsigned long long)numbers[k]);
            assert_ptr_equal(zq_put_number(text, numbers[k]), text + strlen(expected));
            assert_string_equal(text, expected);
        }
    }
}

static void reads_decimal_numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        int error;
        uint64_t value;
    } rows[] = {
        {"0", 10, 0, 0},
        {"007", 10, 0, 7},
        {"10", 10, 0, 10},
        {"11", 10, ZQ_ELIMIT, 0},
        {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, ZQ_ELIMIT, 0},
        {"99999999999999999999999999", UINT64_MAX, ZQ_ELIMIT, 0},
        {"", 10, ZQ_EINVAL, 0},
        {"+1", 10, ZQ_EINVAL, 0},
        {"-1", 10, ZQ_EINVAL, 0},
        {" 1", 10, ZQ_EINVAL, 0},
        {"0x1", 10, ZQ_EINVAL, 0},
        {"99x", 10, ZQ_EINVAL, 0},
    };

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(rows); i++) {
        uint64_t value = 77;
        int error = zq_parse_u64(zq_slice_str(rows[i].text), rows[i].max, &value);
        assert_int_equal(error, rows[i].error);
        if (error == 0)
            assert_true(value == rows[i].value);
    }
}

/* RFC 9110 5.6.1: empty members are ignored; 5.6.4: commas in quoted strings do not split. */
static void splits_lists(void **state)
{
    struct zq_slice list = ZQ_SLICE(", a ,\tb=\"x, \\\" y\" ,, c,"), member;

    (void)state;
    assert_true(zq_list_next(&list, &member));
    assert_slice(member, "a");
    assert_true(zq_list_next(&list, &member));
    assert_slice(member, "b=\"x, \\\" y\"");
    assert_true(zq_list_next(&list, &member));
    assert_slice(member, "c");
    assert_false(zq_list_next(&list, &member));

    list = ZQ_SLICE("a=\"never closed, b");
    assert_true(zq_list_next(&list, &member));
    assert_slice(member, "a=\"never closed, b");
    list = ZQ_SLICE("\"\\");
    assert_true(zq_list_next(&list, &member));
    assert_false(zq_list_next(&list, &member));
}

static void takes_pieces(void **state)
{
    struct zq_slice rest = ZQ_SLICE("a;;b;"), piece;

    (void)state;
    assert_true(zq_slice_next(&rest, ';', &piece));
    assert_slice(piece, "a");
    assert_true(zq_slice_next(&rest, ';', &piece));
    assert_slice(piece, "");
    assert_true(zq_slice_next(&rest, ';', &piece));
    assert_slice(piece, "b");
    assert_false(zq_slice_next(&rest, ';', &piece));
    rest = ZQ_SLICE("all");
    assert_true(zq_slice_next(&rest, ';', &piece));
    assert_slice(piece, "all");
    assert_false(zq_slice_next(&rest, ';', &piece));
    rest = (struct zq_slice){0};
    assert_false(zq_slice_next(&rest, ';', &piece));
}

/* However the text is cut into pieces. */
static void expect_glob(const char *pattern, const char *text, bool matches)
{
    const size_t n = strlen(text);

    for (size_t i = 0; i <= n; i++)
        for (size_t k = i; k <= n; k++) {
            const struct zq_slice pieces[] = {{text, i}, {text + i, k - i}, {text + k, n - k}};
            if (zq_glob(zq_slice_str(pattern), pieces, 3) != matches)
                fail_msg("%s, %s cut at %zu and %zu", pattern, text, i, k);
        }
}

static void globs_match_over_pieces(void **state)
{
    (void)state;
    expect_glob("", "", true);
    expect_glob("*", "", true);
    expect_glob("**", "ab", true);
    expect_glob("", "a", false);
    expect_glob("ab", "ab", true);
    expect_glob("ab", "abc", false);
    expect_glob("abc", "ab", false);
    expect_glob("*b", "abab", true);
    expect_glob("a*", "ba", false);
    expect_glob("a*b*c", "aXbYbZc", true);
    expect_glob("*ab*ab", "abcab", true);
    expect_glob("*ab*ab", "ab", false);
    expect_glob("*aab", "aaaab", true);
    expect_glob("*aab*x", "aaaaby", false);
}

static void finds_repeated_fields_in_order(void **state)
{
    struct zq_field v[] = {
        {ZQ_SLICE("Vary"), ZQ_SLICE("a")},
        {ZQ_SLICE("age"), ZQ_SLICE("1")},
        {ZQ_SLICE("VARY"), ZQ_SLICE("b")},
    };
    struct zq_fields fields = {v, 3};
    const struct zq_field *f = zq_fields_find(&fields, ZQ_SLICE("vary"), NULL);

    (void)state;
    assert_ptr_equal(f, &v[0]);
    f = zq_fields_find(&fields, ZQ_SLICE("vary"), f);
    assert_ptr_equal(f, &v[2]);
    assert_null(zq_fields_find(&fields, ZQ_SLICE("vary"), f));
    assert_null(zq_fields_find(&fields, ZQ_SLICE("var"), NULL));
}

/* A buffer is a queue of bytes: whatever is appended comes out in order. */
static void buffers_keep_bytes_in_order(void **state)
{
    struct zq_buf b = {0};
    unsigned char in = 0, out = 0;

    (void)state;
    srand(7);
    for (int i = 0; i < 20000; i++) {
        size_t n = (size_t)(rand() % 97);
        if (rand() % 2) {
            char *to = zq_buf_reserve(&b, n);
            for (size_t k = 0; k < n; k++)
                to[k] = (char)in++;
            zq_buf_commit(&b, n);
        } else {
            n = n < b.n ? n : b.n;
            for (size_t k = 0; k < n; k++)
                assert_int_equal((unsigned char)zq_buf_data(&b)[k], out++);
            zq_buf_consume(&b, n);
        }
    }
    assert_true(b.cap < 1u << 20);
    zq_buf_fini(&b);
}

static void buffers_print(void **state)
{
    struct zq_buf b = {0};
    char long_text[1000];

    (void)state;
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    assert_int_equal(zq_buf_printf(&b, "%s|%d", long_text, 42), 0);
    assert_int_equal(b.n, 999 + 3);
    assert_memory_equal(zq_buf_data(&b) + 999, "|42", 3);
    assert_null(zq_buf_reserve(&b, SIZE_MAX));
    assert_int_equal(b.n, 999 + 3);
    zq_buf_fini(&b);
}

static void arenas_align_and_are_reused(void **state)
{
    struct zq_arena a = {0};
    char *first = zq_arena_alloc(&a, 3);
    char *second = zq_arena_alloc(&a, 100000);

    (void)state;
    assert_int_equal((uintptr_t)first % 16, 0);
    assert_int_equal((uintptr_t)second % 16, 0);
    memset(first, 1, 3);
    memset(second, 2, 100000);
    assert_int_equal(first[2], 1);
    assert_slice(zq_arena_copy(&a, ZQ_SLICE("copy")), "copy");
    assert_non_null(zq_arena_copy(&a, (struct zq_slice){0}).p);
    zq_arena_reset(&a);
    assert_ptr_equal(zq_arena_alloc(&a, 3), first);
    assert_null(zq_arena_alloc(&a, SIZE_MAX - 3));
    zq_arena_fini(&a);
}

/* The same bytes hash alike, prefixes and single bits apart; wherever they lie. */
static void hash_depends_on_every_byte(void **state)
{
    char text[40], copy[41];

    (void)state;
    memset(text, 'k', sizeof(text));
    memcpy(copy + 1, text, sizeof(text));
    for (size_t n = 0; n <= sizeof(text); n++) {
        uint64_t h = zq_hash(text, n);
        assert_true(h == zq_hash(copy + 1, n));
        for (size_t i = 0; i < n; i++) {
            text[i] ^= 1;
            assert_true(h != zq_hash(text, n));
            text[i] ^= 1;
        }
        if (n > 0)
            assert_true(h != zq_hash(text, n - 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trims_only_space_and_tab),
        cmocka_unit_test(compares_ascii_without_locale),
        cmocka_unit_test(lowers_ascii_in_place),
        cmocka_unit_test(writes_decimal_numbers),
        cmocka_unit_test(reads_decimal_numbers),
        cmocka_unit_test(splits_lists),
        cmocka_unit_test(takes_pieces),
        cmocka_unit_test(globs_match_over_pieces),
        cmocka_unit_test(finds_repeated_fields_in_order),
        cmocka_unit_test(buffers_keep_bytes_in_order),
        cmocka_unit_test(buffers_print),
        cmocka_unit_test(arenas_align_and_are_reused),
        cmocka_unit_test(hash_depends_on_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
