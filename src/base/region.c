#include "zq/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS_BYTES 4096u /* all words of a region, in one page in front of the blocks */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static const struct way {
    uint32_t first, n; /* of all blocks of a region */
} ways[] = {
    [ZQ_REGION_TO_FRONT] = {0, ZQ_REGION_TO_FRONT_BLOCKS},
    [ZQ_REGION_TO_WORKER] = {ZQ_REGION_TO_FRONT_BLOCKS, ZQ_REGION_TO_WORKER_BLOCKS},
};
#define BLOCKS (ZQ_REGION_TO_FRONT_BLOCKS + ZQ_REGION_TO_WORKER_BLOCKS)
#define REGION_BYTES (WORDS_BYTES + (size_t)BLOCKS * ZQ_REGION_BLOCK_BYTES)

struct zq_region {
    atomic_uint refs;
    atomic_uint held[ZQ_ARRAY_SIZE(ways)]; /* chunks that stand for a block */
    char *map;
};

/* What a chunk that stands for a block has inside. */
struct held {
    struct zq_region *region;
    enum zq_region_way way;
    uint32_t block;
};

int zq_region_memory(unsigned n)
{
    int fd = memfd_create("zq-bodies", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return ZQ_EIO;
    if (ftruncate(fd, (off_t)(n * REGION_BYTES)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return ZQ_EIO;
    }
    return fd;
}

static bool is_memory(int fd, unsigned index)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 &&
           (uint64_t)st.st_size >= (index + 1ull) * REGION_BYTES;
}

struct zq_region *zq_region_new(int memory, unsigned index)
{
    struct zq_region *region = calloc(1, sizeof(*region));

    if (region == NULL || !is_memory(memory, index))
        goto fail;
    region->map = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory,
                       (off_t)(index * REGION_BYTES));
    if (region->map == MAP_FAILED)
        goto fail;
    madvise(region->map, REGION_BYTES, MADV_DONTFORK);
    atomic_init(&region->refs, 1);
    return region;
fail:
    free(region);
    return NULL;
}

void zq_region_ref(struct zq_region *region)
{
    atomic_fetch_add_explicit(&region->refs, 1, memory_order_relaxed);
}

void zq_region_unref(struct zq_region *region)
{
    if (region == NULL || atomic_fetch_sub_explicit(&region->refs, 1, memory_order_acq_rel) != 1)
        return;
    munmap(region->map, REGION_BYTES);
    free(region);
}

static atomic_uint *word_of(struct zq_region *region, enum zq_region_way way, uint32_t block)
{
    ZQ_ASSERT(block < ways[way].n);
    return (atomic_uint *)(void *)region->map + ways[way].first + block;
}

char *zq_region_block(const struct zq_region *region, enum zq_region_way way, uint32_t block)
{
    if (region == NULL || block >= ways[way].n)
        return NULL;
    return region->map + WORDS_BYTES + (size_t)(ways[way].first + block) * ZQ_REGION_BLOCK_BYTES;
}

/* Acquire: what the consumer read was read before it is overwritten. */
static bool is_free(struct zq_region *region, enum zq_region_way way, uint32_t block)
{
    return atomic_load_explicit(word_of(region, way, block), memory_order_acquire) == 0;
}

/* The lowest, so that few pages are touched, and those often; or all there are. */
static uint32_t find_free(struct zq_region *region, enum zq_region_way way)
{
    uint32_t block = 0;

    while (block < ways[way].n && !is_free(region, way, block))
        block++;
    return block;
}

bool zq_region_has_free(struct zq_region *region, enum zq_region_way way)
{
    return find_free(region, way) < ways[way].n;
}

uint32_t zq_region_count_free(struct zq_region *region, enum zq_region_way way)
{
    uint32_t n = 0;

    for (uint32_t block = 0; block < ways[way].n; block++)
        n += is_free(region, way, block);
    return n;
}

char *zq_region_room(struct zq_region *region, enum zq_region_way way, size_t *n)
{
    uint32_t first = region != NULL ? find_free(region, way) : ways[way].n;
    size_t room = 0;

    for (uint32_t block = first; block < ways[way].n && room < *n; block++) {
        if (!is_free(region, way, block))
            break;
        room += ZQ_REGION_BLOCK_BYTES;
    }
    if (room < *n)
        *n = room;
    return zq_region_block(region, way, first);
}

static int take(struct zq_region *region, enum zq_region_way way, uint32_t block)
{
    if (block >= ways[way].n)
        return ZQ_EAGAIN;
    atomic_store_explicit(word_of(region, way, block), 1, memory_order_relaxed);
    return (int)block;
}

int zq_region_take(struct zq_region *region, enum zq_region_way way)
{
    return take(region, way, find_free(region, way));
}

int zq_region_take_at(struct zq_region *region, enum zq_region_way way, const char *p)
{
    uintptr_t first = (uintptr_t)zq_region_block(region, way, 0), at = (uintptr_t)p;
    uintptr_t block = (at - first) / ZQ_REGION_BLOCK_BYTES;

    if (at < first || block >= ways[way].n || at != first + block * ZQ_REGION_BLOCK_BYTES ||
        !is_free(region, way, (uint32_t)block))
        return ZQ_EAGAIN;
    return take(region, way, (uint32_t)block);
}

void zq_region_give(struct zq_region *region, enum zq_region_way way, uint32_t block)
{
    atomic_store_explicit(word_of(region, way, block), 0, memory_order_release);
}

/* ---- blocks that stay for a while ---- */

static void release(struct zq_chunk *chunk)
{
    struct held *held = (struct held *)(void *)chunk->data;

    zq_region_give(held->region, held->way, held->block);
    atomic_fetch_sub_explicit(&held->region->held[held->way], 1, memory_order_relaxed);
    zq_region_unref(held->region);
}

/* A peer that names a block twice is counted twice, too. */
static bool may_hold(struct zq_region *region, enum zq_region_way way)
{
    unsigned most = ways[way].n - ways[way].n / 4;

    if (atomic_fetch_add_explicit(&region->held[way], 1, memory_order_relaxed) < most)
        return true;
    atomic_fetch_sub_explicit(&region->held[way], 1, memory_order_relaxed);
    return false;
}

struct zq_chunk *zq_region_hold(struct zq_region *region, enum zq_region_way way, uint32_t block)
{
    if (!may_hold(region, way))
        return NULL;
    struct zq_chunk *chunk = zq_chunk_new(sizeof(struct held));
    if (chunk == NULL) {
        atomic_fetch_sub_explicit(&region->held[way], 1, memory_order_relaxed);
        return NULL;
    }
    *(struct held *)(void *)chunk->data = (struct held){region, way, block};
    chunk->size = ZQ_REGION_BLOCK_BYTES; /* what it keeps from others */
    chunk->release = release;
    zq_region_ref(region);
    return chunk;
}
