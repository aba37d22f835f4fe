/* src/base/region.c: blocks go to and fro, and what the peer writes there hurts only its bodies. */
#include "zq/region.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define REGIONS 2
#define TO_FRONT ZQ_REGION_TO_FRONT
#define BLOCKS ((int)ZQ_REGION_TO_FRONT_BLOCKS)

/* Both ends of region 0 of one memory. */
static int memory;
static struct zq_region *producer, *consumer;

static int set_up(void **state)
{
    (void)state;
    memory = zq_region_memory(REGIONS);
    producer = memory < 0 ? NULL : zq_region_new(memory, 0);
    consumer = memory < 0 ? NULL : zq_region_new(memory, 0);
    return producer && consumer ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    zq_region_unref(producer);
    zq_region_unref(consumer);
    close(memory);
    return 0;
}

static void a_block_goes_there_and_back(void **state)
{
    (void)state;
    int block = zq_region_take(producer, TO_FRONT);
    assert_int_equal(block, 0);
    memcpy(zq_region_block(producer, TO_FRONT, 0), "content", 8);
    assert_string_equal(zq_region_block(consumer, TO_FRONT, 0), "content");
    assert_int_equal(zq_region_take(producer, TO_FRONT), 1);
    zq_region_give(consumer, TO_FRONT, 0);
    assert_int_equal(zq_region_take(producer, TO_FRONT), 0); /* the lowest that is free */
}

/* Each end of a block can be written without touching any other, in any region. */
static void blocks_do_not_overlap(void **state)
{
    struct zq_region *other = zq_region_new(memory, 1);
    const size_t last = ZQ_REGION_BLOCK_BYTES - 1;

    (void)state;
    assert_non_null(other);
    for (uint32_t i = 0; i < ZQ_REGION_TO_FRONT_BLOCKS; i++)
        zq_region_block(producer, TO_FRONT, i)[0] = zq_region_block(producer, TO_FRONT, i)[last] =
            (char)i;
    for (uint32_t i = 0; i < ZQ_REGION_TO_WORKER_BLOCKS; i++)
        zq_region_block(producer, ZQ_REGION_TO_WORKER, i)[0] =
            zq_region_block(producer, ZQ_REGION_TO_WORKER, i)[last] = (char)~i;
    memset(zq_region_block(other, TO_FRONT, 0), 'x', ZQ_REGION_BLOCK_BYTES);
    for (uint32_t i = 0; i < ZQ_REGION_TO_FRONT_BLOCKS; i++) {
        assert_int_equal(zq_region_block(consumer, TO_FRONT, i)[0], (char)i);
        assert_int_equal(zq_region_block(consumer, TO_FRONT, i)[last], (char)i);
    }
    for (uint32_t i = 0; i < ZQ_REGION_TO_WORKER_BLOCKS; i++)
        assert_int_equal(zq_region_block(consumer, ZQ_REGION_TO_WORKER, i)[last], (char)~i);
    assert_int_equal(zq_region_take(producer, TO_FRONT), 0); /* no word was written over */
    assert_int_equal(zq_region_take(producer, ZQ_REGION_TO_WORKER), 0);
    zq_region_unref(other);
}

static void take_all(void)
{
    for (int i = 0; i < BLOCKS; i++)
        assert_int_equal(zq_region_take(producer, TO_FRONT), i);
}

static void there_are_so_many_blocks(void **state)
{
    (void)state;
    take_all();
    assert_int_equal(zq_region_take(producer, TO_FRONT), ZQ_EAGAIN);
    assert_false(zq_region_has_free(producer, TO_FRONT));
    assert_int_equal(zq_region_take(producer, ZQ_REGION_TO_WORKER), 0); /* the other way's own */
    zq_region_give(consumer, TO_FRONT, 7);
    assert_true(zq_region_has_free(producer, TO_FRONT));
    assert_int_equal(zq_region_take(producer, TO_FRONT), 7);
}

