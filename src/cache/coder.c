#include "cache/coder.h"

#include "cache/alloc.h"
#include "cache/coded.h"
#include "cache/compress.h"
#include "cache/entry.h"
#include "cache/store.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define JOBS_MAX 256
#define JOBS_SHARE 8 /* content that waits is at most this part of the cache, */
#define CONTENT_BYTES_MAX ((uint64_t)32 << 20) /* and of one response no more than this */
#define WORTH_PERCENT 90                       /* of the size without a coding, at most */
/* Not the very last: a lock that it holds, for some nanoseconds, must not wait for an idle machine.
 */
#define NICE 10
#define ALL_ASKED ((1u << ZQ_CODING_COUNT) - 1)

struct job {
    struct zq_entry *entry; /* a reference */
    enum zq_coding coding;
};

struct zq_coder {
    struct zq_cache *cache;
    struct zq_coding_rules rules;
    pthread_t thread;
    atomic_bool stop;
    pthread_mutex_t lock; /* all below; no other lock is taken while it is held */
    pthread_cond_t news;
    struct job jobs[JOBS_MAX];
    unsigned first, n;
    uint64_t bytes;
};

const struct zq_coding_rules *zq_coder_rules(const struct zq_coder *coder)
{
    return &coder->rules;
}

/* ---- one job ---- */

/* Nobody asks any more for what is not in the index. */
static bool is_indexed(struct zq_entry *entry)
{
    zq_lock_take(&entry->shard->lock);
    bool indexed = entry->slot != NULL;
    zq_lock_give(&entry->shard->lock);
    return indexed;
}

/* Compresses outside of the store, as what it becomes may lie there in several pieces. */
static int make(struct zq_coder *coder, const struct zq_entry *owner, enum zq_coding coding)
{
    size_t max = (size_t)(owner->length * WORTH_PERCENT / 100), n;
    char *content = zq_cache_alloc(max);
    int error = ZQ_ENOMEM;

    if (content != NULL)
        error = zq_compress(coding, owner->first, owner->length, content, max, &n, &coder->stop);
    if (error == 0 &&
        !zq_coded_publish(coder->cache, zq_entry_coded(owner), coding, zq_slice(content, n)))
        error = ZQ_ENOMEM;
    zq_cache_dealloc(NULL, content, max);
    return error;
}

/* What does not get much smaller in one coding does not in another. */
static void run_job(struct zq_coder *coder, const struct job *job)
{
    struct zq_entry *owner = zq_entry_owner(job->entry);
    atomic_uint *asked = &zq_entry_coded(owner)->asked;
    int error = ZQ_EAGAIN;

    if (is_indexed(job->entry))
        error = make(coder, owner, job->coding);
    if (error == ZQ_ELIMIT)
        atomic_fetch_or_explicit(asked, ALL_ASKED, memory_order_relaxed);
    else if (error == ZQ_EAGAIN)
        atomic_fetch_and_explicit(asked, ~(1u << job->coding), memory_order_relaxed);
}

/* ---- the queue ---- */

/* Takes the oldest job. Locked. */
static struct job take_job(struct zq_coder *coder)
{
    struct job job = coder->jobs[coder->first];

    coder->first = (coder->first + 1) % JOBS_MAX;
    coder->n--;
    return job;
}

static void note_done(struct zq_coder *coder, const struct job *job)
{
    pthread_mutex_lock(&coder->lock);
    coder->bytes -= job->entry->length;
    pthread_mutex_unlock(&coder->lock);
    zq_entry_unref(job->entry);
}

static void *run(void *argument)
{
    struct zq_coder *coder = argument;

    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    for (;;) {
        pthread_mutex_lock(&coder->lock);
        while (coder->n == 0 && !atomic_load_explicit(&coder->stop, memory_order_relaxed))
            pthread_cond_wait(&coder->news, &coder->lock);
        bool stop = atomic_load_explicit(&coder->stop, memory_order_relaxed);
        struct job job = stop ? (struct job){0} : take_job(coder);
        pthread_mutex_unlock(&coder->lock);
        if (stop)
            return NULL;
        run_job(coder, &job);
        note_done(coder, &job);
    }
}

static bool put_job(struct zq_coder *coder, struct zq_entry *entry, enum zq_coding coding)
{
    if (pthread_mutex_trylock(&coder->lock) != 0)
        return false;
    bool fits =
        coder->n < JOBS_MAX && coder->bytes + entry->length <= coder->cache->size / JOBS_SHARE;
    if (fits) {
        zq_entry_ref(entry);
        coder->jobs[(coder->first + coder->n++) % JOBS_MAX] = (struct job){entry, coding};
        coder->bytes += entry->length;
        pthread_cond_signal(&coder->news);
    }
    pthread_mutex_unlock(&coder->lock);
    return fits;
}

void zq_coder_ask(struct zq_coder *coder, struct zq_entry *entry, enum zq_coding coding)
{
    atomic_uint *asked = &zq_entry_coded(zq_entry_owner(entry))->asked;
    unsigned bit = 1u << coding;

    ZQ_ASSERT(zq_entry_is_frozen(entry));
    /* Read first: a line that is hot in several cores is not written by every hit. */
    if ((atomic_load_explicit(asked, memory_order_relaxed) & bit) ||
        entry->length > CONTENT_BYTES_MAX ||
        (atomic_fetch_or_explicit(asked, bit, memory_order_relaxed) & bit))
        return;
    if (!put_job(coder, entry, coding))
        atomic_fetch_and_explicit(asked, ~bit, memory_order_relaxed);
}

/* ---- life ---- */

int zq_cache_compress(struct zq_cache *cache, const struct zq_coding_rules *rules)
{
    struct zq_coder *coder = calloc(1, sizeof(*coder));

    ZQ_CHECK(cache, ZQ_CACHE_MAGIC);
    if (coder == NULL)
        return ZQ_ENOMEM;
    coder->cache = cache;
    coder->rules = *rules;
    pthread_mutex_init(&coder->lock, NULL);
    pthread_cond_init(&coder->news, NULL);
    if (pthread_create(&coder->thread, NULL, run, coder) == 0) {
        cache->coder = coder;
        return 0;
    }
    pthread_mutex_destroy(&coder->lock);
    pthread_cond_destroy(&coder->news);
    free(coder);
    return ZQ_ENOMEM;
}

void zq_coder_free(struct zq_coder *coder)
{
    if (coder == NULL)
        return;
    pthread_mutex_lock(&coder->lock);
    atomic_store_explicit(&coder->stop, true, memory_order_relaxed);
    pthread_cond_signal(&coder->news);
    pthread_mutex_unlock(&coder->lock);
    pthread_join(coder->thread, NULL);
    while (coder->n > 0)
        zq_entry_unref(take_job(coder).entry);
    pthread_mutex_destroy(&coder->lock);
    pthread_cond_destroy(&coder->news);
    free(coder);
}
