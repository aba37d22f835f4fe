/* Structured fields (RFC 9651), as far as targeted cache control (RFC 9213) needs them:
 * dictionaries. Pure functions. */
#ifndef ZQ_CACHE_STRUCTURED_H
#define ZQ_CACHE_STRUCTURED_H

#include "zq/base.h"

enum zq_sf_kind { ZQ_SF_BOOLEAN, ZQ_SF_INTEGER, ZQ_SF_OTHER };

/* A member of a dictionary; parameters are checked and dropped. */
struct zq_sf_member {
    struct zq_slice key;
    enum zq_sf_kind kind;
    int64_t number; /* BOOLEAN: 0 or 1; INTEGER */
};

/* Takes the next member off a line: 1; 0 at its end; ZQ_EINVAL when it is no dictionary, and then
 * the whole field counts for nothing. */
int zq_sf_next(struct zq_slice *line, struct zq_sf_member *member);

#endif
