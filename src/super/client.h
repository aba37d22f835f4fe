/* room: super
 *
 * The other end of the admin socket: one request, one answer, waiting for it.
 */
#ifndef ZQ_SUPER_CLIENT_H
#define ZQ_SUPER_CLIENT_H

#include "zq/config.h"

struct zq_answer {
    unsigned status;
    struct zq_buf raw;    /* the response as it came; release: zq_buf_fini */
    struct zq_slice text; /* its content */
    bool more;            /* the listing goes on at `next` */
    uint64_t next;
};

/* The socket of the one zq that runs here, or of --admin-uds (or ZQ_ADMIN_UDS) if `given` is not
 * empty. 0, or ZQ_EIO with `error`. */
int zq_client_find(const char *given, char out[108], struct zq_config_error *error);

/* Asks for plain text. 0 and `*out`, or ZQ_EIO with `error`. */
int zq_client_ask(const char *path, const char *method, const char *target, struct zq_slice body,
                  struct zq_answer *out, struct zq_config_error *error);

#endif
