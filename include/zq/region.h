/* room: base
 *
 * Memory that a worker shares with a front, for the long parts of bodies, which then need not go
 * through the socket. Super makes one memory per worker and front; each I/O thread of the front and
 * the worker's link to it have a region of it, and the pages are taken only when they are used.
 *
 * A region has blocks for each way, and a word for each block: 0 while the block is the producer's.
 * The producer takes a block, fills it and names it in a frame; the consumer gives it back when it
 * is done. What is held for long leaves a quarter of the blocks to others.
 *
 * The peer may write anything anywhere at any time, and so spoils its own bodies: no length or
 * index is read from here, and what is decided by content, or is to stay, is copied first. Sizes
 * are sealed, so that reading never faults.
 */
#ifndef ZQ_REGION_H
#define ZQ_REGION_H

#include "zq/base.h"

#define ZQ_REGION_BLOCK_BYTES (64u << 10)
#define ZQ_REGION_TO_FRONT_BLOCKS 64u
#define ZQ_REGION_TO_WORKER_BLOCKS 64u

enum zq_region_way { ZQ_REGION_TO_FRONT, ZQ_REGION_TO_WORKER };

struct zq_region;

/* The memory for `n` regions: a sealed, close-on-exec descriptor, or ZQ_EIO with errno set. */
int zq_region_memory(unsigned n);

/* Region `index` of it; `memory` stays the caller's. Children of this process that only fork do not
 * have it. One reference; NULL when it cannot be mapped, or is not such a memory. */
struct zq_region *zq_region_new(int memory, unsigned index);
void zq_region_ref(struct zq_region *region);
void zq_region_unref(struct zq_region *region); /* NULL is fine */

/* Where block `block` is; NULL when there is none of that number, or no region. */
char *zq_region_block(const struct zq_region *region, enum zq_region_way way, uint32_t block);

/* The producer's, by one thread: takes the lowest free block, or ZQ_EAGAIN. */
int zq_region_take(struct zq_region *region, enum zq_region_way way);
/* Before that: where the lowest free block begins, to be filled and then taken, or NULL; `*n`, the
 * bytes that are wanted, becomes less when the blocks right behind it that are free, too, are not
 * enough. And taking the one that begins at `p`, ZQ_EAGAIN if that is no free block. */
char *zq_region_room(struct zq_region *region, enum zq_region_way way, size_t *n);
int zq_region_take_at(struct zq_region *region, enum zq_region_way way, const char *p);
bool zq_region_has_free(struct zq_region *region, enum zq_region_way way); /* the same thread */
uint32_t zq_region_count_free(struct zq_region *region, enum zq_region_way way);
/* By its consumer, on any thread; or by the producer, when it was not named after all. */
void zq_region_give(struct zq_region *region, enum zq_region_way way, uint32_t block);

/* The consumer's: a chunk that stands for a block, which goes back with the chunk's last reference,
 * on whatever thread, and also behind the last zq_region_unref. NULL when out of memory, or when
 * the held ones leave few for others: then what is in the block has to be copied. */
struct zq_chunk *zq_region_hold(struct zq_region *region, enum zq_region_way way, uint32_t block);

#endif
