#include "zq/base.h"

#include <stdio.h>
#include <stdlib.h>

const char *zq_strerror(int error)
{
    switch (error) {
    case 0:
        return "no error";
#define X(name, number, text)                                                                      \
    case ZQ_E##name:                                                                               \
        return text;
        ZQ_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}

void zq_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "zq: assertion failed: %s (%s:%d)\n", condition, file, line);
    abort();
}
