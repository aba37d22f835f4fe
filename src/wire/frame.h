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

_Static_assert(sizeof(struct wire_header) == ZQ_WIRE_HEADER_SIZE, "frame header");
_Static_assert(sizeof(struct wire_request_head) == 36, "request head");
_Static_assert(sizeof(struct wire_response_head) == 4, "response head");
_Static_assert(sizeof(struct wire_purge_head) == 8, "purge head");
_Static_assert(sizeof(struct wire_answer_head) == 8, "answer head");

#endif