/* "the lowest free block, to be filled and then taken" */
static void a_block_may_be_filled_before_it_is_taken(void **state)
{
    (void)state;
    assert_int_equal(zq_region_take(producer, TO_FRONT), 0);
    size_t n = 10;
    char *room = zq_region_room(producer, TO_FRONT, &n);
    assert_ptr_equal(room, zq_region_block(producer, TO_FRONT, 1));
    zq_region_give(consumer, TO_FRONT, 0); /* a lower one comes back meanwhile */
    assert_int_equal(zq_region_take_at(producer, TO_FRONT, room), 1);
    assert_int_equal(zq_region_take_at(producer, TO_FRONT, room), ZQ_EAGAIN);
    assert_int_equal(zq_region_take(producer, TO_FRONT), 0);
    assert_int_equal(zq_region_take(producer, TO_FRONT), 2);
    assert_int_equal(n, 10);
    assert_null(zq_region_room(NULL, TO_FRONT, &n));
    assert_int_equal(n, 0);
}

/* "becomes less when the blocks right behind it that are free, too, are not enough" */
static void room_goes_on_in_the_blocks_behind(void **state)
{
    (void)state;
    size_t n = 3 * ZQ_REGION_BLOCK_BYTES + 1;
    assert_ptr_equal(zq_region_room(producer, TO_FRONT, &n),
                     zq_region_block(producer, TO_FRONT, 0));
    assert_int_equal(n, 3 * ZQ_REGION_BLOCK_BYTES + 1);
    char *fourth = zq_region_block(producer, TO_FRONT, 3);
    assert_int_equal(zq_region_take_at(producer, TO_FRONT, fourth), 3);
    zq_region_room(producer, TO_FRONT, &n);
    assert_int_equal(n, 3 * ZQ_REGION_BLOCK_BYTES);
    n = SIZE_MAX; /* up to the last block, and not further */
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(zq_region_take(producer, TO_FRONT), i);
    assert_ptr_equal(zq_region_room(producer, TO_FRONT, &n),
                     zq_region_block(producer, TO_FRONT, 4));
    assert_int_equal(n, (ZQ_REGION_TO_FRONT_BLOCKS - 4) * ZQ_REGION_BLOCK_BYTES);
    assert_int_equal(zq_region_count_free(producer, TO_FRONT), ZQ_REGION_TO_FRONT_BLOCKS - 4);
    zq_region_give(consumer, TO_FRONT, 1);
    assert_int_equal(zq_region_count_free(producer, TO_FRONT), ZQ_REGION_TO_FRONT_BLOCKS - 3);
}

static void what_is_no_block_is_not_taken(void **state)
{
    char *first = zq_region_block(producer, ZQ_REGION_TO_WORKER, 0), elsewhere;
    const size_t all = (size_t)ZQ_REGION_TO_WORKER_BLOCKS * ZQ_REGION_BLOCK_BYTES;
    const char *const none[] = {NULL, &elsewhere, first - ZQ_REGION_BLOCK_BYTES, first + 1,
                                first + all};

    (void)state;
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(none); i++)
        assert_int_equal(zq_region_take_at(producer, ZQ_REGION_TO_WORKER, none[i]), ZQ_EAGAIN);
    assert_int_equal(
        zq_region_take_at(producer, ZQ_REGION_TO_WORKER, first + all - ZQ_REGION_BLOCK_BYTES),
        (int)ZQ_REGION_TO_WORKER_BLOCKS - 1);
    take_all();
    size_t n = 1;
    assert_null(zq_region_room(producer, TO_FRONT, &n));
    assert_int_equal(zq_region_count_free(producer, TO_FRONT), 0);
}

static void a_number_of_no_block_is_none(void **state)
{
    (void)state;
    assert_null(zq_region_block(consumer, TO_FRONT, ZQ_REGION_TO_FRONT_BLOCKS));
    assert_null(zq_region_block(consumer, ZQ_REGION_TO_WORKER, ZQ_REGION_TO_WORKER_BLOCKS));
    assert_null(zq_region_block(consumer, TO_FRONT, UINT32_MAX));
    assert_null(zq_region_block(NULL, TO_FRONT, 0));
}

/* "which goes back with the chunk's last reference" */
static void a_held_block_goes_back_with_its_chunk(void **state)
{
    (void)state;
    take_all();
    struct zq_chunk *chunk = zq_region_hold(consumer, TO_FRONT, 3);
    assert_non_null(chunk);
    zq_chunk_ref(chunk);
    zq_chunk_unref(chunk);
    assert_int_equal(zq_region_take(producer, TO_FRONT), ZQ_EAGAIN);
    zq_chunk_unref(chunk);
    assert_int_equal(zq_region_take(producer, TO_FRONT), 3);
}

