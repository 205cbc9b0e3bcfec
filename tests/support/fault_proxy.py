"""A proxy between an HTTP or S3 client and a server, which counts requests and injects faults.

    with FaultProxy(server.endpoint) as proxy:
        proxy.inject(status(503, "SlowDown"), method="GET", times=2)
        ...                                   # a client of proxy.endpoint
        assert proxy.injected == 2 and len(proxy.log) == 3

Requests keep their Host, so that signatures hold. Bodies are held in memory.
"""

import base64
import contextlib
import dataclasses
import http.client
import re
import socket
import struct
import threading
import urllib.parse
import zlib


@dataclasses.dataclass
class Request:
    """A request and what came of it."""

    method: str
    key: str                # the path, decoded and without the first slash: "bucket/name"
    query: dict             # parameter to value
    headers: dict           # names in lower case
    target: str             # as it was sent
    body: bytes
    fault: str = ""         # the name of what was injected
    status: int = 0         # of the answer; 0 for none
    bytes_sent: int = 0     # of the answer's body, to the client


class FaultProxy:
    def __init__(self, target):
        self.target = urllib.parse.urlsplit(target)
        self.log = []       # every Request, in the order in which they came
        self.rules = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.check_uploads = False  # whether bodies must have the checksum that their header states, as S3 has it

    def inject(self, fault, *, method=None, key=None, query=None, times=1, after=0):
        """Lets `times` requests meet `fault`, a function of an Exchange, once `after` of them have passed.

        `key` is a regular expression that is found in the request's key, `query` a parameter that it must have.
        """
        with self.lock:
            self.rules.append({"fault": fault, "method": method, "key": key, "query": query, "times": times,
                               "after": after})

    @property
    def injected(self):
        """How many requests met a fault."""
        return sum(bool(request.fault) for request in self.log)

    def clear(self):
        """Forgets requests and faults."""
        with self.lock:
            self.log, self.rules = [], []

    def bytes_sent(self):
        return sum(request.bytes_sent for request in self.log)

    def count(self, method=None, key=None):
        return sum((method is None or request.method == method) and (key is None or request.key == key)
                   for request in self.log)

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = set()
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()
        return self

    def __exit__(self, *error):
        self.stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self.serve, args=(connection,), daemon=True)
            with self.lock:
                self.connections.add(connection)
                self.threads = [other for other in self.threads if other.is_alive()] + [thread]
            thread.start()

    def serve(self, connection):
        upstream = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=60)
        try:
            with connection, connection.makefile("rb") as reader:
                while not self.stopping.is_set():
                    request = read_request(reader, connection)
                    if request is None:
                        return
                    exchange = Exchange(self, connection, upstream, request)
                    with self.lock:
                        self.log.append(request)
                        fault = self.fault_of(request)
                    (fault or Exchange.pass_on)(exchange)
                    if exchange.closed or request.headers.get("connection", "").lower() == "close":
                        return
        except (OSError, http.client.HTTPException):
            pass  # the client is gone, or the server
        finally:
            upstream.close()
            with self.lock:
                self.connections.discard(connection)

    def fault_of(self, request):
        for rule in self.rules:
            if (rule["times"] > 0 and rule["method"] in (None, request.method)
                    and (rule["key"] is None or re.search(rule["key"], request.key))
                    and (rule["query"] is None or rule["query"] in request.query)):
                if rule["after"] > 0:
                    rule["after"] -= 1
                    continue
                rule["times"] -= 1
                request.fault = getattr(rule["fault"], "__name__", "fault")
                return rule["fault"]
        return None


def read_request(reader, connection):
    line = reader.readline(65536)
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split()
    headers = {name.lower(): value for name, value in http.client.parse_headers(reader).items()}
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = bytearray()
        while size := int(reader.readline(100).split(b";")[0], 16):
            body += reader.read(size)
            reader.readline(100)
        while reader.readline(65536).strip():  # trailers
            pass
    else:
        length = int(headers.get("content-length", 0))
        body = reader.read(length)
        if len(body) < length:  # the client went away within its request: the server shall not see a whole one
            return None
    parts = urllib.parse.urlsplit(target)
    return Request(method, urllib.parse.unquote(parts.path)[1:],
                   dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)), headers, target, bytes(body))


