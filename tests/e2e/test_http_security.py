"""Who may ask the HTTP server, how a request must be framed, and that silent clients keep nobody out."""
import contextlib
import json
import re
import socket
import time

import pytest

from oracle import process
from oracle.mirror import ROOT, SLOW
from test_http_api import DESCRIPTORS, ORDERS, SCHEMAS, Api
from test_http_push import TOKEN


def routes():
    """(method, pattern, takes a body) of every route, from the server's own table: a new route is tried without being listed here."""
    text = (ROOT / "src/http/http_routes.c").read_text()
    defines = dict(re.findall(r'#define (\w+) "([^"]+)"', text))
    table = text[text.index("routes[] = {"):]
    table = table[:table.index("\n};")]
    found = []
    for method, pattern, body in re.findall(r'\{"([A-Z]+)",\s*([^,]+),\s*(\w+),', table):
        parts = re.findall(r'"([^"]*)"|(\w+)', pattern)
        found.append((method, "".join(literal or defines[name] if name else literal for literal, name in parts), body != "DM_HTTP_NO_BODY"))
    assert len(found) == table.count('{"') and len(found) >= 16, found
    return found


def test_routes_are_documented():
    text = (ROOT / "docs/http.md").read_text()
    for method, pattern, _ in routes():
        assert pattern.replace("/{}", "").rsplit("/changes")[0] in text, pattern
        assert method in text


class Guarded(Api):
    """A dataset with three rows, and what would change it by each route."""

    def fill(self):
        self.items()
        assert self.push([{"id": i, "v": 1, "name": "x"} for i in (1, 2, 3)], dataset="s.items")[0] == 200
        return self

    def state(self):
        return (self.rows(), self.ok("GET", SCHEMAS), self.ok("GET", DESCRIPTORS), self.ok("GET", ORDERS))

    def attacks(self):
        """(method, path with parameters, body) of every route, in a form that would change something."""
        urn = self.ok("GET", SCHEMAS)["results"][0]["$id"]
        descriptor = str(self.ok("GET", DESCRIPTORS)["results"][0]["@id"]).rsplit(":", 1)[1]
        schema = json.dumps({**self.ok("GET", SCHEMAS)["results"][0], "title": "s.evil", "description": "evil"})
        bodies = {"changes": '{"id": 9, "v": 9}\n{"id": 1, "v": 9, "_change_request_type": "d"}',
                  "schemas": schema, "workorder": '{"datasetId": "s.items", "where": "true"}',
                  "descriptors": json.dumps({"@type": "xdm:descriptorVersion", "xdm:sourceSchema": urn, "xdm:sourceProperty": "/id"})}
        names = {"changes": "s.items", "schemas": "s.items", "descriptors": descriptor, "workorder": "1"}
        for method, pattern, has_body in routes():
            kind = next((k for k in names if k in pattern), None)
            path = pattern.replace("{}", names.get(kind, "x"))
            yield method, path + ("?drop_rows=true" if method == "DELETE" and kind == "schemas" else ""), bodies[kind] if has_body else None


@pytest.fixture
def guarded(folder):
    m = Guarded(folder)
    m.start()
    m.fill()
    yield m
    assert not m.alive() or m.stop() == 0, m.log_tail()


def test_foreign_pages_are_refused_on_every_route(guarded):
    """What a browser says of a page of another site: Origin, Sec-Fetch-Site, and Host when a name was made to point here."""
    before = guarded.state()
    own = f"127.0.0.1:{guarded.port}"
    foreign = [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": f"http://localhost:{guarded.port}"}, {"Origin": f"http://127.0.0.1:{guarded.port + 1}"},
               {"Origin": f"http://{own}.evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
               {"Host": "evil.example"}, {"Host": f"evil.example:{guarded.port}"}, {"Host": f"127.0.0.1.evil.example:{guarded.port}"}, {"Host": "[::1].evil.example"},
               {"Host": f"127.0.0.1@evil.example:{guarded.port}"}, {"Host": f"evil.example:{guarded.port}", "Origin": f"http://evil.example:{guarded.port}"}]
    for method, path, body in guarded.attacks():
        for headers in foreign:
            for media in ("text/plain", "application/json"):
                status, answer, _ = guarded.send(method, path, body, {**headers, "Content-Type": media})
                assert status == 403 and answer["error"]["code"] in ("foreign_host", "foreign_origin"), (method, path, headers, status, answer)
    assert guarded.state() == before
    # its own pages, programs, and addresses of the bar are welcome
    for headers in ({"Origin": f"http://{own}"}, {"Origin": f"https://{own}"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Host": "localhost"},
                    {"Host": "[::1]:99"}, {"Host": "10.0.0.7"}):
        assert guarded.send("GET", SCHEMAS, None, headers)[0] == 200, headers


def test_json_routes_want_json(guarded):
    """The three types that a page may send anywhere unasked, and none at all."""
    before = guarded.state()
    for method, path, body in guarded.attacks():
        if body is None or "/changes" in path:
            continue
        for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "multipart/form-data; boundary=x"},
                        {"Content-Type": "text/plain; application/json"}, {"Content-Type": "application/jsonp"}):
            status, answer, _ = guarded.plain(method, path, body, headers)
            assert status == 415 and "application/json" in answer["hint"], (method, path, headers, status, answer)
    assert guarded.state() == before
    assert guarded.send("POST", ORDERS + "?dry_run=true", {"datasetId": "s.items", "keys": [1]}, {"Content-Type": "Application/JSON; charset=utf-8"})[0] == 200


