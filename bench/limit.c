/* The limit: the least that answering a request over TCP costs on this machine.
 *
 *   limit PORT FILE THREADS [keep|close]
 *
 * Answers every request on 127.0.0.1:PORT with the bytes of FILE (a whole recorded response): one
 * recv and one send a request, or a pipelined batch. A request ends at its first empty line; its
 * bytes are looked at for nothing else. `close`: the connection ends behind the response.
 * Connections go round the threads, each with an epoll of its own, edge-triggered for both
 * directions, so that waiting for room costs no system call. SIGTERM ends it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH 64           /* responses prepared back to back, for pipelined requests */
#define BATCH_BYTES 262144 /* … up to so many bytes */
#define THREADS_MAX 64

static char *responses; /* `batch` times the response */
static size_t length, batch = 1;
static bool closes;
static int epolls[THREADS_MAX];

struct conn {
    int fd;
    unsigned matched; /* of the empty line, at the end of what was read */
    size_t owed;      /* bytes of responses not sent yet, 0 or of one response and more */
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void drop(struct conn *c)
{
    close(c->fd);
    free(c);
}

/* Requests that end within these bytes. */
static size_t count_ends(struct conn *c, const char *p, size_t n)
{
    static const char end[4] = "\r\n\r\n";
    size_t found = 0;
    if (c->matched == 0 && n >= 4 && memcmp(p + n - 4, end, 4) == 0 &&
        memmem(p, n - 4, end, 4) == NULL)
        return 1; /* the usual case */
    for (size_t i = 0; i < n; i++) {
        c->matched = p[i] == end[c->matched] ? c->matched + 1 : p[i] == '\r';
        if (c->matched == 4) {
            c->matched = 0;
            found++;
        }
    }
    return found;
}

/* False when the connection is over. */
static bool flush(struct conn *c)
{
    while (c->owed > 0) {
        size_t skip = (length - c->owed % length) % length;
        size_t n = batch * length - skip;
        ssize_t sent = send(c->fd, responses + skip, n < c->owed ? n : c->owed, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent < 0)
            return true;
        c->owed -= (size_t)sent;
        if (c->owed == 0 && closes)
            return false;
    }
    return true;
}

/* A short read has emptied the socket: what comes later is a new edge. What comes while a response
 * waits for room is read once that is sent. */
static void serve(struct conn *c, uint32_t events)
{
    static _Thread_local char input[65536];
    ssize_t n = sizeof(input);
    bool waited = c->owed > 0;
    if (waited && !flush(c)) {
        drop(c);
        return;
    }
    if (!waited && !(events & ~(uint32_t)EPOLLOUT))
        return; /* room, and nobody has waited for it */
    while (c->owed == 0 && n == sizeof(input)) {
        n = recv(c->fd, input, sizeof(input), 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n > 0)
            c->owed += count_ends(c, input, (size_t)n) * length;
        if (n <= 0 || !flush(c)) {
            drop(c);
            return;
        }
    }
}

static void *run(void *arg)
{
    int epoll = *(int *)arg;
    struct epoll_event events[256];
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++)
            serve(events[i].data.ptr, events[i].events);
    }
    return NULL;
}

static void read_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
        die(path);
    length = (size_t)st.st_size;
    while (batch < BATCH && (batch + 1) * length <= BATCH_BYTES)
        batch++;
    responses = malloc(batch * length);
    if (responses == NULL || read(fd, responses, length) != (ssize_t)length)
        die(path);
    close(fd);
    for (size_t i = 1; i < batch; i++)
        memcpy(responses + i * length, responses, length);
}

static int listen_on(int port)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, 2048) < 0)
        die("listen");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: limit PORT FILE THREADS [keep|close]\n");
        return 2;
    }
    closes = argc > 4 && strcmp(argv[4], "close") == 0;
    int threads = atoi(argv[3]);
    if (threads < 1 || threads > THREADS_MAX)
        return 2;
    read_file(argv[2]);
    int listener = listen_on(atoi(argv[1]));
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        epolls[i] = epoll_create1(EPOLL_CLOEXEC);
        if (epolls[i] < 0 || pthread_create(&thread, NULL, run, &epolls[i]) != 0)
            die("thread");
    }
    for (int next = 0;; next = (next + 1) % threads) {
        int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct conn *c = calloc(1, sizeof(*c));
        if (c == NULL || (fd < 0 && errno != ECONNABORTED && errno != EINTR))
            die("accept");
        if (fd < 0) {
            free(c);
            continue;
        }
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        if (epoll_ctl(epolls[next], EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
}