/* "when the held ones leave few for others: then what is in the block has to be copied", and a peer
 * that names a block twice gains nothing. */
static void a_quarter_is_never_held(void **state)
{
    struct zq_chunk *chunks[BLOCKS];
    int n = 0;

    (void)state;
    while (n < BLOCKS && (chunks[n] = zq_region_hold(consumer, TO_FRONT, 0)) != NULL)
        n++;
    assert_int_equal(n, BLOCKS - BLOCKS / 4);
    zq_chunk_unref(chunks[--n]);
    assert_non_null(chunks[n] = zq_region_hold(consumer, TO_FRONT, 1));
    for (int i = 0; i <= n; i++)
        zq_chunk_unref(chunks[i]);
}

/* "on whatever thread, and also behind the last zq_region_unref" */
static void *let_go(void *chunk)
{
    zq_chunk_unref(chunk);
    return NULL;
}

static void a_held_block_outlives_the_link(void **state)
{
    struct zq_region *gone = zq_region_new(memory, 1), *peer = zq_region_new(memory, 1);
    pthread_t thread;

    (void)state;
    assert_int_equal(zq_region_take(peer, TO_FRONT), 0);
    char *block = zq_region_block(gone, TO_FRONT, 0);
    struct zq_chunk *chunk = zq_region_hold(gone, TO_FRONT, 0);
    zq_region_unref(gone);
    memset(block, 'x', ZQ_REGION_BLOCK_BYTES); /* is still there */
    assert_int_equal(pthread_create(&thread, NULL, let_go, chunk), 0);
    pthread_join(thread, NULL);
    assert_int_equal(zq_region_take(peer, TO_FRONT), 0);
    zq_region_unref(peer);
}

/* "Sizes are sealed, so that reading never faults." */
static void nobody_can_change_its_size(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(fstat(memory, &st), 0);
    assert_int_equal(ftruncate(memory, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(memory, st.st_size + 1), -1);
    assert_int_equal(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_true(fcntl(memory, F_GETFD) & FD_CLOEXEC);
}

static void what_is_no_such_memory_is_refused(void **state)
{
    int plain = memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    (void)state;
    assert_null(zq_region_new(memory, REGIONS));
    assert_int_equal(ftruncate(plain, 64 << 20), 0);
    assert_null(zq_region_new(plain, 0));
    close(plain);
    assert_null(zq_region_new(-1, 0));
}

/* "Children of this process that only fork do not have it." */
static void a_fork_does_not_have_it(void **state)
{
    int status;

    (void)state;
    pid_t child = fork();
    if (child == 0) {
        unsigned char resident;
        void *page = zq_region_block(producer, TO_FRONT, 0);
        _exit(mincore(page, 1, &resident) < 0 && errno == ENOMEM ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* A peer may write what it likes into the words: a block is taken or not, and stays inside. */
static void scribbled_words_are_words(void **state)
{
    uint32_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

    (void)state;
    assert_true(words != MAP_FAILED);
    memset(words, 0xff, 4096);
    assert_int_equal(zq_region_take(producer, TO_FRONT), ZQ_EAGAIN);
    struct zq_chunk *chunk = zq_region_hold(consumer, TO_FRONT, 5);
    zq_chunk_unref(chunk);
    assert_int_equal(zq_region_take(producer, TO_FRONT), 5);
    munmap(words, 4096);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_block_goes_there_and_back),       TEST(blocks_do_not_overlap),
        TEST(there_are_so_many_blocks),          TEST(a_block_may_be_filled_before_it_is_taken),
        TEST(room_goes_on_in_the_blocks_behind), TEST(what_is_no_block_is_not_taken),
        TEST(a_number_of_no_block_is_none),      TEST(a_held_block_goes_back_with_its_chunk),
        TEST(a_quarter_is_never_held),           TEST(a_held_block_outlives_the_link),
        TEST(nobody_can_change_its_size),        TEST(what_is_no_such_memory_is_refused),
        TEST(a_fork_does_not_have_it),           TEST(scribbled_words_are_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
