/* room: http, private */
#ifndef ZQ_HTTP_STATUS_H
#define ZQ_HTTP_STATUS_H

/* One sentence, without its full stop, for the body of an error. Never NULL. */
const char *zq_http_explain(unsigned status);

#endif
