/* Content codings: who may get one, which, and with what head (RFC 9110 8.4, 12.5.3). */
#include "test_cache_rig.h"

#include "cache/coding.h"
#include "cache/compress.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

static const struct zq_coding_rules all = {
    .codings = {ZQ_CODING_BR, ZQ_CODING_ZSTD, ZQ_CODING_GZIP}, .n = 3, .min_bytes = 1};

/* The codings that a request gets, best first: `br gzip`. */
static const char *ranked(const char *fields, const struct zq_coding_rules *rules)
{
    static char out[64];
    struct rig_fields f;
    enum zq_coding codings[ZQ_CODING_COUNT];
    struct zq_accepted accepted = zq_coding_accepted(rig_fields(&f, fields));
    size_t n = zq_coding_rank(&accepted, rules, codings);

    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        strcat(out, i > 0 ? " " : "");
        strcat(out, zq_coding_word(codings[i]));
    }
    return out;
}

static void accept_encoding_ranks(void **state)
{
    static const struct {
        const char *value, *ranked;
    } cases[] = {
        {"gzip", "gzip"},
        {"gzip, deflate, br, zstd", "br zstd gzip"}, /* the same to the client: ours */
        {"GZip", "gzip"},
        {"x-gzip", "gzip"}, /* RFC 9110 8.4.1.3 */
        {"gzip;q=1.0, br;q=0.5", "gzip br"},
        {"gzip;q=0.5, br;q=0.9, zstd;q=0.7", "br zstd gzip"},
        {"br;q=0", ""},
        {"br;q=0.000, gzip", "gzip"},
        {"gzip;q=0.001", "gzip"},
        {"", ""},
        {",, ,", ""},
        {"identity", ""},
        {"deflate, compress", ""},
        {"*", "br zstd gzip"},
        {"*;q=0", ""},
        {"gzip, *;q=0", "gzip"},
        {"br;q=0, *", "zstd gzip"},
        {"gzip;q=0.5, *;q=0.8", "br zstd"}, /* identity has 0.8, and beats gzip */
        {"identity;q=0, *;q=0.5", "br zstd gzip"},
        {"gzip;q=0.5, identity", ""},
        {"gzip;q=0.5, identity;q=0.5", "gzip"},
        {"gzip;q=0.5, identity;q=0", "gzip"},
        {"identity;q=0", ""}, /* none is acceptable: identity goes out all the same */
        {"gzip ; q=0.5 , br\t;\tq=0.6", "br gzip"},
        {"gzip;Q=0.5", "gzip"},
        /* What is no quality is no wish. */
        {"gzip;q=", ""},
        {"gzip;q=2", ""},
        {"gzip;q=1.001", ""},
        {"gzip;q=0.1234", ""},
        {"gzip;q=-1", ""},
        {"gzip;q=.5", ""},
        {"gzip;q=1.", "gzip"},
        {"gzip;q=0.5x", ""},
        {"gzip;level=9", ""},
        {"gzip;q=0.5;x=y", ""},
        {"gzip q=1", ""},
        /* Named twice: the lower counts. */
        {"gzip, gzip;q=0", ""},
        {"gzip;q=0, x-gzip", ""},
        {"gzip;q=0\naccept-encoding: gzip, br", "br"},
    };
    char fields[200];

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(cases); i++) {
        snprintf(fields, sizeof(fields), "accept-encoding: %s", cases[i].value);
        if (strcmp(ranked(fields, &all), cases[i].ranked) != 0)
            fail_msg("`%s`: `%s` instead of `%s`", cases[i].value, ranked(fields, &all),
                     cases[i].ranked);
    }
    assert_string_equal(ranked("accept: gzip", &all), "");
}

static void only_what_the_rules_have_is_ranked(void **state)
{
    const struct zq_coding_rules two = {.codings = {ZQ_CODING_GZIP, ZQ_CODING_BR}, .n = 2};

    assert_string_equal(ranked("accept-encoding: zstd, br, gzip", &two), "gzip br");
    assert_string_equal(ranked("accept-encoding: zstd", &two), "");
}

static void what_may_be_coded(void **state)
{
    static const struct {
        const char *fields;
        bool may;
    } cases[] = {
        {"Content-Type: text/html", true},
        {"content-type: Text/CSS; charset=utf-8", true},
        {"Content-Type: application/json", true},
        {"Content-Type: application/ld+json; a=b", true},
        {"Content-Type: image/svg+xml", true},
        {"Content-Type: application/wasm", true},
        {"Content-Type: image/png", false},
        {"Content-Type: application/octet-stream", false},
        {"Content-Type: textual/html", false},
        {"Content-Type:", false},
        {"X: y", false},
        {"Content-Type: text/html\nContent-Type: image/png", false},
        {"Content-Type: text/html\nContent-Encoding: br", false},
        {"Content-Type: text/html\nContent-Encoding: identity", false},
        {"Content-Type: text/html\nContent-Range: bytes 0-1/2", false},
        /* RFC 9111 5.2.2.6; a targeted field does not hide it */
        {"Content-Type: text/html\nCache-Control: max-age=5, No-Transform", false},
        {"Content-Type: text/html\nCache-Control: a\nCache-Control: no-transform", false},
        {"Content-Type: text/html\nCache-Control: no-transform=x", false},
        {"Content-Type: text/html\nCache-Control: no-transform\nZq-Cache-Control: max-age=5",
         false},
        {"Content-Type: text/html\nZq-Cache-Control: max-age=5, no-transform", false},
        {"Content-Type: text/html\nCache-Control: a=\"no-transform\"", true},
    };
    struct rig_fields f;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(cases); i++)
        if (zq_coding_permitted(rig_fields(&f, cases[i].fields)) != cases[i].may)
            fail_msg("%s", cases[i].fields);
    assert_true(zq_coding_is_varied(rig_fields(&f, "Vary: a, Accept-ENCODING")));
    assert_false(zq_coding_is_varied(rig_fields(&f, "Vary: a\nX: accept-encoding")));
}

