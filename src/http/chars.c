#include "chars.h"

/* The bits of enum zq_char_class, in rows of 16. */
const unsigned char zq_char_classes[256] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, 0, 0, 0, 0, 0, /* controls */
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, 0, 0, 0, 0, 0, /* controls */
    0,  7,  2,  1,  7,  3,  7,  7,  6,  6,  7, 7, 2, 7, 7, 2, /*  !"#$%&'().+,-.. */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 2, 6, 2, 6, 2, 2, /* 0123456789:;<=>? */
    2,  15, 15, 15, 15, 15, 15, 7,  7,  7,  7, 7, 7, 7, 7, 7, /* @ABCDEFGHIJKLMNO */
    7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7, 2, 2, 2, 3, 7, /* PQRSTUVWXYZ[.]^_ */
    3,  15, 15, 15, 15, 15, 15, 7,  7,  7,  7, 7, 7, 7, 7, 7, /* `abcdefghijklmno */
    7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7, 2, 3, 2, 7, 0, /* pqrstuvwxyz{|}~. */
};

bool zq_chars_are(struct zq_slice s, enum zq_char_class what)
{
    for (size_t i = 0; i < s.n; i++)
        if (!zq_char_is(s.p[i], what))
            return false;
    return true;
}
