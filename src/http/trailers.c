/* The trailer section of a chunked body (RFC 9112 7.1.2). Its fields are checked like those of a
 * head (RFC 9112 5) and dropped, whatever their names: never merged into the fields (RFC 9110
 * 6.5.1), and never asked about framing, which is decided by then. */
#include "chars.h"
#include "connection.h"

/* VCHAR, obs-text, SP and HTAB (RFC 9110 5.5). */
static bool is_text(char c)
{
    return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

static enum zq_trailers behind(enum zq_trailers state, char c)
{
    switch (state) {
    case ZQ_TRAILERS_LINE:
        if (c == '\r')
            return ZQ_TRAILERS_LAST_CR;
        return zq_char_is(c, ZQ_CHAR_TOKEN) ? ZQ_TRAILERS_NAME : ZQ_TRAILERS_BROKEN;
    case ZQ_TRAILERS_NAME:
        if (c == ':')
            return ZQ_TRAILERS_VALUE;
        return zq_char_is(c, ZQ_CHAR_TOKEN) ? ZQ_TRAILERS_NAME : ZQ_TRAILERS_BROKEN;
    case ZQ_TRAILERS_VALUE:
        if (c == '\r')
            return ZQ_TRAILERS_CR;
        return is_text(c) ? ZQ_TRAILERS_VALUE : ZQ_TRAILERS_BROKEN;
    case ZQ_TRAILERS_CR:
        return c == '\n' ? ZQ_TRAILERS_LINE : ZQ_TRAILERS_BROKEN;
    case ZQ_TRAILERS_LAST_CR:
        return c == '\n' ? ZQ_TRAILERS_OVER : ZQ_TRAILERS_BROKEN;
    default:
        return ZQ_TRAILERS_BROKEN;
    }
}

int64_t zq_trailers_skip(enum zq_trailers *state, struct zq_slice input)
{
    size_t used = 0;
    while (used < input.n && *state < ZQ_TRAILERS_OVER)
        *state = behind(*state, input.p[used++]);
    return *state == ZQ_TRAILERS_BROKEN ? ZQ_EPROTO : (int64_t)used;
}
