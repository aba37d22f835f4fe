/* Load at a constant rate, for latency (the method of wrk2: Gil Tene's coordinated omission).
 *
 *   rate PORT SECONDS RATE CONNECTIONS THREADS NAME:WEIGHT:PATH...
 *
 * Each line that it reads is a turn of so many seconds, whose result it prints; the connections stay
 * open. It ends with its input. (A process that is started for each turn is work for others on the
 * machine, which the slowest hundredth of half a second shows.)
 *
 * Requests are due at fixed times, whatever the server does, and latency runs from the time a
 * request was due, not from when it could be sent: a server that stalls for 100 ms is charged for
 * every request of these 100 ms. A due request takes any idle connection; when all are busy it
 * waits, and that waiting counts. Classes share the rate by weight, spread evenly.
 *
 * Before the time begins each connection has been answered once, which is not counted: a server that
 * still accepts is not one that stalls.
 *
 * Prints one JSON object a turn, on one line: per class the requests answered, and their latencies
 * in microseconds as [no more than, how many] pairs, so that those of several runs can be added;
 * `late`, how late requests went out although a connection was idle, which is the generator's own
 * fault; `unanswered`, requests that had no answer two seconds after the last was due: they are
 * among the latencies with their age; `cpu_s`, its own CPU seconds. A status other than 200, or a
 * connection lost during the turn, is an error. Latencies are kept in 128 steps a power of two:
 * within 0.8 %. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STEPS 128 /* a power of two of microseconds */
#define BUCKETS (STEPS * 32)
#define CLASSES_MAX 8
#define SPIN_NS 2000000 /* closer than this to the next due time epoll_wait does not sleep */
#define DRAIN_NS 2000000000LL

struct histogram {
    uint64_t count[BUCKETS], total, max_us;
    double sum_us;
};

struct kind {
    const char *name;
    double weight, credit;
    char request[1024];
    size_t request_n;
};

enum part { HEAD, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

struct conn {
    int fd;
    bool busy;
    unsigned kind;
    int64_t due_ns;
    enum part part;
    uint64_t left; /* of LENGTH, CHUNK_DATA */
    char line[8192];
    size_t line_n;
    struct conn *next_idle;
};

struct due {
    int64_t at_ns;
    unsigned kind;
};

struct worker {
    pthread_t thread;
    double rate;
    int connections, epoll;
    struct conn *conns, *idle;
    struct kind kinds[CLASSES_MAX];
    struct histogram *latency, late;
    uint64_t errors, unanswered;
};

static int port, n_kinds;
static double seconds;
static struct kind kinds[CLASSES_MAX];
static pthread_barrier_t barrier;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static unsigned bucket_of(uint64_t us)
{
    if (us < STEPS)
        return (unsigned)us;
    unsigned power = 63 - (unsigned)__builtin_clzll(us);
    unsigned shift = power - 6; /* 64 steps in each power above the first */
    unsigned bucket = (shift - 1) * 64 + STEPS + (unsigned)((us >> shift) - 64);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static uint64_t value_of(unsigned bucket) /* the bucket's upper edge */
{
    if (bucket < STEPS)
        return bucket;
    unsigned shift = (bucket - STEPS) / 64 + 1;
    return ((uint64_t)((bucket - STEPS) % 64 + 64 + 1) << shift) - 1;
}

static void record(struct histogram *h, int64_t ns)
{
    uint64_t us = ns > 0 ? (uint64_t)ns / 1000 : 0;
    h->count[bucket_of(us)]++;
    h->total++;
    h->sum_us += (double)us;
    if (us > h->max_us)
        h->max_us = us;
}

static void merge(struct histogram *into, const struct histogram *h)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        into->count[i] += h->count[i];
    into->total += h->total;
    into->sum_us += h->sum_us;
    if (h->max_us > into->max_us)
        into->max_us = h->max_us;
}

/* The next request's class: the one that is owed most. */
static unsigned choose(struct worker *w)
{
    unsigned best = 0;
    for (int i = 0; i < n_kinds; i++) {
        w->kinds[i].credit += w->kinds[i].weight;
        if (w->kinds[i].credit > w->kinds[best].credit)
            best = (unsigned)i;
    }
    w->kinds[best].credit -= 1.0;
    return best;
}

static int dial(void)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        perror("rate: connect");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void open_conn(struct worker *w, struct conn *c)
{
    c->fd = dial();
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &event);
    c->busy = false;
    c->part = HEAD;
    c->line_n = 0;
    c->next_idle = w->idle;
    w->idle = c;
}

static void send_on(struct worker *w, struct due due)
{
    struct conn *c = w->idle;
    struct kind *kind = &w->kinds[due.kind];
    w->idle = c->next_idle;
    c->busy = true;
    c->kind = due.kind;
    c->due_ns = due.at_ns;
    /* A request fits any idle connection's socket buffer; a failure shows when reading. */
    (void)!send(c->fd, kind->request, kind->request_n, MSG_NOSIGNAL);
}

