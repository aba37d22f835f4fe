/* The request's content, on its way to the worker. */
#include "front/fetch.h"

/* So much output of a link waits for its worker before content does. */
#define BACKLOG_BYTES (1u << 20)

static size_t room_of(struct link *link)
{
    if (link->out.n >= BACKLOG_BYTES)
        return 0;
    return (size_t)zq_region_count_free(link->region, ZQ_REGION_TO_WORKER) * ZQ_REGION_BLOCK_BYTES;
}

static void wait_for_room(struct fetch *fetch, size_t wanted)
{
    fetch->room_wanted = wanted;
    if (!zq_list_empty(&fetch->roomless))
        return;
    zq_list_append(&fetch->link->roomless, &fetch->roomless);
    link_ask_room(fetch->link);
}

char *fetch_body_room(struct fetch *fetch, size_t *n)
{
    if (fetch->body_done || fetch->stream == 0 || fetch->link->region == NULL ||
        *n < ZQ_WIRE_SHARED_LEAST)
        return NULL;
    size_t wanted = *n;
    char *room = zq_region_room(fetch->link->region, ZQ_REGION_TO_WORKER, n);
    if (room != NULL && fetch->link->out.n < BACKLOG_BYTES)
        return room;
    wait_for_room(fetch, wanted);
    *n = 0;
    return NULL;
}

void fetch_body(struct fetch *fetch, struct zq_slice data, bool end)
{
    ZQ_CHECK(fetch, FETCH_MAGIC);
    if (fetch->body_done || fetch->stream == 0)
        return;
    while (data.n > 0 || end) {
        size_t n = data.n < ZQ_WIRE_BODY_MAX ? data.n : ZQ_WIRE_BODY_MAX;
        bool last = end && n == data.n;
        if (link_body(fetch->link, fetch->stream, zq_slice(data.p, n), last ? ZQ_WIRE_END : 0) <
            0) {
            fetch_fail(fetch, 503);
            return;
        }
        data = zq_slice(data.p + n, data.n - n);
        fetch->body_done = last;
        if (last)
            break;
    }
    link_flush_later(fetch->link);
    if (fetch->state == FETCH_SENT)
        fetch_expect_head(fetch);
}

/* As many as there are blocks for: who would find none would only wait again. */
void fetch_make_room(struct link *link)
{
    if (zq_list_empty(&link->roomless))
        return;
    for (size_t room = room_of(link); room > 0 && !zq_list_empty(&link->roomless);) {
        struct fetch *fetch = ZQ_CONTAINER(link->roomless.next, struct fetch, roomless);
        zq_list_remove(&fetch->roomless);
        room -= fetch->room_wanted < room ? fetch->room_wanted : room;
        if (fetch->exchange != NULL)
            zq_exchange_want(fetch->exchange, 0);
    }
    if (!zq_list_empty(&link->roomless))
        link_ask_room(link);
}
