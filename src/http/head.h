/* room: http, private
 *
 * What zq reads of a request's head by itself, before llhttp sees it: where the head ends, its line
 * ends, its limits, and the request line, where llhttp is lenient (it takes HTTP/0.9, several
 * spaces, several empty lines). Pure functions; they return a status code to refuse with.
 */
#ifndef ZQ_HTTP_HEAD_H
#define ZQ_HTTP_HEAD_H

#include "zq/config.h"
#include "zq/http.h"

/* How far a head has been looked through, so that no byte is looked at twice however it comes.
 * Offsets count from the head's first byte. Zero-initialised for a new head. */
struct zq_head_scan {
    uint32_t line;   /* where the line begins that is not complete yet */
    uint32_t seen;   /* no LF in [line, seen) */
    uint32_t fields; /* where the first field line begins; 0 in the request line */
    uint32_t count;  /* of field lines */
    /* The request line, once `fields` is set (and what was understood of a refused one): the method
     * is the head's first bytes, the target follows one space behind it. */
    uint32_t method_n, target_n;
    uint8_t version_minor;
};

/* Looks for the end of the head in data that starts with it and may have grown since the last call.
 * 0: not complete; positive: the head's length, with the empty line; negative: minus the status to
 * refuse with, the same however the bytes were cut. Checks CRLF line ends (RFC 9112 2.2: no bare
 * LF), obs-fold (5.2), the limits, the request line, and garbage in the part of one that is
 * there. */
int64_t zq_head_scan(struct zq_head_scan *scan, struct zq_slice data,
                     const struct zq_config *config);

struct zq_request_line {
    struct zq_slice method, target;
    unsigned version_minor; /* of HTTP/1.x: 0 or 1; later ones are served as 1.1 (RFC 9110 2.5) */
};

/* Exactly `method SP target SP version` (RFC 9112 3), without its CRLF. 0, or the status to refuse
 * with; what was understood until then is in `out`. */
unsigned zq_request_line_parse(struct zq_slice line, struct zq_request_line *out);

/* The four forms of RFC 9112 3.2. */
enum zq_target_form {
    ZQ_TARGET_ORIGIN,
    ZQ_TARGET_ABSOLUTE,
    ZQ_TARGET_AUTHORITY,
    ZQ_TARGET_ASTERISK
};

struct zq_target {
    enum zq_target_form form;
    struct zq_slice authority; /* of the absolute form and the authority form */
    struct zq_slice rest;      /* path and query; in the absolute form perhaps without its slash */
};

unsigned zq_target_parse(struct zq_slice target, struct zq_slice method, struct zq_target *out);

#endif
