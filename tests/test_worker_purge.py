"""What a worker asks the front, as the front sees it on the wire."""

import struct

import pytest

from wirelib import ANSWER, INFO, PURGE, Closed, Worker, frame


@pytest.fixture
def link(tmp_path):
    (tmp_path / "value").write_text("x")
    with Worker("purging:app", env={"DATA": str(tmp_path)}) as worker:
        yield worker.links[0]


def answer(link, number, status=200, text=b""):
    link.send(frame(ANSWER, 0, struct.pack("=IHH", number, status, 0) + text))


def question(link):
    got = link.next(0, [PURGE])
    number, kind, soft, zero = struct.unpack_from("=IBBH", got.payload)
    assert zero == 0
    return number, kind, soft, got.payload[8:]


@pytest.mark.parametrize(
    "query, kind, text",
    [
        ("url=/a", 0, b"/a"),
        ("prefix=/a", 1, b"/a"),
        ("glob=*", 2, b"*"),
        ("tag=%C3%A9", 3, b"\xc3\xa9"),
        ("all=", 4, b""),
    ],
)
@pytest.mark.parametrize("soft", [0, 1])
def test_a_purge_waits_for_its_answer(link, query, kind, text, soft):
    stream = link.request("GET", f"/purge?{query}" + ("&soft=" if soft else ""))
    number, *rest = question(link)
    assert rest == [kind, soft, text]
    stream.nothing(0.05)
    answer(link, number)
    assert stream.response().status == 200


def test_one_question_at_a_time(link):
    streams = [link.request("GET", f"/purge?tag=t{i}") for i in range(3)]
    for i, stream in enumerate(streams):
        number, _, _, text = question(link)
        assert text == f"t{i}".encode()
        link.nothing(0.05)
        answer(link, number)
        assert stream.response().status == 200


def test_another_link_is_asked_where_one_goes_before_its_answer(tmp_path):
    """“an exception if the front cannot be reached”: at a reload the front takes those links from the
    old workers that no request needs any more, and can be reached by the others."""
    (tmp_path / "value").write_text("x")
    with Worker("purging:app", env={"DATA": str(tmp_path)}, links=3) as worker:
        *idle, link = worker.links
        stream = link.request("GET", "/purge?tag=a")
        for each in idle:
            question(each)
            each.close()
        number, *_, text = question(link)
        assert text == b"a"
        answer(link, number)
        assert stream.response().status == 200


def test_info(link):
    stream = link.request("GET", "/info")
    answer(link, link.next(0, [INFO]).number, text=b'{"on": true}')
    assert stream.response().body == b'{"on": true}'


@pytest.mark.parametrize(
    "status, text, error",
    [
        (400, b"holds a comma", b"ValueError: tag: holds a comma"),
        (503, b"too many", b"PurgeError: too many"),
    ],
)
def test_refusals_are_exceptions(link, status, text, error):
    stream = link.request("GET", "/purge?tag=a")
    answer(link, question(link)[0], status, text)
    assert stream.response().body == error


@pytest.mark.parametrize("asked", [False, True])
def test_an_answer_to_no_question_closes_the_link(link, asked):
    number = 0
    if asked:
        link.request("GET", "/purge?tag=a")
        number = question(link)[0]
    answer(link, number + 1)
    with pytest.raises(Closed):
        while True:
            link.next()