def test_names_of_the_server(folder):
    m = Guarded(folder, f"http_hosts: [mirror.example.com, box]\nhttp_token: {TOKEN}")
    m.token = TOKEN
    m.start()
    for host, right in (("mirror.example.com", 200), (f"MIRROR.example.com:{m.port}", 200), ("box:443", 200), ("mirror.example.com.evil.example", 403), ("ample.com", 403)):
        assert m.send("GET", "/v1/health?live=true", None, {"Host": host})[0] == right, host
        assert m.send("GET", SCHEMAS, None, {"Host": host})[0] == right, host
    assert m.stop() == 0


# ---- framing ----

def raw(port, data, wait=10):
    """What comes back until the server closes; b"" for a connection that was cut."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait * SLOW) as s:
        with contextlib.suppress(ConnectionError):
            s.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := s.recv(65536):
                answer += piece
        return answer


def code(answer):
    return int(answer.split(b" ", 2)[1])


GOOD = b"POST /v1/datasets/s.items/changes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n"
ROW = b'{"id": 77, "v": 1}\n'
CHUNKED = b"13\r\n" + ROW + b"\r\n0\r\n\r\n"
LENGTH = b"Content-Length: 19\r\n"
BAD_FRAMES = {
    "two lengths": GOOD + LENGTH + LENGTH + b"\r\n" + ROW,
    "two lengths that differ": GOOD + LENGTH + b"Content-Length: 0\r\n\r\n" + ROW,
    "a list of lengths": GOOD + b"Content-Length: 19, 19\r\n\r\n" + ROW,
    "a length with a sign": GOOD + b"Content-Length: +19\r\n\r\n" + ROW,
    "a length in hexadecimal": GOOD + b"Content-Length: 0x13\r\n\r\n" + ROW,
    "no length's value": GOOD + b"Content-Length:\r\n\r\n" + ROW,
    "length and coding": GOOD + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "coding and length": GOOD + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n" + CHUNKED,
    "two codings": GOOD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "another coding": GOOD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED,
    "a coding in disguise": GOOD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED,
    "a coding in HTTP/1.0": GOOD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "a bare LF after the first line": GOOD.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n") + LENGTH + b"\r\n" + ROW,
    "a bare LF after a header": GOOD + b"X: y\n" + LENGTH + b"\r\n" + ROW,
    "a bare LF at the end": GOOD + LENGTH + b"\n" + ROW,
    "bare LFs only": (GOOD + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + ROW,
    "a bare CR": GOOD + b"X: y\r" + LENGTH + b"\r\n" + ROW,
    "a zero byte": GOOD + b"X: \x00\r\n" + LENGTH + b"\r\n" + ROW,
    "a space before the colon": GOOD + b"Content-Length : 19\r\n\r\n" + ROW,
    "a folded line": GOOD + LENGTH + b"X: a\r\n b\r\n\r\n" + ROW,
    "a header without a name": GOOD + LENGTH + b": x\r\n\r\n" + ROW,
    "a line without a colon": GOOD + LENGTH + b"nothing\r\n\r\n" + ROW,
    "no Host": GOOD.replace(b"Host: 127.0.0.1\r\n", b"") + LENGTH + b"\r\n" + ROW,
    "an empty Host": GOOD.replace(b"127.0.0.1", b"") + LENGTH + b"\r\n" + ROW,
    "two Hosts": GOOD + b"Host: 127.0.0.1\r\n" + LENGTH + b"\r\n" + ROW,
    "two Hosts that differ": GOOD + b"host: evil.example\r\n" + LENGTH + b"\r\n" + ROW,
    "two Origins": GOOD + b"Origin: http://127.0.0.1\r\nOrigin: http://evil.example\r\n" + LENGTH + b"\r\n" + ROW,
    "two types": GOOD + b"Content-Type: text/csv\r\n" + LENGTH + b"\r\n" + ROW,
    "a whole URL as the path": GOOD.replace(b" /v1", b" http://evil.example/v1") + LENGTH + b"\r\n" + ROW,
    "two spaces": GOOD.replace(b" HTTP", b"  HTTP") + LENGTH + b"\r\n" + ROW,
    "another version": GOOD.replace(b"1.1", b"1.2") + LENGTH + b"\r\n" + ROW,
    "no version": b"GET /v1/health\r\n\r\n",
    "an empty line first": b"\r\n" + GOOD + LENGTH + b"\r\n" + ROW,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "headers without an end": GOOD + b"X: " + b"y" * 20000 + b"\r\n",
}


def test_framing_that_could_be_read_in_two_ways_is_refused(guarded):
    before = guarded.rows()
    for name, data in BAD_FRAMES.items():
        answer = raw(guarded.port, data + GOOD + LENGTH + b"\r\n" + ROW)     # and nothing after it is taken for a request
        assert answer.count(b"HTTP/1.1 ") == 1 and code(answer) == 400, (name, answer[:200])
        head, body = answer.split(b"\r\n\r\n", 1)
        assert b"Connection: close" in head and json.loads(body)["status"] == 400, name
    assert guarded.rows() == before
    # one request a connection, whole or in pieces
    answer = raw(guarded.port, GOOD + LENGTH + b"\r\n" + ROW + b"DELETE " + SCHEMAS.encode() + b"/s.items?drop_rows=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert code(answer) == 200 and answer.count(b"HTTP/1.1") == 1 and b'"upserted":1' in answer
    assert b'"ties":1' in raw(guarded.port, GOOD + b"Transfer-Encoding: Chunked\r\n\r\n" + CHUNKED)
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=20 * SLOW) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GOOD + LENGTH + b"\r\n" + ROW:
            s.sendall(bytes([byte]))
        s.shutdown(socket.SHUT_WR)
        assert b'"ties":1' in b"".join(iter(lambda: s.recv(65536), b""))
    assert len(guarded.rows()) == len(before) + 1


# ---- room ----

def idle(port, n, first=b"G"):
    sockets = []
    for _ in range(n):
        s = socket.create_connection(("127.0.0.1", port), timeout=20 * SLOW)
        s.sendall(first)
        sockets.append(s)
    return sockets


def closed(s):
    """Has the other side closed it?"""
    s.setblocking(False)
    try:
        while s.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_silent_clients_keep_nobody_out(guarded):
    """Each sends the beginning of a request and stops; health and pushes are answered as if they were not there."""
    before = time.monotonic()
    sockets = idle(guarded.port, 600)
    assert guarded.send("GET", "/v1/health")[0] == 200
    assert guarded.push([{"id": 5, "v": 1, "name": "x"}], dataset="s.items")[0] == 200
    assert time.monotonic() - before < 20 * SLOW
    process.poll(lambda: sum(not closed(s) for s in sockets) <= 256, 20 * SLOW, "the oldest to be closed")
    process.poll(lambda: all(closed(s) for s in sockets), 30 * SLOW, "headers that do not come to be waited for no longer")
    # with bodies that do not come: those beyond the limit of one address are told so, health is answered
    body = idle(guarded.port, 100, GOOD + LENGTH + b"\r\n{")
    assert guarded.send("GET", "/v1/health?live=true")[0] == 200

    def told():
        return guarded.push([{"id": 6, "v": 1, "name": "x"}], dataset="s.items")
    status, answer, headers = process.poll(lambda: (r := told())[0] == 503 and r, 10 * SLOW, "requests beyond the limit to be told so")
    assert answer["error"]["code"] == "busy" and headers["Retry-After"]
    assert guarded.send("GET", "/v1/health")[0] == 200
    for s in body:
        s.close()
    process.poll(lambda: told()[0] == 200, 20 * SLOW, "room again")
