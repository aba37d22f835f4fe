/* Private to src/wire: the layout of frames and a cursor over them. */
#ifndef ZQ_WIRE_FRAME_H
#define ZQ_WIRE_FRAME_H

#include "zq/wire.h"

/* The 12 bytes in front of every payload. */
struct wire_header {
    uint32_t length;
    uint32_t stream;
    uint8_t type;
    uint8_t flags;
    uint16_t zero;
};

/* REQUEST's fixed part; behind it the seven strings, the fields, the body. */
struct wire_request_head {
    uint8_t version_minor;
    uint8_t zero;
    uint16_t n_fields;
    uint16_t client_port;
    uint16_t server_port;
    uint32_t lengths[7]; /* method, scheme, raw_path, path, query, client, server */
};

/* RESPONSE's fixed part; behind it the fields, the body. */
struct wire_response_head {
    uint16_t status;
    uint16_t n_fields;
};

/* In front of each field's name and value. */
struct wire_field_head {
    uint32_t name, value;
};

/* The fixed parts of PURGE and ANSWER; behind each its text. */
struct wire_purge_head {
    uint32_t number;
    uint8_t kind, soft;
    uint16_t zero;
};
struct wire_answer_head {
    uint32_t number;
    uint16_t status, zero;
};

/* ROUTE's fixed part; behind it path, methods and why, the lists' texts, the fields, the body. */
struct wire_route_head {
    uint8_t kind;
    uint8_t given; /* WIRE_ROUTE_…: the rule has such a list */
    uint16_t status;
    uint16_t n_fields;
    uint16_t zero;
    uint16_t lengths[3]; /* path, methods, why */
    uint16_t lists[4];   /* query, ignore_query, cookies, headers: how many */
    uint16_t more_zero;
};
#define WIRE_ROUTE_QUERY 1u
#define WIRE_ROUTE_COOKIES 2u

_Static_assert(sizeof(struct wire_header) == ZQ_WIRE_HEADER_SIZE, "frame header");
_Static_assert(sizeof(struct wire_request_head) == 36, "request head");
_Static_assert(sizeof(struct wire_response_head) == 4, "response head");
_Static_assert(sizeof(struct wire_purge_head) == 8, "purge head");
_Static_assert(sizeof(struct wire_answer_head) == 8, "answer head");
_Static_assert(sizeof(struct wire_route_head) == 24, "route head");

/* Decoding (decode.c). `in` is a cursor: each takes what it returns off its front; false, or
 * ZQ_EPROTO, when there is less. */
bool zq_wire_take(struct zq_slice *in, size_t n, struct zq_slice *out);
bool zq_wire_take_copy(struct zq_slice *in, void *to, size_t n);
int zq_wire_take_fields(struct zq_slice *in, size_t n, struct zq_arena *arena,
                        struct zq_fields *out);

/* Encoding (encode.c): room for a frame's payload, its header written; NULL with `*error`. */
char *zq_wire_open_frame(struct zq_buf *out, enum zq_wire_type type, uint32_t stream,
                         unsigned flags, size_t length, int *error);
char *zq_wire_put(char *to, const void *p, size_t n); /* the end of what was written */
size_t zq_wire_fields_length(const struct zq_fields *fields);
char *zq_wire_put_fields(char *to, const struct zq_fields *fields);

#endif