static void answered(struct worker *w, struct conn *c)
{
    record(&w->latency[c->kind], now_ns() - c->due_ns);
    c->busy = false;
    c->part = HEAD;
    c->next_idle = w->idle;
    w->idle = c;
}

static void head_done(struct worker *w, struct conn *c)
{
    c->line[c->line_n] = '\0';
    char *length = strcasestr(c->line, "\r\ncontent-length:");
    bool chunked = strcasestr(c->line, "\r\ntransfer-encoding: chunked") != NULL;
    if (strncmp(c->line, "HTTP/1.1 200", 12) != 0)
        w->errors++;
    c->line_n = 0;
    c->left = length ? strtoull(length + 17, NULL, 10) : 0;
    c->part = chunked ? CHUNK_SIZE : LENGTH;
    if (!chunked && c->left == 0)
        answered(w, c);
}

static void line_done(struct worker *w, struct conn *c)
{
    c->line[c->line_n] = '\0';
    bool empty = c->line_n == 2;
    c->line_n = 0;
    if (c->part == CHUNK_SIZE) {
        c->left = strtoull(c->line, NULL, 16);
        c->part = c->left > 0 ? CHUNK_DATA : TRAILER;
    } else if (c->part == CHUNK_END) {
        c->part = CHUNK_SIZE;
    } else if (empty) {
        answered(w, c);
    }
}

/* One byte of a head or of a line of the chunked coding. False: too long. */
static bool take_byte(struct worker *w, struct conn *c, char byte)
{
    if (c->line_n + 1 >= sizeof(c->line))
        return false;
    c->line[c->line_n++] = byte;
    if (byte != '\n')
        return true;
    if (c->part != HEAD)
        line_done(w, c);
    else if (c->line_n >= 4 && memcmp(c->line + c->line_n - 4, "\r\n\r\n", 4) == 0)
        head_done(w, c);
    return true;
}

static bool take(struct worker *w, struct conn *c, const char *p, size_t n)
{
    while (n > 0) {
        if (!c->busy)
            return false; /* more than was asked for */
        if (c->part != LENGTH && c->part != CHUNK_DATA) {
            if (!take_byte(w, c, *p))
                return false;
            p++;
            n--;
            continue;
        }
        size_t step = n < c->left ? n : (size_t)c->left;
        p += step;
        n -= step;
        c->left -= step;
        if (c->left == 0 && c->part == LENGTH)
            answered(w, c);
        else if (c->left == 0)
            c->part = CHUNK_END;
    }
    return true;
}

static void on_input(struct worker *w, struct conn *c)
{
    static _Thread_local char input[262144];
    ssize_t n = recv(c->fd, input, sizeof(input), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0 && take(w, c, input, (size_t)n))
        return;
    w->errors++;
    close(c->fd);
    if (!c->busy) { /* it is on the idle list: take it off before it is put there again */
        struct conn **at = &w->idle;
        while (*at != NULL && *at != c)
            at = &(*at)->next_idle;
        if (*at == c)
            *at = c->next_idle;
    }
    open_conn(w, c);
}

static void poll_input(struct worker *w, int64_t until_ns)
{
    struct epoll_event events[64];
    int64_t left = until_ns - now_ns();
    int n = epoll_wait(w->epoll, events, 64,
                       left > SPIN_NS ? (int)((left - SPIN_NS) / 1000000) + 1 : 0);
    for (int i = 0; i < n; i++)
        on_input(w, events[i].data.ptr);
}

static bool any_busy(struct worker *w)
{
    for (int i = 0; i < w->connections; i++)
        if (w->conns[i].busy)
            return true;
    return false;
}

/* One request on each connection, not counted: the server has accepted all of them when the time
 * begins. A connection that is not answered is left as it is, and counts. */
static void greet(struct worker *w)
{
    int64_t begun = now_ns();
    while (w->idle != NULL)
        send_on(w, (struct due){begun, 0});
    while (any_busy(w) && now_ns() < begun + DRAIN_NS)
        poll_input(w, begun + DRAIN_NS);
    memset(w->latency, 0, (size_t)n_kinds * sizeof(*w->latency));
    w->errors = 0; /* what the server closed since the last turn */
}

static void *run(void *arg)
{
    struct worker *w = arg;
    memset(&w->late, 0, sizeof(w->late));
    size_t due_max = (size_t)(w->rate * seconds) + 2, first = 0, last = 0;
    struct due *queue = malloc(due_max * sizeof(*queue));
    if (queue == NULL)
        exit(1);
    for (int i = 0; i < w->connections; i++)
        if (w->conns[i].fd < 0)
            open_conn(w, &w->conns[i]);
    greet(w);
    pthread_barrier_wait(&barrier);

    int64_t start = now_ns(), end = start + (int64_t)(seconds * 1e9), now = start;
    uint64_t made = 0;
    double step_ns = 1e9 / w->rate;
    while (now < end) {
        int64_t next = start + (int64_t)((double)made * step_ns);
        while (next <= now && next < end && last < due_max) {
            bool could = w->idle != NULL && first == last;
            queue[last++] = (struct due){next, choose(w)};
            if (could)
                record(&w->late, now - next);
            while (first < last && w->idle != NULL)
                send_on(w, queue[first++]);
            next = start + (int64_t)((double)++made * step_ns);
        }
        poll_input(w, next < end ? next : end);
        while (first < last && w->idle != NULL)
            send_on(w, queue[first++]);
        now = now_ns();
    }
    /* What was due is still asked for and answered; what then is not is charged for its age. */
    for (int64_t deadline = end + DRAIN_NS; (any_busy(w) || first < last) && now < deadline;) {
        poll_input(w, deadline);
        while (first < last && w->idle != NULL)
            send_on(w, queue[first++]);
        now = now_ns();
    }
    w->unanswered = last - first;
    for (; first < last; first++)
        record(&w->latency[queue[first].kind], now - queue[first].at_ns);
    for (int i = 0; i < w->connections; i++) {
        if (w->conns[i].busy) {
            record(&w->latency[w->conns[i].kind], now - w->conns[i].due_ns);
            w->unanswered++;
        }
    }
    free(queue);
    return NULL;
}

