#include "front/link.h"

#include "front/fetch.h"
#include "front/purge.h"
#include "zq/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINK_MAGIC 0x4c494e4bu
/* An end of file without a death may be a fork that holds nothing, or the death's news on its way
 * through super: wait for it that long before blaming the worker. */
#define BROKEN_GRACE_MS 1000
#define READ_BYTES (128u << 10)
#define STREAMS_MAX (1u << 20)

static void on_event(struct zq_io *io, uint32_t events);

/* `retired`: the link goes because the worker is of an older generation and has nothing left to do
 * here; the last of its links tells super. */
static void worker_unref(struct front_worker *worker, bool retired)
{
    if (atomic_fetch_sub(&worker->references, 1) != 1)
        return;
    if (retired)
        front_report(ZQ_CONTROL_WORKER_IDLE, worker, "");
    free(worker);
}

struct link *link_new(struct front_thread *thread, struct front_worker *worker,
                      struct zq_region *region, int fd)
{
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL)
        goto fail;
    *link = (struct link){
        .magic = LINK_MAGIC,
        .thread = thread,
        .worker = worker,
        .region = region,
        .io = {.fd = -1, .on_event = on_event},
        .flush = {.on_turn_end = link_turn_ended},
    };
    if (zq_loop_add(thread->loop, &link->io, fd, EPOLLIN) < 0)
        goto fail;
    zq_list_init(&link->roomless);
    zq_list_append(&thread->links, &link->node);
    link_pulse_start(link);
    return link;
fail:
    free(link);
    close(fd);
    zq_region_unref(region);
    worker_unref(worker, false);
    return NULL;
}

static void disconnect(struct link *link)
{
    int fd = link->io.fd;

    zq_loop_remove(link->thread->loop, &link->io);
    if (fd >= 0)
        close(fd);
}

static void dispose(struct link *link, bool retired)
{
    ZQ_CHECK(link, LINK_MAGIC);
    disconnect(link);
    zq_timer_cancel(link->thread->loop, &link->pulse);
    zq_loop_undefer(link->thread->loop, &link->flush);
    zq_list_remove(&link->node);
    zq_buf_fini(&link->in);
    zq_buf_fini(&link->out);
    routes_declaring_fini(&link->declaring);
    free(link->streams);
    zq_region_unref(link->region);
    atomic_fetch_sub(&link->worker->outstanding, link->open);
    worker_unref(link->worker, retired);
    link->magic = 0;
    free(link);
}

void link_free(struct link *link)
{
    dispose(link, false);
}

struct link *link_find(struct front_thread *thread, uint32_t worker)
{
    for (struct zq_node *n = thread->links.next; n != &thread->links; n = n->next) {
        struct link *link = ZQ_CONTAINER(n, struct link, node);
        if (link->worker->id == worker)
            return link;
    }
    return NULL;
}

/* The fewest outstanding requests; one that does not answer only if no other does. */
struct link *link_choose(struct front_thread *thread)
{
    unsigned generation = atomic_load_explicit(&thread->front->generation, memory_order_relaxed);
    struct link *best = NULL;
    unsigned least = 0;

    if (!routes_are_known(thread, generation))
        return NULL;
    for (struct zq_node *n = thread->links.next; n != &thread->links; n = n->next) {
        struct link *link = ZQ_CONTAINER(n, struct link, node);
        if (link->broken || link->worker->generation != generation)
            continue;
        unsigned load = atomic_load_explicit(&link->worker->outstanding, memory_order_relaxed);
        if (best == NULL || (best->suspect && !link->suspect) ||
            (best->suspect == link->suspect && load < least)) {
            best = link;
            least = load;
        }
    }
    return best;
}

/* ---- streams ---- */

static bool more_streams(struct link *link)
{
    uint32_t n = link->n_streams ? link->n_streams * 2 : 64;

    if (n > STREAMS_MAX)
        return false;
    struct stream *streams = realloc(link->streams, n * sizeof(*streams));
    if (streams == NULL)
        return false;
    for (uint32_t i = n; i-- > link->n_streams;) {
        streams[i] = (struct stream){.next_free = link->free_stream};
        link->free_stream = i + 1;
    }
    link->streams = streams;
    link->n_streams = n;
    return true;
}

