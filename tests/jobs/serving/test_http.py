from __future__ import annotations

import pytest

from millrace.jobs.serving.http import BadRequest, Heads

HEADS = Heads(max_body_bytes=1000)


def head(start: str = "POST /invocations HTTP/1.1", **headers: str) -> bytes:
    lines = [start, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode()


def test_a_head_is_read_whatever_the_case_of_its_words() -> None:
    found = HEADS.read(head(CONTENT_Length="12", Content_Type="Application/JSON; charset=utf-8", X_Amzn_Trace="a:b"))
    assert (found.method, found.path, found.body_bytes) == ("POST", "/invocations", 12)
    assert found.content_type == "application/json"
    assert found.keep_alive
    assert not found.expects_continue


@pytest.mark.parametrize(
    ("start", "connection", "keep_alive"),
    [
        ("GET /ping HTTP/1.1", "keep-alive", True),
        ("GET /ping HTTP/1.1", "Close", False),
        ("GET /ping HTTP/1.0", "", False),
        ("GET /ping HTTP/1.0", "Keep-Alive", True),
    ],
)
def test_the_client_says_whether_the_connection_stays(start: str, connection: str, keep_alive: bool) -> None:
    assert HEADS.read(head(start, connection=connection)).keep_alive is keep_alive


def test_a_client_may_wait_before_it_sends() -> None:
    assert HEADS.read(head(Expect="100-Continue", Content_Length="5")).expects_continue
    assert not HEADS.read(head("POST / HTTP/1.0", Expect="100-Continue", Content_Length="5")).expects_continue


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (b"", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"GET /ping", 400),
        (b"GET ping HTTP/1.1", 400),
        (b"GET /ping HTTP/2", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET  /ping HTTP/1.1", 400),
        (b"GE(T) /ping HTTP/1.1", 400),
        (b"\xe9GET /ping HTTP/1.1", 400),
        (b" /ping HTTP/1.1", 400),
        (b"GET /a\nb HTTP/1.1", 400),
        (b"GET /a\tb HTTP/1.1", 400),
        (b"GET /ping HTTP/1.1\n", 400),
        (b"GET /ping HTTP/1.1\r\nno colon", 400),
        (b"GET /ping HTTP/1.1\r\n folded: line", 400),
        (b"GET /ping HTTP/1.1\r\ncontent-length : 1", 400),
        (b"GET /ping HTTP/1.1\r\na b: c", 400),
        (b"GET /ping HTTP/1.1\r\na(b): c", 400),
        (b"GET /ping HTTP/1.1\r\na\xe9b: c", 400),
        (b"POST / HTTP/1.1\r\na: b\ncontent-length: 5", 400),
        (b"POST / HTTP/1.1\r\na: b\rcontent-length: 5", 400),
        (b"GET /ping HTTP/1.1\r\na: b\0c", 400),
        (b"GET /ping HTTP/1.1\r\na: b\x7fc", 400),
        (b"GET /ping HTTP/1.1\r\na: b\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length:\xa05\xa0", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1_0", 400),
        ("POST / HTTP/1.1\r\ncontent-length: \u00b2".encode("latin-1"), 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\nContent-Length: 2", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1001", 413),
        (b"POST / HTTP/1.1\r\ncontent-length: " + b"9" * 5000, 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked", 411),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3", 411),
    ],
)
def test_what_is_no_request_is_refused(block: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        HEADS.read(block)
    assert refused.value.status == status
    assert len(refused.value.came) < 100


def test_the_memory_of_heads_is_bounded() -> None:
    heads = Heads(max_body_bytes=1000)
    for number in range(1000):
        assert heads.read(head(x=str(number))).path == "/invocations"
    assert len(heads._known) <= 256
