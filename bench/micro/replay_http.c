/* A request from its bytes to the written response, through the door of src/http, over a
 * socketpair: parse, check, answer, and one turn of the loop. What the kernel does is not counted,
 * and the callback answers from ready-made bytes, as a hit does. */
#include "replay.h"

#include "zq/http.h"

#include <sys/socket.h>
#include <unistd.h>

static const char bare[] = "GET /health HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";
static const char browser[] =
    "GET /summary/ACME?range=year HTTP/1.1\r\n"
    "Host: shop.example\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Connection: keep-alive\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Mode: navigate\r\n\r\n";
static char body[117];

static struct zq_loop *loop;

static void on_request(struct zq_http_server *server, struct zq_exchange *exchange)
{
    struct zq_response_head head = {
        .status = 200,
        .block = ZQ_SLICE("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"),
        .content_length = sizeof(body),
        .age = 7,
        .cache_status = ZQ_SLICE("zq; hit; ttl=53"),
    };
    struct iovec v = {body, sizeof(body)};
    zq_exchange_start(exchange, &head, &v, 1, true);
}

static void on_body(struct zq_exchange *exchange, struct zq_slice data, bool end)
{
}

static void on_writable(struct zq_exchange *exchange)
{
}

static void on_done(struct zq_http_server *server, struct zq_exchange *exchange)
{
    MUST(exchange->end == ZQ_EXCHANGE_COMPLETE && exchange->status == 200);
    zq_loop_stop(loop);
}

static void replay(unsigned long n, const char *request, size_t length)
{
    static const struct zq_http_handler handler = {.on_request = on_request, .on_body = on_body, .on_writable = on_writable, .on_done = on_done};
    struct zq_config config;
    int pair[2];
    char answer[1024];

    zq_config_init(&config);
    loop = zq_loop_new();
    struct zq_http_server *server = zq_http_server_new(loop, &config, &handler, NULL);
    MUST(loop != NULL && server != NULL);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    zq_http_accept(server, pair[0]);
    for (unsigned long i = 0; i < n; i++) {
        MUST(write(pair[1], request, length) == (ssize_t)length);
        zq_loop_run(loop);
        MUST(read(pair[1], answer, sizeof(answer)) > (ssize_t)sizeof(body));
    }
    zq_http_server_free(server);
    zq_loop_free(loop);
    zq_config_fini(&config);
    close(pair[1]);
}

static void get_bare(unsigned long n)
{
    replay(n, bare, sizeof(bare) - 1);
}

static void get_browser(unsigned long n)
{
    replay(n, browser, sizeof(browser) - 1);
}

int main(int argc, char **argv)
{
    static const struct replay list[] = {{"get", get_bare}, {"get-browser", get_browser}};
    return replay_main(argc, argv, list, ZQ_ARRAY_SIZE(list));
}
