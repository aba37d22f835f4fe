/* A link's output: what streams have given, which leaves together at the end of a turn. */
#include "worker/link.h"

#include "zq/clock.h"

#include <errno.h>
#include <sys/socket.h>

/* Output waits so long for more of the same turn: a cheap view answers some requests in it, a dear
 * one is not kept from its client by those behind it. */
#define COMPANY_US 100
#define RUNS_MAX 64 /* of one sendmsg */
/* More output than this does not wait for the turn's end. */
#define WRITE_EARLY_BYTES (256u << 10)

static void wait_for_room(struct zq_link *link)
{
    link->blocked = true;
    zq_link_call_loop(link, ZQ_NAME_add_writer, link->on_writable);
}

void zq_link_write_out(struct zq_link *link)
{
    while (zq_output_bytes(&link->out) > 0 && !link->blocked && !link->broken) {
        struct iovec v[RUNS_MAX];
        int n_runs = zq_output_gather(&link->out, v, RUNS_MAX);
        struct msghdr message = {.msg_iov = v, .msg_iovlen = (size_t)n_runs};
        ssize_t n = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            zq_output_consume(&link->out, (size_t)n);
            if ((size_t)n < zq_iov_bytes(v, n_runs))
                wait_for_room(link); /* asking once more would only tell the same */
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_for_room(link);
        } else if (errno == EPIPE || errno == ECONNRESET) {
            link->broken = true; /* the front is gone; reading will say the same */
        } else if (errno != EINTR) {
            zq_link_break(link, strerror(errno));
        }
    }
}

void zq_link_schedule_turn_end(struct zq_link *link)
{
    if (link->flush_soon)
        return;
    PyObject *handle = PyObject_CallOneArg(link->bridge->call_soon, link->on_turn_end);
    if (handle == NULL) {
        PyErr_WriteUnraisable((PyObject *)link);
        link->broken = true;
        return;
    }
    Py_DECREF(handle);
    link->flush_soon = true;
}

/* True when it is time, for the front's sake, which could be sending meanwhile. */
static bool has_waited(struct zq_link *link)
{
    int64_t now_us = zq_now_us();

    if (now_us - link->written_us < COMPANY_US)
        return false;
    link->written_us = now_us;
    return true;
}

void zq_link_flush_soon(struct zq_link *link)
{
    if (link->fd < 0)
        return;
    if (has_waited(link))
        zq_link_write_out(link);
    if (link->reading)
        return; /* on_readable ends with a flush */
    if ((link->n_streams == 0 || zq_output_bytes(&link->out) > WRITE_EARLY_BYTES) &&
        !link->broken) {
        zq_link_write_out(link);
        if (!link->broken && zq_list_empty(&link->held))
            return;
    }
    zq_link_schedule_turn_end(link);
}

void zq_link_hold(struct zq_link *link, struct zq_stream *s)
{
    zq_list_append(&link->held, &s->held);
    if (!link->reading)
        zq_link_schedule_turn_end(link);
}

static void ask_blocks(struct zq_link *link)
{
    if (link->asked_blocks)
        return;
    link->asked_blocks = true;
    if (zq_wire_encode_signal(&link->out.frames, ZQ_WIRE_BLOCKS, 0, 0) < 0)
        zq_link_break(link, zq_strerror(ZQ_ENOMEM));
}

void zq_link_starve(struct zq_link *link, struct zq_stream *s)
{
    zq_list_append(&link->starved, &s->held);
    ask_blocks(link);
}

void zq_link_feed_starved(struct zq_link *link)
{
    while (!zq_list_empty(&link->starved) && !link->broken && link->fd >= 0 &&
           zq_region_has_free(link->region, ZQ_REGION_TO_FRONT))
        zq_stream_resume(ZQ_CONTAINER(link->starved.next, struct zq_stream, held));
    if (!zq_list_empty(&link->starved))
        ask_blocks(link);
}