static void print_histogram(const struct histogram *h)
{
    const char *comma = "";
    printf("{\"requests\": %llu, \"sum_us\": %.0f, \"max_us\": %llu, \"buckets\": [",
           (unsigned long long)h->total, h->sum_us, (unsigned long long)h->max_us);
    for (unsigned i = 0; i < BUCKETS; i++) {
        if (h->count[i] == 0)
            continue;
        printf("%s[%llu,%llu]", comma, (unsigned long long)value_of(i),
               (unsigned long long)h->count[i]);
        comma = ",";
    }
    printf("]}");
}

static bool parse_kind(struct kind *kind, char *text)
{
    char *weight = strchr(text, ':'), *path = weight ? strchr(weight + 1, ':') : NULL;
    if (path == NULL)
        return false;
    *weight = *path = '\0';
    kind->name = text;
    kind->weight = atof(weight + 1);
    int n = snprintf(kind->request, sizeof(kind->request),
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", path + 1, port);
    kind->request_n = (size_t)n;
    return kind->weight > 0 && n > 0 && (size_t)n < sizeof(kind->request);
}

static bool turn(struct worker *workers, int threads, double rate)
{
    static struct histogram total[CLASSES_MAX], late;
    struct timespec began, ended;
    uint64_t errors = 0, unanswered = 0;

    memset(total, 0, sizeof(total));
    memset(&late, 0, sizeof(late));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&workers[i].thread, NULL, run, &workers[i]) != 0)
            return false;
    for (int i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        for (int k = 0; k < n_kinds; k++)
            merge(&total[k], &workers[i].latency[k]);
        merge(&late, &workers[i].late);
        errors += workers[i].errors;
        unanswered += workers[i].unanswered;
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    printf("{\"seconds\": %g, \"rate\": %g, \"cpu_s\": %.6f, \"errors\": %llu, "
           "\"unanswered\": %llu, \"late\": ",
           seconds, rate,
           (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9,
           (unsigned long long)errors, (unsigned long long)unanswered);
    print_histogram(&late);
    printf(", \"classes\": {");
    for (int k = 0; k < n_kinds; k++) {
        printf("%s\"%s\": ", k ? ", " : "", kinds[k].name);
        print_histogram(&total[k]);
    }
    printf("}}\n");
    return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    if (argc < 7 || argc - 6 > CLASSES_MAX) {
        fprintf(stderr, "usage: rate PORT SECONDS RATE CONNECTIONS THREADS NAME:WEIGHT:PATH...\n");
        return 2;
    }
    port = atoi(argv[1]);
    seconds = atof(argv[2]);
    double rate = atof(argv[3]), weights = 0;
    int connections = atoi(argv[4]), threads = atoi(argv[5]);
    if (seconds <= 0 || rate <= 0 || threads < 1 || connections < threads)
        return 2;
    for (n_kinds = 0; n_kinds < argc - 6; n_kinds++) {
        if (!parse_kind(&kinds[n_kinds], argv[6 + n_kinds]))
            return 2;
        weights += kinds[n_kinds].weight;
    }
    for (int i = 0; i < n_kinds; i++)
        kinds[i].weight /= weights;

    struct worker *workers = calloc((size_t)threads, sizeof(*workers));
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (int i = 0; workers != NULL && i < threads; i++) {
        struct worker *w = &workers[i];
        w->rate = rate / threads;
        w->connections = connections / threads + (i < connections % threads);
        w->epoll = epoll_create1(EPOLL_CLOEXEC);
        w->conns = calloc((size_t)w->connections, sizeof(*w->conns));
        w->latency = calloc((size_t)n_kinds, sizeof(*w->latency));
        memcpy(w->kinds, kinds, sizeof(kinds));
        for (int k = 0; w->conns != NULL && k < w->connections; k++)
            w->conns[k].fd = -1;
        if (w->conns == NULL || w->latency == NULL)
            return 1;
    }
    char line[16];
    while (workers != NULL && fgets(line, sizeof(line), stdin) != NULL)
        if (!turn(workers, threads, rate))
            return 1;
    return workers == NULL;
}
