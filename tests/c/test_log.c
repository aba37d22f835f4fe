/* src/base/log.c: one line a call, whatever is in it. */
#include "zq/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static int saved, ends[2];
static char text[16384];

static int setup(void **state)
{
    (void)state;
    saved = dup(STDERR_FILENO);
    return pipe(ends) || dup2(ends[1], STDERR_FILENO) < 0;
}

/* What was logged since; standard error is back where it was. */
static const char *logged(void)
{
    ssize_t n;

    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    n = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void a_line_has_level_and_role(void **state)
{
    (void)state;
    zq_log_init("front", ZQ_LOG_INFO);
    zq_log(ZQ_LOG_INFO, "%d threads", 2);
    zq_log(ZQ_LOG_WARNING, "full");
    zq_log(ZQ_LOG_DEBUG, "not asked for");
    assert_string_equal(logged(), "INFO:     zq front: 2 threads\nWARNING:  zq front: full\n");
}

static void super_needs_no_role(void **state)
{
    (void)state;
    zq_log_init("", ZQ_LOG_DEBUG);
    zq_log(ZQ_LOG_CRITICAL, "zq is ready");
    assert_string_equal(logged(), "CRITICAL: zq is ready\n");
}

static void a_call_is_one_line(void **state)
{
    (void)state;
    zq_log_init("front", ZQ_LOG_INFO);
    zq_log(ZQ_LOG_INFO, "a\nb\033[2Jc\x7f");
    assert_string_equal(logged(), "INFO:     zq front: a b [2Jc \n");
}

static void a_long_line_is_cut(void **state)
{
    static char longer[9000];

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    zq_log_init("front", ZQ_LOG_INFO);
    zq_log(ZQ_LOG_INFO, "%s", longer);
    assert_in_range(strlen(logged()), 4000, 4096);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void escaping_leaves_printable_ascii(void **state)
{
    struct zq_buf out = {0};

    (void)state;
    logged();
    assert_int_equal(zq_log_escape(&out, ZQ_SLICE("a b\"\\\n\x7f\xc3\0~")), 0);
    assert_int_equal(zq_buf_append(&out, "", 1), 0);
    assert_string_equal(zq_buf_data(&out), "a b\\x22\\x5c\\x0a\\x7f\\xc3\\x00~");
    zq_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_has_level_and_role, setup),
        cmocka_unit_test_setup(super_needs_no_role, setup),
        cmocka_unit_test_setup(a_call_is_one_line, setup),
        cmocka_unit_test_setup(a_long_line_is_cut, setup),
        cmocka_unit_test_setup(escaping_leaves_printable_ascii, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