class Exchange:
    """A request in work: what faults are made of."""

    def __init__(self, proxy, connection, upstream, request):
        self.proxy, self.connection, self.upstream, self.request = proxy, connection, upstream, request
        self.closed = False

    def forward(self):
        """The server's answer: status, headers, body."""
        request = self.request
        stated = request.headers.get("x-amz-checksum-crc32")
        if self.proxy.check_uploads and stated is not None:
            if base64.b64encode(zlib.crc32(request.body).to_bytes(4, "big")).decode() != stated:
                return 400, [("Content-Length", "48")], b"<Error><Code>BadDigest</Code><Message/></Error>\n"
        dropped = ("connection", "expect", "transfer-encoding", "content-length")
        self.upstream.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name not in dropped:
                self.upstream.putheader(name, value)
        if request.body or request.method in ("PUT", "POST"):
            self.upstream.putheader("Content-Length", str(len(request.body)))
        self.upstream.endheaders(request.body or None)
        answer = self.upstream.getresponse()
        body = answer.read()
        headers = [(name, value) for name, value in answer.getheaders()
                   if name.lower() not in ("connection", "transfer-encoding", "content-length", "keep-alive")]
        length = len(body)
        if request.method == "HEAD":
            length = int(answer.getheader("Content-Length", 0))
        return answer.status, [*headers, ("Content-Length", str(length))], body

    def send(self, status, headers, body):
        """Sends an answer, whatever length its headers state."""
        self.request.status = status
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if self.request.method != "HEAD":
            view = memoryview(body)
            for begin in range(0, len(body), 1 << 17):
                self.connection.sendall(view[begin:begin + (1 << 17)])
                self.request.bytes_sent += len(view[begin:begin + (1 << 17)])

    def pass_on(self):
        self.send(*self.forward())

    def close(self):
        """Ends the connection in order."""
        self.closed = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def reset(self):
        self.closed = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


# Faults.

def status(code, name="", retry_after=None, message="as the test wants it"):
    """An error in place of the answer, in S3's form where it has a name."""
    def fault(exchange):
        body = b""
        if name:
            body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{name}</Code><Message>{message}</Message>'
                    "<RequestId>1</RequestId></Error>").encode()
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        if retry_after is not None:
            headers.append(("Retry-After", str(retry_after)))
        exchange.send(code, headers, body)
    fault.__name__ = f"status {code} {name}".strip()
    return fault


def reset(exchange):
    """The connection is reset; the server has not seen the request."""
    exchange.reset()


def lose_response(exchange):
    """The server does what is asked, and the client hears nothing of it."""
    exchange.forward()
    exchange.close()


def cut(bytes_sent, how=Exchange.close):
    """The answer's body ends early."""
    def cut_body(exchange):
        code, headers, body = exchange.forward()
        exchange.send(code, headers, body[:bytes_sent])
        how(exchange)
    return cut_body


def hang(seconds=3600, bytes_sent=None):
    """Nothing more comes for some seconds: no answer, or only so much of its body. Then the connection ends."""
    def hang_up(exchange):
        if bytes_sent is not None:
            code, headers, body = exchange.forward()
            exchange.send(code, headers, body[:bytes_sent])
        exchange.proxy.stopping.wait(seconds)
        exchange.close()
    return hang_up


def delay(seconds):
    def wait(exchange):
        exchange.proxy.stopping.wait(seconds)
        exchange.pass_on()
    return wait


def flip(at):
    """A byte of the answer's body is another."""
    def flip_byte(exchange):
        code, headers, body = exchange.forward()
        changed = bytearray(body)
        changed[at] ^= 0x40
        exchange.send(code, headers, bytes(changed))
    return flip_byte


def flip_upload(at):
    """A byte of the request's body is another when the server gets it."""
    def flip_byte(exchange):
        changed = bytearray(exchange.request.body)
        changed[at] ^= 0x40
        exchange.request.body = bytes(changed)
        exchange.pass_on()
    return flip_byte


def first(call):
    """Calls a function, and then passes the request on: what others do between two requests."""
    def after_call(exchange):
        call()
        exchange.pass_on()
    return after_call


def after(call):
    """Calls a function once the server has answered, before the client hears of it."""
    def before_answer(exchange):
        answer = exchange.forward()
        call()
        exchange.send(*answer)
    return before_answer


def change_body(change):
    """The answer's body is what `change` makes of it."""
    def changed(exchange):
        code, headers, body = exchange.forward()
        body = change(body)
        headers = [(name, value) for name, value in headers if name != "Content-Length"]
        exchange.send(code, [*headers, ("Content-Length", str(len(body)))], body)
    return changed


def stale_listing(key):
    """A listing that does not have a key yet."""
    pattern = re.compile(rb"<Contents>(?:(?!</Contents>).)*<Key>" + re.escape(key.encode())
                         + rb"</Key>(?:(?!</Contents>).)*</Contents>", re.DOTALL)
    return change_body(lambda body: pattern.sub(b"", body))
