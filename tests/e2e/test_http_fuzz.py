"""Random requests, most of them nearly right, against a running server: it answers each without an error of its own, within its memory, and goes on.

DM_FUZZ_SECONDS says how long (make nightly: ten minutes); without it a fixed number of requests."""
import gzip
import json
import os
import random
import socket
import time
from urllib.parse import quote

import pytest

from test_http_security import Guarded, code, routes

SECONDS = float(os.environ.get("DM_FUZZ_SECONDS", "0"))
REQUESTS = 400
MEMORY = 256 << 20
WORDS = ["s.items", "s.new", "id", "v", "name", "email", "s", "", "ALL", "1", "é", "\U0001f600", "x" * 300, "null", "'; drop table x", "a.b.c", "../../x", "%00", "\x1b[2J",
         "urn:datamirror:schema:s.items", "/id", "/v", "/nothing", "#/definitions/customFields"]
NUMBERS = [0, 1, -1, 2**31, 2**63 - 1, 2**63, -2**63, 2**64, 10**40, 0.1, -0.0, 1e308, 1e-320]
TYPES = ["application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.parquet", "application/octet-stream", "text/plain", "application/json; charset=utf-8", "", "x"]
CONDITIONS = ["true", "id = 1", "false", "id in (1, 2)", "name like '%x%'", "id = ", "1/0 = 1", "(((((((1)))))))", "exists (select 1)", "name = getenv('HOME')", "v > 9e99",
              "id = 1; drop table x", "read_text('/etc/passwd') is null", "repeat('x', 1000) = name", "id = (select 1)", "cast(name as int) = 1", "--", "\0"]


class Requests:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.routes = routes()

    def value(self, depth=0):
        r = self.r
        kind = r.randrange(9 if depth < 3 else 6)
        if kind < 2:
            return r.choice(WORDS)
        if kind == 2:
            return r.choice(NUMBERS)
        if kind < 5:
            return r.choice([None, True, False, r.randrange(10)])
        if kind == 5:
            return "".join(chr(r.choice([r.randrange(1, 128), r.randrange(0x80, 0xd800)])) for _ in range(r.randrange(20)))
        if kind == 6:
            return [self.value(depth + 1) for _ in range(r.randrange(4))]
        return {r.choice(WORDS) + str(i): self.value(depth + 1) for i in range(r.randrange(4))}

    def schema(self):
        r = self.r
        types = [{"type": "integer"}, {"type": "string"}, {"type": "string", "format": "date-time"}, {"type": "number"}, {"type": "boolean"},
                 {"type": "string", "enum": ["a", "b"]}, {"type": "array", "items": {"type": "string"}}, {"type": "string", "minLength": 2, "maxLength": 1}]
        columns = {name: r.choice(types) for name in r.sample(["id", "v", "name", "email", "k", "t"], r.randrange(1, 6))}
        return {"title": r.choice(["s.items", "s.new", f"s.r{r.randrange(20)}", r.choice(WORDS)]), "type": "object", "description": r.choice(WORDS),
                "definitions": {"customFields": {"type": "object", "properties": columns, "required": r.sample(list(columns), r.randrange(len(columns) + 1))}},
                "allOf": [{"$ref": "#/definitions/customFields", "meta:xdmType": "object"}], "meta:extends": ["https://ns.adobe.com/xdm/data/adhoc-v2"],
                "meta:behaviorType": r.choice(["record", "time-series"])}

    def descriptor(self):
        r = self.r
        return {"@type": "xdm:descriptor" + r.choice(["PrimaryKey", "Version", "Timestamp", "Relationship", "Nothing"]),
                "xdm:sourceSchema": f"urn:datamirror:schema:{r.choice(['s.items', 's.new', 's.r1'])}", "xdm:sourceProperty": r.choice(["/id", "/v", ["/id", "/v"], "/name", [], 7]),
                "xdm:destinationSchema": "urn:datamirror:schema:s.items", "xdm:destinationProperty": "/id", "xdm:cardinality": r.choice(["M:1", "1:1", "M:M", "x"])}

    def order(self):
        r = self.r
        how = r.choice([{"keys": [r.choice([1, "2", 99, None, [1], "x"])]}, {"where": r.choice(CONDITIONS)}, {"where": r.choice(CONDITIONS)},
                        {"identities": [{"namespace": {"code": r.choice(["email", "id", "nothing"])}, "id": r.choice(WORDS)}]}])
        return {"datasetId": r.choice(["s.items", "s.items", "ALL", "s.no"]), "displayName": r.choice(WORDS), "untilErased": r.random() < 0.3, "related": r.random() < 0.3, **how}

    def row(self):
        r = self.r
        row = {"id": r.randrange(50), "v": r.randrange(100), "name": r.choice(WORDS)}
        if r.random() < 0.3:
            row[r.choice(["id", "v", "name", "more", "_change_request_type"])] = r.choice([self.value(), "d", "u"])
        return row

    def changes(self):
        """(body, type)"""
        r = self.r
        rows = [self.row() for _ in range(r.randrange(6))]
        kind = r.randrange(4)
        if kind == 0:
            return "".join(json.dumps(x) + "\n" for x in rows).encode(), "application/x-ndjson"
        if kind == 1:
            return json.dumps(rows).encode(), "application/json"
        if kind == 2:
            return ("id,v,name\n" + "".join(f"{x.get('id')},{x.get('v')},{x.get('name')}\n" for x in rows)).encode(errors="surrogatepass"), "text/csv"
        return b"PAR1" + r.randbytes(r.randrange(200)) + b"PAR1", "application/vnd.apache.parquet"

    def mutated(self, body):
        r = self.r
        body = bytearray(body)
        for _ in range(r.randrange(1, 4)):
            kind = r.randrange(5)
            at = r.randrange(len(body) + 1)
            if kind == 0:
                body[at:at] = r.randbytes(r.randrange(1, 5))
            elif kind == 1:
                del body[at:at + r.randrange(1, 30)]
            elif kind == 2 and body:
                body[min(at, len(body) - 1)] ^= 1 << r.randrange(8)
            elif kind == 3:
                body[at:at] = body[:r.randrange(60)]
            else:
                body[at:at] = r.choice([b"[" * 3000, b'{"a":' * 2000, b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"9" * 500])
        return bytes(body)

    def one(self):
        """(method, path, headers, body)"""
        r = self.r
        method, pattern, has_body = r.choice(self.routes)
        parameter = r.choice(["s.items", "s.new", "s.r1", "1", "2", "9999", "urn:datamirror:schema:s.items", *WORDS])
        path = pattern.replace("{}", quote(parameter, safe="") or "x")
        if r.random() < 0.3:
            path += "?" + "&".join(f"{r.choice(['dry_run', 'drop_rows', 'drop_columns', 'delimiter', 'null', 'strict_columns', 'schema', 'live', 'x'])}"
                                   f"{r.choice(['', '=', '=1', '=true', '=%3B', '=NA', '=' + quote(r.choice(WORDS))])}" for _ in range(r.randrange(1, 3)))
        headers, body = {}, None
        if has_body or r.random() < 0.05:
            media = "application/json"
            if "/changes" in pattern:
                body, media = self.changes()
            else:
                made = {"schemas": self.schema, "descriptors": self.descriptor, "workorder": self.order}.get(pattern.split("/")[-1 if not pattern.endswith("{}") else -2], self.value)()
                if r.random() < 0.2 and isinstance(made, dict) and made:
                    made[r.choice(list(made))] = self.value()
                body = json.dumps(made).encode()
            if r.random() < 0.3:
                body = self.mutated(body)
            if r.random() < 0.1:
                headers["Content-Encoding"] = r.choice(["gzip", "zstd", "x"])
                body = gzip.compress(body) if r.random() < 0.8 else body
            headers["Content-Type"] = media if r.random() < 0.9 else r.choice(TYPES)
        if r.random() < 0.15:
            headers["Idempotency-Key"] = r.choice(["a", "b", "x" * 255, "x" * 256, ""])
        if r.random() < 0.05:
            headers[r.choice(["Origin", "Sec-Fetch-Site", "Authorization", "Expect", "Range", "Accept-Encoding"])] = r.choice(["x", "cross-site", "100-continue", "bytes=0-1"])
        return method, path, headers, body

    def bytes(self, port):
        method, path, headers, body = self.one()
        text = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        head = text.encode(errors="replace")
        if body is not None and self.r.random() < 0.1:
            cut = self.r.randrange(len(body) + 1)
            pieces = [p for p in (body[:cut], body[cut:]) if p]
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
        whole = head + (b"Content-Length: %d\r\n\r\n%s" % (len(body), body) if body is not None else b"\r\n")
        return self.mutated(whole) if self.r.random() < 0.1 else whole


