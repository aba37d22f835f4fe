/* What strictness costs: a browser's request of about 700 bytes through llhttp alone, its spans noted as
 * any server on it would (`llhttp`), and through all of src/http up to the request that is handed
 * on (`strict`): the scan for line ends and limits, the request line, llhttp, and what the fields
 * mean together. */
#include "replay.h"

#include "http/connection.h"
#include "http/head.h"

#include <llhttp.h>

static const char request[] =
    "GET /summary/ACME?range=year&compare=BRS HTTP/1.1\r\n"
    "Host: shop.example\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
    "\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://shop.example/market\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: consent=yes; theme=dark; visitor=0f8fad5b-d9cb-469f-a165-70867728950e\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-User: ?1\r\n"
    "Priority: u=0, i\r\n\r\n";
#define LENGTH (sizeof(request) - 1)

static struct zq_slice spans[64];
static size_t n_spans;

static int on_span(llhttp_t *parser, const char *p, size_t n)
{
    spans[n_spans++] = zq_slice(p, n);
    return 0;
}

static void llhttp_alone(unsigned long n)
{
    llhttp_settings_t settings;
    llhttp_t parser;

    llhttp_settings_init(&settings);
    settings.on_url = on_span;
    settings.on_header_field = on_span;
    settings.on_header_value = on_span;
    for (unsigned long i = 0; i < n; i++) {
        n_spans = 0;
        llhttp_init(&parser, HTTP_REQUEST, &settings);
        MUST(llhttp_execute(&parser, request, LENGTH) == HPE_OK);
        MUST(n_spans == 29);
    }
}

static void strict(unsigned long n)
{
    struct zq_config config;
    struct zq_http_server server = {.config = &config};
    struct zq_conn conn = {.magic = ZQ_CONN_MAGIC, .server = &server};
    struct zq_http_exchange *ex = calloc(1, sizeof(*ex));

    zq_config_init(&config);
    MUST(ex != NULL);
    for (unsigned long i = 0; i < n; i++) {
        struct zq_arena arena = ex->pub.arena;
        zq_arena_reset(&arena);
        *ex = (struct zq_http_exchange){.conn = &conn};
        ex->pub.arena = arena;
        conn.scan = (struct zq_head_scan){0};
        MUST(zq_head_scan(&conn.scan, zq_slice(request, LENGTH), &config) == LENGTH);
        struct zq_slice head = zq_arena_copy(&ex->pub.arena, zq_slice(request, LENGTH));
        ex->pub.request.method = zq_slice(head.p, conn.scan.method_n);
        ex->pub.request.target = zq_slice(head.p + conn.scan.method_n + 1, conn.scan.target_n);
        ex->pub.request.method_id = ZQ_METHOD_GET;
        ex->pub.request.version_minor = conn.scan.version_minor;
        MUST(zq_parse_head(ex, (char *)(uintptr_t)head.p, head.n, conn.scan.count) == 0);
        MUST(zq_message_check(ex) == 0 && ex->pub.request.fields.n == 14);
    }
    zq_arena_fini(&ex->pub.arena);
    free(ex);
    zq_config_fini(&config);
}

int main(int argc, char **argv)
{
    static const struct replay list[] = {{"llhttp", llhttp_alone}, {"strict", strict}};
    return replay_main(argc, argv, list, ZQ_ARRAY_SIZE(list));
}
