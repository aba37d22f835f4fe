/* room: http, private
 *
 * Character classes of RFC 9110 and RFC 3986, one table, no locale.
 */
#ifndef ZQ_HTTP_CHARS_H
#define ZQ_HTTP_CHARS_H

#include "zq/base.h"

enum zq_char_class {
    ZQ_CHAR_TOKEN = 1,   /* tchar, RFC 9110 5.6.2 */
    ZQ_CHAR_TARGET = 2,  /* what a request target may hold here: visible ASCII but `#` */
    ZQ_CHAR_REGNAME = 4, /* RFC 3986 3.2.2, but for `%` and the comma, a list to others */
    ZQ_CHAR_HEX = 8
};

extern const unsigned char zq_char_classes[256];

static inline bool zq_char_is(char c, enum zq_char_class what)
{
    return (zq_char_classes[(unsigned char)c] & what) != 0;
}

/* Every byte of `s` is of that class; true for an empty one. */
bool zq_chars_are(struct zq_slice s, enum zq_char_class what);

static inline bool zq_is_token(struct zq_slice s)
{
    return s.n > 0 && zq_chars_are(s, ZQ_CHAR_TOKEN);
}

/* The value of a hexadecimal digit; the caller has checked that it is one. */
static inline unsigned zq_hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(zq_lower(c) - 'a' + 10);
}

#endif
