"""Requests that no HTTP library writes, byte by byte: the guard must see what the application sees."""

import socket

import pytest


def said(api, request: bytes, timeout: float = 10) -> bytes:
    """What the server answers to these bytes, up to the end of the head."""
    host, port = api.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout) as line:
        line.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer and (piece := line.recv(4096)):
            answer += piece
    return answer


def status(api, *lines: str, body: str = "") -> int:
    head = "\r\n".join([*lines, "Connection: close", "", ""])
    return int(said(api, (head + body).encode("latin-1")).split()[1])


GET = "GET /internal/ping HTTP/1.1"


def test_an_ordinary_request(api):
    assert status(api, GET, "Host: localhost") == 200


def test_two_hosts(api):
    assert status(api, GET, "Host: localhost", "Host: evil.com") in (400, 403)
    assert status(api, GET, "Host: evil.com", "Host: localhost") in (400, 403)


def test_no_host(api):
    assert status(api, GET) in (400, 403)
    assert status(api, "GET /internal/ping HTTP/1.0") in (400, 403)


def test_two_origins(api):
    post = "POST /sdapi/v1/interrupt HTTP/1.1"
    own = f"Origin: {api.address}"
    host = f"Host: {api.address.removeprefix('http://')}"
    assert status(api, post, host, own, "Content-Length: 0") == 200
    assert status(api, post, host, own, "Origin: http://evil.com", "Content-Length: 0") == 403
    assert status(api, post, host, "Origin: http://evil.com", own, "Content-Length: 0") == 403


def test_an_address_with_a_host_in_it(api):
    assert status(api, "GET http://evil.com/internal/ping HTTP/1.1", "Host: localhost") in (200, 400, 403, 404)
    assert status(api, "GET http://localhost/internal/ping HTTP/1.1", "Host: evil.com") in (400, 403)


def test_a_forwarded_host_is_not_believed(api):
    for name in ("X-Forwarded-Host: localhost", "Forwarded: host=localhost", "X-Host: localhost"):
        assert status(api, GET, "Host: evil.com", name) == 403


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "99999999999999999999999999", "", "5, 6", "five"])
def test_lengths_that_are_none(api, length):
    lines = ["POST /sdapi/v1/txt2img HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    assert status(api, *lines, f"Content-Length: {length}", body="{}") in (400, 413, 422)


def test_a_length_and_pieces_at_once(api):
    """Two servers that read this differently could be made to see different requests."""
    lines = ["POST /internal/progress HTTP/1.1", "Host: localhost", "Content-Length: 4", "Transfer-Encoding: chunked"]
    assert status(api, *lines, body="0\r\n\r\n") in (400, 413, 422, 501)


def test_a_head_that_does_not_end(api):
    assert status(api, GET, "Host: localhost", "X: " + "x" * 200_000) in (400, 431)


@pytest.mark.parametrize("path", ["/internal/ping\0", "internal/ping", "*", "/\xff", "/%ff%fe", "/" + "x" * 60_000])
def test_addresses_that_are_none(api, path):
    assert status(api, f"GET {path} HTTP/1.1", "Host: localhost") in (400, 404, 414)


def test_a_header_cannot_be_smuggled_into_an_answer(api):
    answer = said(api, b"GET /login%0d%0aSet-Cookie:x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b"set-cookie" not in answer.lower()
