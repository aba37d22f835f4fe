#include "front/access_log.h"

#include "zq/clock.h"
#include "zq/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* Two buffers of this size: one fills while the other is written. */
#define BUFFER_BYTES (256u << 10)
#define URI_BYTES 2048 /* of the target, before escaping */
#define LAST_WORDS_MS 1000

struct access_log {
    int fd;
    bool colour;
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t news;
    struct zq_buf filling;
    uint64_t dropped;
    bool closing;
};

/* ---- the writing thread ---- */

static bool is_closing(struct access_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool closing = log->closing;
    pthread_mutex_unlock(&log->lock);
    return closing;
}

/* Standard output may be a full pipe, blocking or not: poll before each write, and at the end give
 * up after a while. Whoever reads it may also be gone; the lines are lost then. */
static void write_out(struct access_log *log, struct zq_buf *buf)
{
    int64_t deadline = 0;

    while (buf->n > 0) {
        if (deadline == 0 && is_closing(log))
            deadline = zq_now_ms() + LAST_WORDS_MS;
        struct pollfd p = {.fd = log->fd, .events = POLLOUT};
        int ready = poll(&p, 1, 200);
        if (deadline && zq_now_ms() > deadline)
            break;
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        /* At most PIPE_BUF bytes are sure to be taken without blocking. */
        ssize_t n = write(log->fd, zq_buf_data(buf), buf->n < 4096 ? buf->n : 4096);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            break;
        if (n > 0)
            zq_buf_consume(buf, (size_t)n);
    }
    zq_buf_consume(buf, buf->n);
}

static void report_dropped(uint64_t dropped)
{
    if (dropped > 0)
        zq_log(ZQ_LOG_WARNING, "access log: %llu lines dropped, standard output is too slow",
               (unsigned long long)dropped);
}

static void *run(void *argument)
{
    struct access_log *log = argument;
    struct zq_buf writing = {0};
    bool more = true;

    zq_buf_reserve(&writing, BUFFER_BYTES);
    while (more) {
        pthread_mutex_lock(&log->lock);
        while (log->filling.n == 0 && log->dropped == 0 && !log->closing)
            pthread_cond_wait(&log->news, &log->lock);
        struct zq_buf full = log->filling;
        log->filling = writing;
        writing = full;
        uint64_t dropped = log->dropped;
        log->dropped = 0;
        more = !log->closing || writing.n > 0;
        pthread_mutex_unlock(&log->lock);
        write_out(log, &writing);
        report_dropped(dropped);
    }
    zq_buf_fini(&writing);
    return NULL;
}

/* ---- the door ---- */

struct access_log *access_log_new(int fd)
{
    struct access_log *log = calloc(1, sizeof(*log));

    if (log == NULL)
        return NULL;
    log->fd = fd;
    log->colour = isatty(fd);
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->news, NULL);
    if (zq_buf_reserve(&log->filling, BUFFER_BYTES) != NULL &&
        pthread_create(&log->thread, NULL, run, log) == 0)
        return log;
    zq_buf_fini(&log->filling);
    free(log);
    return NULL;
}

void access_log_free(struct access_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->closing = true;
    pthread_cond_signal(&log->news);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->thread, NULL);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->news);
    zq_buf_fini(&log->filling);
    free(log);
}

static void append(struct access_log *log, const struct zq_buf *line)
{
    pthread_mutex_lock(&log->lock);
    bool sleeping = log->filling.n == 0;
    if (log->filling.off + log->filling.n + line->n <= BUFFER_BYTES)
        (void)zq_buf_append(&log->filling, zq_buf_data(line), line->n);
    else
        log->dropped++;
    if (sleeping)
        pthread_cond_signal(&log->news);
    pthread_mutex_unlock(&log->lock);
}

/* ---- a line ---- */

static void put_date(struct zq_buf *out, time_t now)
{
    struct tm tm;

    gmtime_r(&now, &tm);
    zq_buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void put_client(struct zq_buf *out, const struct zq_address *client)
{
    if (client->is_unix || client->host.n == 0)
        zq_buf_append(out, client->is_unix ? "unix" : "-", client->is_unix ? 4 : 1);
    else
        zq_log_escape(out, client->host);
    if (client->port != 0)
        zq_buf_printf(out, ":%u", client->port);
}

static void put_request(struct zq_buf *out, const struct zq_request *r)
{
    struct zq_slice target = r->target;

    if (r->method.n == 0) {
        zq_buf_append(out, "\"-\"", 3);
        return;
    }
    if (target.n > URI_BYTES)
        target.n = URI_BYTES;
    zq_buf_append(out, "\"", 1);
    zq_log_escape(out, r->method);
    zq_buf_append(out, " ", 1);
    zq_log_escape(out, target);
    zq_buf_printf(out, "%s HTTP/1.%u\"", target.n < r->target.n ? "..." : "", r->version_minor);
}

static const char *colour_of(unsigned status)
{
    static const char *const colours[] = {"\033[32m", "\033[36m", "\033[33m", "\033[31m"};

    return status >= 200 && status < 600 ? colours[status / 100 - 2] : "";
}

static const char *end_word(enum zq_exchange_end end)
{
    switch (end) {
    case ZQ_EXCHANGE_GONE:
        return " client-left";
    case ZQ_EXCHANGE_TIMED_OUT:
        return " timed-out";
    case ZQ_EXCHANGE_CUT:
        return " cut";
    default:
        return "";
    }
}

void access_log_line(struct access_log *log, struct zq_buf *line,
                     const struct zq_exchange *exchange, const char *rung, time_t now)
{
    double ms = (double)(zq_now_us() - exchange->started_us) / 1000;

    zq_buf_consume(line, line->n);
    put_date(line, now);
    zq_buf_append(line, " ", 1);
    put_client(line, &exchange->request.client);
    zq_buf_append(line, " ", 1);
    put_request(line, &exchange->request);
    zq_buf_printf(line, " %s%03u%s %llu %.3fms %s%s\n",
                  log->colour ? colour_of(exchange->status) : "", exchange->status,
                  log->colour ? "\033[0m" : "", (unsigned long long)exchange->body_bytes, ms, rung,
                  end_word(exchange->end));
    append(log, line);
}
