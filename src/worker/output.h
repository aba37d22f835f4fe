/* Private to src/worker: what a link has still to send, in order: frames that were encoded here,
 * and long parts of bodies that stay where the application has them until the socket takes them.
 */
#ifndef ZQ_WORKER_OUTPUT_H
#define ZQ_WORKER_OUTPUT_H

#include "worker/module.h"

#include <sys/uio.h>

/* Shorter ones are cheaper to copy than to keep track of. */
#define ZQ_OUTPUT_REFER_LEAST (8u << 10)

struct zq_output_part {
    size_t before;   /* bytes of `frames` between the part in front of it and this one */
    PyObject *bytes; /* owned; exactly a bytes object, so that letting go runs no code */
    const char *p;
    size_t n;
};

/* Zero-initialised is empty. Frames are appended to `frames` by whoever encodes them. */
struct zq_output {
    struct zq_buf frames;
    struct zq_output_part *parts; /* parts[first .. first+n_parts) */
    size_t first, n_parts, cap;
    size_t claimed;    /* bytes of `frames` that go in front of some part */
    size_t part_bytes; /* of all parts */
};

static inline size_t zq_output_bytes(const struct zq_output *o)
{
    return o->frames.n + o->part_bytes;
}

/* Puts `n` bytes of `bytes` behind what is there. 0 or ZQ_ENOMEM. */
int zq_output_refer(struct zq_output *o, PyObject *bytes, const char *p, size_t n);
/* What goes out first, as at most `max` runs; how many there are. */
int zq_output_gather(const struct zq_output *o, struct iovec *v, int max);
/* So many bytes have gone out. */
void zq_output_consume(struct zq_output *o, size_t n);
void zq_output_fini(struct zq_output *o);

#endif
