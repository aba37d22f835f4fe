#include "status.h"

#include "zq/http.h"

const char *zq_http_reason(unsigned status)
{
    switch (status) {
#define STATUS(code, reason, sentence)                                                             \
    case code:                                                                                     \
        return reason;
#include "statuses.def"
    default:
        return "";
    }
}

static const char *sentence_of(unsigned status)
{
    switch (status) {
#define STATUS(code, reason, sentence)                                                             \
    case code:                                                                                     \
        return sentence;
#include "statuses.def"
    default:
        return NULL;
    }
}

const char *zq_http_explain(unsigned status)
{
    const char *sentence = sentence_of(status);
    return sentence != NULL ? sentence : "the request was refused";
}
