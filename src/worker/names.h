/* Private to src/worker: every Python string and constant that the way of a request uses, interned
 * once in the module's state (STYLE item 8). */
#ifndef ZQ_WORKER_NAMES_H
#define ZQ_WORKER_NAMES_H

/*    C name, text */
#define ZQ_NAMES(X)                                                                                \
    /* the scope */                                                                                \
    X(type, "type")                                                                                \
    X(http, "http")                                                                                \
    X(asgi, "asgi")                                                                                \
    X(version, "version")                                                                          \
    X(version_3_0, "3.0")                                                                          \
    X(spec_version, "spec_version")                                                                \
    X(spec_version_2_4, "2.4")                                                                     \
    X(http_version, "http_version")                                                                \
    X(http_1_0, "1.0")                                                                             \
    X(http_1_1, "1.1")                                                                             \
    X(http_2, "2")                                                                                 \
    X(method, "method")                                                                            \
    X(scheme, "scheme")                                                                            \
    X(https, "https")                                                                              \
    X(path, "path")                                                                                \
    X(raw_path, "raw_path")                                                                        \
    X(query_string, "query_string")                                                                \
    X(root_path, "root_path")                                                                      \
    X(headers, "headers")                                                                          \
    X(client, "client")                                                                            \
    X(server, "server")                                                                            \
    X(state, "state")                                                                              \
    X(extensions, "extensions")                                                                    \
    /* messages */                                                                                 \
    X(body, "body")                                                                                \
    X(more_body, "more_body")                                                                      \
    X(status, "status")                                                                            \
    X(http_request, "http.request")                                                                \
    X(http_disconnect, "http.disconnect")                                                          \
    /* asyncio */                                                                                  \
    X(add_reader, "add_reader")                                                                    \
    X(add_writer, "add_writer")                                                                    \
    X(remove_reader, "remove_reader")                                                              \
    X(remove_writer, "remove_writer")                                                              \
    X(call_soon, "call_soon")                                                                      \
    X(create_future, "create_future")                                                              \
    X(done, "done")                                                                                \
    X(eager_start, "eager_start")                                                                  \
    X(future_blocking, "_asyncio_future_blocking")                                                 \
    X(get_task_factory, "get_task_factory")                                                        \
    X(loop, "loop")                                                                                \
    X(set_result, "set_result")                                                                    \
    X(close, "close")                                                                              \
    X(throw, "throw")                                                                              \
    /* methods: found by zq_intern_method */                                                       \
    X(GET, "GET")                                                                                  \
    X(HEAD, "HEAD")                                                                                \
    X(POST, "POST")                                                                                \
    X(PUT, "PUT")                                                                                  \
    X(DELETE, "DELETE")                                                                            \
    X(OPTIONS, "OPTIONS")                                                                          \
    X(PATCH, "PATCH")

enum zq_name {
#define X(name, text) ZQ_NAME_##name,
    ZQ_NAMES(X)
#undef X
        ZQ_NAME_COUNT
};

/* Header names that requests carry again and again: one bytes object each. */
#define ZQ_COMMON_FIELDS(X)                                                                        \
    X("accept")                                                                                    \
    X("accept-charset")                                                                            \
    X("accept-encoding")                                                                           \
    X("accept-language")                                                                           \
    X("access-control-request-headers")                                                            \
    X("access-control-request-method")                                                             \
    X("authorization")                                                                             \
    X("cache-control")                                                                             \
    X("connection")                                                                                \
    X("content-encoding")                                                                          \
    X("content-length")                                                                            \
    X("content-type")                                                                              \
    X("cookie")                                                                                    \
    X("dnt")                                                                                       \
    X("expect")                                                                                    \
    X("forwarded")                                                                                 \
    X("host")                                                                                      \
    X("if-match")                                                                                  \
    X("if-modified-since")                                                                         \
    X("if-none-match")                                                                             \
    X("if-range")                                                                                  \
    X("if-unmodified-since")                                                                       \
    X("keep-alive")                                                                                \
    X("origin")                                                                                    \
    X("pragma")                                                                                    \
    X("priority")                                                                                  \
    X("range")                                                                                     \
    X("referer")                                                                                   \
    X("sec-ch-ua")                                                                                 \
    X("sec-ch-ua-mobile")                                                                          \
    X("sec-ch-ua-platform")                                                                        \
    X("sec-fetch-dest")                                                                            \
    X("sec-fetch-mode")                                                                            \
    X("sec-fetch-site")                                                                            \
    X("sec-fetch-user")                                                                            \
    X("te")                                                                                        \
    X("traceparent")                                                                               \
    X("tracestate")                                                                                \
    X("transfer-encoding")                                                                         \
    X("upgrade")                                                                                   \
    X("upgrade-insecure-requests")                                                                 \
    X("user-agent")                                                                                \
    X("via")                                                                                       \
    X("x-forwarded-for")                                                                           \
    X("x-forwarded-host")                                                                          \
    X("x-forwarded-proto")                                                                         \
    X("x-real-ip")                                                                                 \
    X("x-request-id")                                                                              \
    X("x-requested-with")

#endif