uint32_t link_open(struct link *link, struct fetch *fetch)
{
    if (link->free_stream == 0 && !more_streams(link))
        return 0;
    uint32_t index = link->free_stream - 1;
    struct stream *stream = &link->streams[index];
    link->free_stream = stream->next_free;
    /* 12 bits of round above 20 of slot: never 0, and a slot's numbers repeat late. */
    stream->id = ((++link->round & 0xfff) << 20 | index) + 1;
    if (stream->id == 0)
        stream->id = (++link->round & 0x7ff) << 20 | (index + 1);
    stream->fetch = fetch;
    link->open++;
    atomic_fetch_add_explicit(&link->worker->outstanding, 1, memory_order_relaxed);
    link_quicken(link);
    return stream->id;
}

static struct stream *find_stream(struct link *link, uint32_t id)
{
    uint32_t index = (id - 1) & (STREAMS_MAX - 1);

    return index < link->n_streams && link->streams[index].id == id ? &link->streams[index] : NULL;
}

static void close_stream(struct link *link, struct stream *stream)
{
    stream->id = 0;
    stream->fetch = NULL;
    stream->next_free = link->free_stream;
    link->free_stream = (uint32_t)(stream - link->streams) + 1;
    link->open--;
    atomic_fetch_sub_explicit(&link->worker->outstanding, 1, memory_order_relaxed);
}

void link_cancel(struct link *link, uint32_t id)
{
    struct stream *stream = find_stream(link, id);

    ZQ_ASSERT(stream != NULL);
    stream->fetch = NULL;
    if (!link->broken && zq_wire_encode_signal(&link->out, ZQ_WIRE_CANCEL, id, 0) == 0)
        link_flush_later(link);
}

/* ---- input ---- */

static void blame(struct link *link, const char *why)
{
    if (link->broken)
        return;
    zq_log(ZQ_LOG_ERROR, "worker %u: %s", link->worker->id, why);
    link->broken = true;
    disconnect(link);
    front_report(ZQ_CONTROL_WORKER_BAD, link->worker, why);
}

/* What it sends cannot be read any more: the link is of no use, and so another worker is. */
static void give_up(struct link *link)
{
    blame(link, "no memory in the front for what it sends");
}

static bool closes_stream(const struct zq_wire_frame *frame)
{
    return frame->type == ZQ_WIRE_RESET || (frame->flags & ZQ_WIRE_END) != 0;
}

/* `chunk` is where the payload lies, for what keeps a part of it; NULL: it cannot be kept. */
static int on_stream_frame(struct link *link, const struct zq_wire_frame *frame,
                           struct zq_chunk *chunk)
{
    struct stream *stream = find_stream(link, frame->stream);

    if (stream == NULL)
        return ZQ_EPROTO;
    int error = stream->fetch != NULL ? fetch_frame(stream->fetch, frame, chunk) : 0;
    if (error == 0 && closes_stream(frame))
        close_stream(link, find_stream(link, frame->stream));
    return error;
}

/* As BODY, with what lies in the block; which goes back here, or by who keeps it. */
static int on_shared(struct link *link, const struct zq_wire_frame *frame)
{
    struct zq_wire_frame body = *frame;
    struct zq_wire_shared shared;

    if (zq_wire_decode_shared(frame->payload, &shared) < 0)
        return ZQ_EPROTO;
    const char *block = zq_region_block(link->region, ZQ_REGION_TO_FRONT, shared.block);
    if (block == NULL)
        return ZQ_EPROTO;
    struct zq_chunk *chunk = zq_region_hold(link->region, ZQ_REGION_TO_FRONT, shared.block);
    body.type = ZQ_WIRE_BODY;
    body.payload = zq_slice(block, shared.bytes);
    int error = on_stream_frame(link, &body, chunk);
    if (chunk != NULL)
        zq_chunk_unref(chunk);
    else
        zq_region_give(link->region, ZQ_REGION_TO_FRONT, shared.block);
    return error;
}

/* It leaves behind this turn's output, which lets go of blocks; and who asks again before it has
 * left has not waited for it. */
static int on_blocks(struct link *link)
{
    if (link->unfreed > 0)
        return ZQ_EPROTO;
    int error = zq_wire_encode_signal(&link->out, ZQ_WIRE_BLOCKS, 0, 0);
    link->unfreed = link->out.n;
    link_flush_later(link);
    return error;
}