static void expect_block(const char *from, const char *to)
{
    struct zq_slice block = zq_slice_str(from);
    char *out = malloc(zq_coding_block_bound(block));
    size_t n = zq_coding_block(out, block, ZQ_CODING_ZSTD);

    assert_int_equal(n, strlen(to));
    assert_memory_equal(out, to, n);
    free(out);
}

#define OK "HTTP/1.1 200 OK\r\n"
#define CODED "Content-Encoding: zstd\r\n"

/* RFC 9110 8.8.3.3: a form of its own must not have the tag of another. */
static void the_head_of_a_coded_response(void **state)
{
    expect_block(OK "A: b\r\nETag: \"x\"\r\nC: d\r\n",
                 OK "A: b\r\nETag: W/\"x\"\r\nC: d\r\n" CODED);
    expect_block(OK "etag:W/\"x\"\r\n", OK "ETag: W/\"x\"\r\n" CODED);
    expect_block(OK "ETag: \"x\"\r\nETag: \"y\"\r\n", OK "ETag: W/\"x\"\r\n" CODED);
    expect_block(OK "ETag: x\r\n", OK CODED);
    expect_block(OK "ETag:\r\n", OK CODED);
    expect_block(OK "Digest: a\r\nRepr-Digest: b\r\nContent-Digest: c\r\nContent-MD5: d\r\n"
                    "Accept-Ranges: bytes\r\nWant-Digest: e\r\n",
                 OK "Want-Digest: e\r\n" CODED);
    expect_block(OK "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                 OK "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                    "ETag: W/\"2ebc98a1\"\r\n" CODED);
    expect_block(OK "ETag: \"x\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                 OK "ETag: W/\"x\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n" CODED);
    expect_block(OK "Last-Modified: once\r\n", OK "Last-Modified: once\r\n" CODED);
}

/* ---- compressing ---- */

struct content {
    struct zq_segment *first;
    uint64_t length;
    char *text;
};

/* Text in segments of odd sizes. */
static struct content content_of(uint64_t length)
{
    struct content c = {.length = length, .text = malloc(length)};
    struct zq_segment **at = &c.first;

    for (uint64_t i = 0; i < length; i++)
        c.text[i] = "the quick brown fox jumps over the lazy dog\n"[(i ^ (i / 44 % 7)) % 44];
    for (uint64_t start = 0, size = 1; start < length; start += size, size = size * 3 + 1) {
        struct zq_segment *s = malloc(sizeof(*s) + size);
        uint64_t n = length - start < size ? length - start : size;
        *s = (struct zq_segment){.start = start, .size = size};
        memcpy(zq_segment_own(s), c.text + start, n);
        *at = s;
        at = &s->next;
    }
    return c;
}

static void content_free(struct content *c)
{
    while (c->first != NULL) {
        struct zq_segment *next = c->first->next;
        free(c->first);
        c->first = next;
    }
    free(c->text);
}

static size_t decode(enum zq_coding coding, const char *in, size_t n, char *out, size_t max)
{
    if (coding == ZQ_CODING_ZSTD)
        return ZSTD_decompress(out, max, in, n);
    if (coding == ZQ_CODING_BR)
        return BrotliDecoderDecompress(n, (const uint8_t *)in, &max, (uint8_t *)out) ? max : 0;
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
                  .avail_in = (uInt)n,
                  .next_out = (Bytef *)out,
                  .avail_out = (uInt)max};
    assert_int_equal(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    inflateEnd(&z);
    return max - z.avail_out;
}

static void what_is_compressed_comes_back(void **state)
{
    static const uint64_t lengths[] = {1, 2, 1000, 40000, 300000, 3000001};
    atomic_bool stop = false;

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(lengths); i++)
        for (int coding = 0; coding < ZQ_CODING_COUNT; coding++) {
            struct content c = content_of(lengths[i]);
            size_t max = c.length + 100, n;
            char *out = malloc(max), *back = malloc(c.length + 1);
            assert_int_equal(
                zq_compress((enum zq_coding)coding, c.first, c.length, out, max, &n, &stop), 0);
            assert_int_equal(decode((enum zq_coding)coding, out, n, back, c.length + 1), c.length);
            assert_memory_equal(back, c.text, c.length);
            /* To the byte: one less does not do. */
            char *tight = malloc(n);
            size_t again;
            assert_int_equal(
                zq_compress((enum zq_coding)coding, c.first, c.length, tight, n, &again, &stop), 0);
            assert_int_equal(again, n);
            assert_int_equal(
                zq_compress((enum zq_coding)coding, c.first, c.length, tight, n - 1, &again, &stop),
                ZQ_ELIMIT);
            free(tight);
            free(out);
            free(back);
            content_free(&c);
        }
}

static void compressing_stops_when_told(void **state)
{
    struct content c = content_of(100000);
    atomic_bool stop = true;
    char *out = malloc(c.length);
    size_t n;

    for (int coding = 0; coding < ZQ_CODING_COUNT; coding++)
        assert_int_equal(
            zq_compress((enum zq_coding)coding, c.first, c.length, out, c.length, &n, &stop),
            ZQ_ECLOSED);
    free(out);
    content_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept_encoding_ranks),
        cmocka_unit_test(only_what_the_rules_have_is_ranked),
        cmocka_unit_test(what_may_be_coded),
        cmocka_unit_test(the_head_of_a_coded_response),
        cmocka_unit_test(what_is_compressed_comes_back),
        cmocka_unit_test(compressing_stops_when_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
