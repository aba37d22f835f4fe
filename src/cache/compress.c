/* The levels are those past which a few per cent cost several times the work; README has figures.
 */
#include "cache/compress.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#define GZIP_LEVEL 6
#define BROTLI_QUALITY 6
#define ZSTD_LEVEL 12
/* 1 MiB: any client can take that (RFC 7932 9.1, RFC 9659), and it bounds what the libraries need.
 */
#define WINDOW_BITS 20
#define PIECE_BYTES (32u << 10)

/* One compression; where it writes, and the library's own. */
struct run {
    char *out;
    size_t n, max;
    z_stream zlib;
    BrotliEncoderState *brotli;
    ZSTD_CCtx *zstd;
};

/* ---- gzip (RFC 1952) ---- */

static int gzip_begin(struct run *r, uint64_t length)
{
    (void)length;
    int error = deflateInit2(&r->zlib, GZIP_LEVEL, Z_DEFLATED, 16 + MAX_WBITS, 9, 0);

    return error == Z_OK ? 0 : ZQ_ENOMEM;
}

static int gzip_feed(struct run *r, struct zq_slice in, bool last)
{
    z_stream *z = &r->zlib;
    size_t room = r->max - r->n < UINT32_MAX ? r->max - r->n : UINT32_MAX;

    z->next_in = (Bytef *)(uintptr_t)in.p;
    z->avail_in = (uInt)in.n;
    z->next_out = (Bytef *)r->out + r->n;
    z->avail_out = (uInt)room;
    int rc = deflate(z, last ? Z_FINISH : Z_NO_FLUSH);
    r->n += room - z->avail_out;
    return z->avail_in == 0 && rc == (last ? Z_STREAM_END : Z_OK) ? 0 : ZQ_ELIMIT;
}

static void gzip_end(struct run *r)
{
    deflateEnd(&r->zlib);
}

/* ---- br (RFC 7932) ---- */

static int brotli_begin(struct run *r, uint64_t length)
{
    uint32_t hint = length < UINT32_MAX ? (uint32_t)length : UINT32_MAX;

    r->brotli = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    if (r->brotli == NULL)
        return ZQ_ENOMEM;
    BrotliEncoderSetParameter(r->brotli, BROTLI_PARAM_QUALITY, BROTLI_QUALITY);
    BrotliEncoderSetParameter(r->brotli, BROTLI_PARAM_LGWIN, WINDOW_BITS);
    BrotliEncoderSetParameter(r->brotli, BROTLI_PARAM_SIZE_HINT, hint);
    return 0;
}

static int brotli_feed(struct run *r, struct zq_slice in, bool last)
{
    BrotliEncoderOperation op = last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_PROCESS;
    const uint8_t *next_in = (const uint8_t *)in.p;
    uint8_t *next_out = (uint8_t *)r->out + r->n;
    size_t room = r->max - r->n;

    if (!BrotliEncoderCompressStream(r->brotli, op, &in.n, &next_in, &room, &next_out, NULL))
        return ZQ_ENOMEM;
    r->n = r->max - room;
    return in.n == 0 && !BrotliEncoderHasMoreOutput(r->brotli) ? 0 : ZQ_ELIMIT;
}

static void brotli_end(struct run *r)
{
    BrotliEncoderDestroyInstance(r->brotli);
}

/* ---- zstd (RFC 8878) ---- */

static int zstd_begin(struct run *r, uint64_t length)
{
    r->zstd = ZSTD_createCCtx();
    if (r->zstd == NULL)
        return ZQ_ENOMEM;
    ZSTD_CCtx_setParameter(r->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    ZSTD_CCtx_setParameter(r->zstd, ZSTD_c_windowLog, WINDOW_BITS);
    ZSTD_CCtx_setPledgedSrcSize(r->zstd, length);
    return 0;
}

static int zstd_feed(struct run *r, struct zq_slice in, bool last)
{
    ZSTD_inBuffer from = {in.p, in.n, 0};
    ZSTD_outBuffer to = {r->out, r->max, r->n};
    size_t left = ZSTD_compressStream2(r->zstd, &to, &from, last ? ZSTD_e_end : ZSTD_e_continue);

    if (ZSTD_isError(left))
        return ZQ_ENOMEM;
    r->n = to.pos;
    return from.pos == from.size && (!last || left == 0) ? 0 : ZQ_ELIMIT;
}

static void zstd_end(struct run *r)
{
    ZSTD_freeCCtx(r->zstd);
}

/* ---- all ---- */

static const struct {
    int (*begin)(struct run *run, uint64_t length);
    int (*feed)(struct run *run, struct zq_slice in, bool last);
    void (*end)(struct run *run);
} coders[] = {
    [ZQ_CODING_GZIP] = {gzip_begin, gzip_feed, gzip_end},
    [ZQ_CODING_BR] = {brotli_begin, brotli_feed, brotli_end},
    [ZQ_CODING_ZSTD] = {zstd_begin, zstd_feed, zstd_end},
};

/* The next piece of the content from `*at` on. */
static struct zq_slice take_piece(const struct zq_segment **segment, uint64_t *at, uint64_t length)
{
    while ((*segment)->start + (*segment)->size <= *at)
        *segment = (*segment)->next;
    size_t skip = (size_t)(*at - (*segment)->start), n = (*segment)->size - skip;
    n = n < length - *at ? n : (size_t)(length - *at);
    n = n < PIECE_BYTES ? n : PIECE_BYTES;
    *at += n;
    return zq_slice(zq_segment_data(*segment) + skip, n);
}

static int feed_all(struct run *r, enum zq_coding coding, const struct zq_segment *segment,
                    uint64_t length, const atomic_bool *stop)
{
    int error = 0;

    for (uint64_t at = 0; at < length && error == 0;) {
        if (atomic_load_explicit(stop, memory_order_relaxed))
            return ZQ_ECLOSED;
        struct zq_slice piece = take_piece(&segment, &at, length);
        error = coders[coding].feed(r, piece, at == length);
    }
    return error;
}

int zq_compress(enum zq_coding coding, const struct zq_segment *first, uint64_t length, char *out,
                size_t max, size_t *n, const atomic_bool *stop)
{
    struct run r = {.out = out, .max = max};
    int error = coders[coding].begin(&r, length);

    if (error < 0)
        return error;
    error = feed_all(&r, coding, first, length, stop);
    coders[coding].end(&r);
    *n = r.n;
    return error;
}
