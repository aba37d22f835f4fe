#include "front/front.h"

#include "front/fetch.h"
#include "front/routes.h"
#include "front/serve.h"
#include "zq/log.h"

#include <stdlib.h>
#include <unistd.h>

int front_thread_init(struct front *front, unsigned index)
{
    struct front_thread *thread = &front->threads[index];

    thread->front = front;
    thread->index = index;
    zq_list_init(&thread->links);
    zq_list_init(&thread->waiting);
    zq_list_init(&thread->fetches);
    zq_list_init(&thread->undecided);
    thread->loop = zq_loop_new();
    if (thread->loop == NULL)
        return ZQ_EIO;
    thread->server = zq_http_server_new(thread->loop, front->config, &serve_handler, thread);
    if (thread->server == NULL)
        return ZQ_ENOMEM;
    zq_http_lend(thread->server, zq_cache_memory(front->cache), ZQ_CACHE_LENT_MIN);
    if (front->config->limit_connections > 0)
        zq_http_share_places(thread->server, &front->placed);
    return 0;
}

static void on_accept(struct zq_acceptor *acceptor, int fd)
{
    struct front_listener *listener = ZQ_CONTAINER(acceptor, struct front_listener, acceptor);

    zq_http_accept(listener->thread->server, fd);
}

int front_thread_listen(struct front_thread *thread)
{
    for (unsigned i = 0; i < thread->front->n_listeners; i++) {
        struct front_listener *listener = &thread->listeners[i];
        *listener = (struct front_listener){
            .acceptor = {.on_accept = on_accept},
            .thread = thread,
        };
        int error =
            zq_acceptor_start(thread->loop, &listener->acceptor, thread->front->listeners[i]);
        if (error < 0)
            return error;
    }
    return 0;
}

/* The last thread without connections ends the front: until then each thread goes on, because
 * others may read what its fetches fill. */
static void on_empty(struct zq_http_server *server)
{
    struct front_thread *thread = zq_http_server_user(server);
    struct front *front = thread->front;

    if (atomic_fetch_sub(&front->busy_threads, 1) != 1)
        return;
    for (unsigned i = 0; i < front->n_threads; i++)
        zq_loop_stop(front->threads[i].loop);
}

void front_thread_drain(struct front_thread *thread)
{
    for (unsigned i = 0; i < thread->front->n_listeners; i++)
        zq_acceptor_drain(&thread->listeners[i].acceptor);
    zq_http_drain(thread->server, on_empty);
}

/* Others may read what this thread's fetches fill: they are told before its loop is gone. */
static void end_fetches(struct front_thread *thread)
{
    while (!zq_list_empty(&thread->links))
        link_orphan(ZQ_CONTAINER(thread->links.next, struct link, node), true);
    while (!zq_list_empty(&thread->waiting))
        fetch_orphaned(ZQ_CONTAINER(thread->waiting.next, struct fetch, node), true);
}

void front_thread_fini(struct front_thread *thread)
{
    if (thread->server != NULL)
        zq_http_server_free(thread->server);
    if (thread->loop != NULL)
        end_fetches(thread);
    routes_thread_fini(thread);
    zq_arena_fini(&thread->scratch);
    zq_chunk_unref(thread->input);
    zq_buf_fini(&thread->block);
    zq_buf_fini(&thread->line);
    if (thread->loop != NULL)
        zq_loop_free(thread->loop);
}

/* Dates have whole seconds: a clock read a quarter of a second ago will do. */
time_t front_wall_clock(struct front_thread *thread)
{
    int64_t now = zq_loop_now_ms(thread->loop);

    if (thread->wall == 0 || now - thread->wall_ms >= 250) {
        thread->wall = zq_wall_clock();
        thread->wall_ms = now;
    }
    return thread->wall;
}

/* ---- calls from other threads ---- */

struct thread_call {
    struct zq_post post;
    struct front_thread *thread;
    void (*run)(struct front_thread *thread, void *argument);
    void *argument;
};

static void on_call(struct zq_post *post)
{
    struct thread_call *call = ZQ_CONTAINER(post, struct thread_call, post);

    call->run(call->thread, call->argument);
    free(call);
}

void front_thread_call(struct front_thread *thread,
                       void (*run)(struct front_thread *thread, void *argument), void *argument)
{
    struct thread_call *call = malloc(sizeof(*call));

    if (call == NULL) {
        zq_log(ZQ_LOG_CRITICAL, "no memory to reach an I/O thread");
        _exit(1); /* without the call the thread would be wrong for ever */
    }
    *call = (struct thread_call){{.on_post = on_call}, thread, run, argument};
    zq_loop_post(thread->loop, &call->post);
}

void front_call_all(struct front *front, void (*run)(struct front_thread *thread, void *argument),
                    void *argument)
{
    for (unsigned i = 0; i < front->n_threads; i++)
        front_thread_call(&front->threads[i], run, argument);
}
