/* src/base/control.c: what is sent arrives whole, with its descriptors, or not at all. */
#include "zq/control.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static int ends[2];
static struct zq_control sent, received;
static char storage[ZQ_CONTROL_TEXT_MAX];

static int setup(void **state)
{
    (void)state;
    memset(&sent, 0, sizeof(sent));
    memset(&received, 0, sizeof(received));
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int teardown(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static int receive(void)
{
    return zq_control_receive(ends[1], &received, storage, sizeof(storage));
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void a_message_arrives_as_it_was_sent(void **state)
{
    (void)state;
    sent = (struct zq_control){.type = ZQ_CONTROL_WORKER_BAD,
                               .worker = 7,
                               .generation = 3,
                               .value = -5,
                               .text = ZQ_SLICE("frame of \0 bytes")};
    assert_int_equal(zq_control_send(ends[0], &sent), 0);
    assert_int_equal(receive(), 0);
    assert_int_equal(received.type, ZQ_CONTROL_WORKER_BAD);
    assert_int_equal(received.worker, 7);
    assert_int_equal(received.generation, 3);
    assert_int_equal(received.value, -5);
    assert_true(zq_slice_eq(received.text, sent.text));
    assert_int_equal(received.n_fds, 0);
    assert_int_equal(receive(), ZQ_EAGAIN);
}

static void the_longest_text_fits_and_an_empty_one_is_empty(void **state)
{
    char *text = malloc(ZQ_CONTROL_TEXT_MAX);

    (void)state;
    memset(text, 'x', ZQ_CONTROL_TEXT_MAX);
    sent.type = ZQ_CONTROL_CONFIG;
    sent.text = zq_slice(text, ZQ_CONTROL_TEXT_MAX);
    assert_int_equal(zq_control_send(ends[0], &sent), 0);
    sent.type = ZQ_CONTROL_START;
    sent.text = ZQ_SLICE("");
    assert_int_equal(zq_control_send(ends[0], &sent), 0);
    assert_int_equal(receive(), 0);
    assert_int_equal(received.text.n, ZQ_CONTROL_TEXT_MAX);
    assert_memory_equal(received.text.p, text, ZQ_CONTROL_TEXT_MAX);
    assert_int_equal(receive(), 0);
    assert_int_equal(received.type, ZQ_CONTROL_START);
    assert_int_equal(received.text.n, 0);
    free(text);
}

/* "received close-on-exec"; "after receive: the caller owns (closes) them" */
static void as_many_descriptors_as_allowed_travel(void **state)
{
    (void)state;
    sent.type = ZQ_CONTROL_LINKS;
    for (sent.n_fds = 0; sent.n_fds < ZQ_CONTROL_FDS_MAX; sent.n_fds++)
        sent.fds[sent.n_fds] = STDERR_FILENO;
    assert_int_equal(zq_control_send(ends[0], &sent), 0);
    assert_int_equal(receive(), 0);
    assert_int_equal(received.n_fds, ZQ_CONTROL_FDS_MAX);
    for (size_t i = 0; i < received.n_fds; i++) {
        assert_true(fcntl(received.fds[i], F_GETFD) & FD_CLOEXEC);
        close(received.fds[i]);
    }
    assert_true(is_open(STDERR_FILENO));
}

static void a_closed_peer_is_told_from_a_silent_one(void **state)
{
    int other[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, other), 0);
    sent.type = ZQ_CONTROL_START;
    assert_int_equal(zq_control_receive(other[1], &received, storage, sizeof(storage)), ZQ_EAGAIN);
    assert_int_equal(zq_control_wait(other[1], &received, storage, sizeof(storage), 20), ZQ_EAGAIN);
    assert_int_equal(zq_control_send(other[0], &sent), 0);
    close(other[0]);
    assert_int_equal(zq_control_wait(other[1], &received, storage, sizeof(storage), -1), 0);
    assert_int_equal(received.type, ZQ_CONTROL_START);
    assert_int_equal(zq_control_wait(other[1], &received, storage, sizeof(storage), -1),
                     ZQ_ECLOSED);
    assert_int_equal(zq_control_send(other[1], &sent), ZQ_ECLOSED);
    close(other[1]);
}

/* "ZQ_EAGAIN when the peer does not read" */
static void sending_never_blocks(void **state)
{
    int rc;

    (void)state;
    sent.type = ZQ_CONTROL_WORKER_DEAD;
    while ((rc = zq_control_send(ends[0], &sent)) == 0)
        ;
    assert_int_equal(rc, ZQ_EAGAIN);
}

static void raw(const void *p, size_t n, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } ancillary = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                              .cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS}};
    struct iovec iov = {(void *)(uintptr_t)p, n};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof(fd));
        message.msg_control = &ancillary;
        message.msg_controllen = sizeof(ancillary);
    }
    assert_int_equal(sendmsg(ends[0], &message, 0), n);
}

/* "ZQ_EPROTO for a malformed one (its descriptors are closed)" */
static void malformed_messages_are_refused(void **state)
{
    struct {
        uint32_t type, worker, generation, text_n;
        int64_t value;
    } packet = {.type = ZQ_CONTROL_TYPE_COUNT};
    int probe[2];
    char byte;

    (void)state;
    assert_int_equal(pipe(probe), 0);
    raw("short", 5, -1);
    assert_int_equal(receive(), ZQ_EPROTO);
    raw(&packet, sizeof(packet), probe[1]);
    close(probe[1]);
    assert_int_equal(receive(), ZQ_EPROTO);
    assert_int_equal(received.n_fds, 0);
    assert_int_equal(read(probe[0], &byte, 1), 0); /* EOF: no copy of the writing end is left */
    packet.type = ZQ_CONTROL_NONE;
    raw(&packet, sizeof(packet), -1);
    assert_int_equal(receive(), ZQ_EPROTO);
    packet.type = ZQ_CONTROL_READY;
    packet.text_n = 1;
    raw(&packet, sizeof(packet), -1);
    assert_int_equal(receive(), ZQ_EPROTO);
    close(probe[0]);
}

static void a_text_that_does_not_fit_is_refused(void **state)
{
    char small[4];

    (void)state;
    sent.type = ZQ_CONTROL_READY;
    sent.text = ZQ_SLICE("12345");
    assert_int_equal(zq_control_send(ends[0], &sent), 0);
    assert_int_equal(zq_control_receive(ends[1], &received, small, sizeof(small)), ZQ_EPROTO);
}

static void every_type_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(zq_control_name(ZQ_CONTROL_CONFIG), "CONFIG");
    assert_string_equal(zq_control_name(ZQ_CONTROL_STOP), "STOP");
    assert_string_equal(zq_control_name(ZQ_CONTROL_TYPE_COUNT), "?");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_message_arrives_as_it_was_sent),
        TEST(the_longest_text_fits_and_an_empty_one_is_empty),
        TEST(as_many_descriptors_as_allowed_travel),
        TEST(a_closed_peer_is_told_from_a_silent_one),
        TEST(sending_never_blocks),
        TEST(malformed_messages_are_refused),
        TEST(a_text_that_does_not_fit_is_refused),
        TEST(every_type_has_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