def exchange(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=120) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: s.recv(65536), b""))
        except OSError:     # closed by the other side
            return b""


def peak(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def test_random_requests(folder, seed):
    m = Guarded(folder, f"memory_limit: {MEMORY}\nhttp_max_body: 1MiB\ncommit_interval: 10ms")
    m.start().fill()
    requests, seen, n, end = Requests(seed), {}, 0, time.monotonic() + SECONDS
    while n < REQUESTS or time.monotonic() < end:
        data = requests.bytes(m.port)
        answer = exchange(m.port, data)
        assert m.alive(), f"request {n} of DM_SEED={seed} ended the mirror: {data[:3000]!r}\n{m.log_tail()}"
        status = code(answer) if answer else 0
        gone = b"nobody waits for the answer any more" in answer        # it was sent by a client that closes behind its request
        assert status < 500 or gone, f"request {n} of DM_SEED={seed}: {answer[:1000]!r}\n{data[:3000]!r}"
        head, _, body = answer.partition(b"\r\n\r\n")
        if b"application/json" in head:      # else libmicrohttpd's own words for what is no request
            json.loads(body)
        seen[status] = seen.get(status, 0) + 1
        n += 1
    print(f"DM_SEED={seed}: {n} requests, answers {dict(sorted(seen.items()))}, peak {peak(m.child.pid) >> 20} MiB of {MEMORY >> 20}")
    assert len(seen) > 5 and seen[200] > n / 50, seen            # both kinds were sent
    assert peak(m.child.pid) < MEMORY
    assert m.send("GET", "/v1/health")[0] == 200
    assert m.stop() == 0, m.log_tail()
