/* Hit ratios of the store, and of LRU and FIFO with room for as many responses as it held, on a
 * Zipf trace, and on one that is interrupted by scans of keys that never come again. */
#include "store.h"

#include <math.h>

#define UNIVERSE 50000u
#define REQUESTS 1000000u
#define BODY 500
#define BURST 5000u /* of Zipf, then of a scan */

/* ---- traces ---- */

static double *cumulated;

static void zipf_init(double alpha)
{
    double sum = 0;

    for (unsigned i = 0; i < UNIVERSE; i++)
        cumulated[i] = sum += 1 / pow(i + 1, alpha);
    for (unsigned i = 0; i < UNIVERSE; i++)
        cumulated[i] /= sum;
}

static unsigned zipf_next(uint64_t *state)
{
    double at = (double)(random_next(state) >> 11) / (double)(1ull << 53);
    unsigned low = 0, high = UNIVERSE - 1;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (cumulated[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void trace_fill(unsigned *trace, bool scans)
{
    uint64_t state = 88172645463325252u;
    unsigned once = UNIVERSE;

    for (unsigned i = 0; i < REQUESTS; i++)
        trace[i] = scans && i / BURST % 2 ? once++ : zipf_next(&state);
}

/* ---- what it is compared with: a list in order of use, or of arrival ---- */

struct link {
    unsigned next, previous;
    bool in;
};

static void link_remove(struct link *links, unsigned i)
{
    links[links[i].previous].next = links[i].next;
    links[links[i].next].previous = links[i].previous;
    links[i].in = false;
}

static void link_first(struct link *links, unsigned head, unsigned i)
{
    links[i] = (struct link){links[head].next, head, true};
    links[links[head].next].previous = i;
    links[head].next = i;
}

static double list_ratio(const unsigned *trace, uint64_t room, bool by_use)
{
    unsigned head = UNIVERSE + REQUESTS, hits = 0;
    struct link *links = calloc(head + 1, sizeof(*links));
    uint64_t n = 0;

    MUST(links != NULL);
    links[head].next = links[head].previous = head;
    for (unsigned i = 0; i < REQUESTS; i++) {
        unsigned key = trace[i];
        bool hit = links[key].in;
        hits += hit && i >= REQUESTS / 2;
        if (hit && !by_use)
            continue;
        if (hit)
            link_remove(links, key);
        else if (n == room)
            link_remove(links, links[head].previous);
        else
            n++;
        link_first(links, head, key);
    }
    free(links);
    return hits / (REQUESTS / 2.0);
}

/* ---- the store ---- */

static double store_ratio(const unsigned *trace, uint64_t bytes, uint64_t *room)
{
    struct zq_cache *cache = zq_cache_new(bytes);
    unsigned hits = 0;

    for (unsigned i = 0; i < REQUESTS; i++) {
        struct item item = {.key = trace[i], .body_n = BODY};
        hits += item_ask(cache, &item) && i >= REQUESTS / 2;
    }
    *room = responses_of(cache);
    zq_cache_free(cache);
    return hits / (REQUESTS / 2.0);
}

/* With its slot, tables and all. */
static uint64_t bytes_per_response(void)
{
    struct zq_cache *cache = zq_cache_new(64 << 20);

    for (unsigned i = 0; i < 1000; i++)
        item_ask(cache, &(struct item){.key = UNIVERSE + i, .body_n = BODY});
    uint64_t bytes = zq_cache_used(cache) / 1000;
    zq_cache_free(cache);
    return bytes;
}

int main(void)
{
    static const double alphas[] = {0.6, 0.8, 1.0, 1.2}, shares[] = {0.01, 0.1, 0.3};
    unsigned *trace = malloc(REQUESTS * sizeof(*trace));
    uint64_t each = bytes_per_response(), room;

    cumulated = malloc(UNIVERSE * sizeof(*cumulated));
    MUST(trace != NULL && cumulated != NULL);
    for (int scans = 0; scans < 2; scans++)
        for (size_t a = 0; a < ZQ_ARRAY_SIZE(alphas); a++) {
            if (scans && alphas[a] != 1.0)
                continue;
            zipf_init(alphas[a]);
            trace_fill(trace, scans);
            for (size_t s = 0; s < ZQ_ARRAY_SIZE(shares); s++) {
                double ratio = store_ratio(trace, (uint64_t)(UNIVERSE * shares[s]) * each, &room);
                printf("{\"trace\": \"%s\", \"alpha\": %.1f, \"share\": %.2f, \"responses\": %llu, "
                       "\"zq\": %.4f, \"lru\": %.4f, \"fifo\": %.4f}\n",
                       scans ? "Zipf and scans" : "Zipf", alphas[a], shares[s],
                       (unsigned long long)room, ratio, list_ratio(trace, room, true),
                       list_ratio(trace, room, false));
                fflush(stdout);
            }
        }
    free(trace);
    free(cumulated);
    return 0;
}