static int on_frame(struct link *link, const struct zq_wire_frame *frame)
{
    if (frame->type == ZQ_WIRE_ROUTE || frame->type == ZQ_WIRE_ROUTES)
        return routes_frame(link, frame);
    if (!link->declaring.done)
        return ZQ_EPROTO;
    if (frame->type == ZQ_WIRE_PONG)
        return link_pong(link, frame);
    if (frame->type == ZQ_WIRE_PURGE || frame->type == ZQ_WIRE_INFO)
        return front_answer(link, frame);
    if (frame->type == ZQ_WIRE_BLOCKS)
        return on_blocks(link);
    if (frame->type == ZQ_WIRE_SHARED)
        return on_shared(link, frame);
    return on_stream_frame(link, frame, link->thread->input);
}

/* What is left of `input` is the beginning of a frame: it goes in front of the next input. */
static int keep_rest(struct link *link, struct zq_slice input, size_t awaited)
{
    link->awaited = awaited;
    return zq_buf_append(&link->in, input.p, input.n);
}

static int on_input(struct link *link, struct zq_slice input)
{
    while (!link->broken) {
        struct zq_wire_frame frame;
        size_t used;
        int error = zq_wire_next_part(input, ZQ_WIRE_FROM_WORKER, &link->parts, &frame, &used);
        if (error == ZQ_EAGAIN)
            return keep_rest(link, input, used);
        if (error == 0)
            error = on_frame(link, &frame);
        if (error < 0)
            return error;
        input = zq_slice(input.p + used, input.n - used);
    }
    return 0;
}

static void on_end_of_file(struct link *link)
{
    link->broken = true;
    disconnect(link);
    zq_timer_set(link->thread->loop, &link->pulse, BROKEN_GRACE_MS);
}

/* Where the next input goes: room for the frame that has begun, whose bytes are there already.
 * Many small reads share one chunk, until an entry keeps a part of it. */
static struct zq_chunk *make_input(struct link *link)
{
    struct front_thread *thread = link->thread;
    size_t size = link->awaited > READ_BYTES ? link->awaited : READ_BYTES;

    if (thread->input == NULL || thread->input->size != size || !zq_chunk_is_mine(thread->input)) {
        zq_chunk_unref(thread->input);
        thread->input = zq_chunk_new(size);
    }
    if (thread->input != NULL && link->in.n > 0)
        memcpy(thread->input->data, zq_buf_data(&link->in), link->in.n);
    return thread->input;
}

static void read_frames(struct link *link)
{
    struct zq_chunk *chunk = make_input(link);

    if (chunk == NULL) {
        give_up(link);
        return;
    }
    ssize_t n = recv(link->io.fd, chunk->data + link->in.n, chunk->size - link->in.n, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        on_end_of_file(link);
        return;
    }
    struct zq_slice input = zq_slice(chunk->data, link->in.n + (size_t)n);
    zq_buf_fini(&link->in);
    int error = on_input(link, input);
    if (error == ZQ_EPROTO)
        blame(link, "broke the wire protocol");
    else if (error == ZQ_ENOMEM)
        give_up(link);
    else if (error < 0)
        blame(link, zq_strerror(error));
    else if (!link->broken)
        fetch_make_room(link);
}

/* ---- events ---- */

static void on_event(struct zq_io *io, uint32_t events)
{
    struct link *link = ZQ_CONTAINER(io, struct link, io);

    ZQ_CHECK(link, LINK_MAGIC);
    if (events & EPOLLOUT)
        link_flush_later(link);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_frames(link);
    link_retire_if_idle(link);
}

/* ---- retiring ---- */

void link_retire_if_idle(struct link *link)
{
    if (!link->broken && link->open == 0 &&
        link->worker->generation < atomic_load(&link->thread->front->generation))
        dispose(link, true);
}

void link_orphan(struct link *link, bool hung)
{
    link->broken = true;
    for (uint32_t i = 0; i < link->n_streams; i++) {
        struct fetch *fetch = link->streams[i].fetch;
        link->streams[i].fetch = NULL;
        if (link->streams[i].id != 0 && fetch != NULL)
            fetch_orphaned(fetch, hung);
    }
    link_free(link);
}
