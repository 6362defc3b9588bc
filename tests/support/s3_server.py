"""A server on loopback that speaks S3, for tests of buckets: moto's, with fsspec's driver for S3."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

_NUMBERS = count()

_SERVER = """
import sys
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until the tests have ended, however they do
"""


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of the server. Its driver finds it by environment variables, as it would find a real one."""
    import fsspec.asyn  # only some tests need it

    with subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        loop = (
            fsspec.asyn.get_loop()
        )  # its thread lives as long as the process, and so does a helper of its own
        loop.call_soon_threadsafe(loop.set_default_executor, ThreadPoolExecutor(1))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
                "NO_PROXY": "127.0.0.1",
                "no_proxy": "127.0.0.1",
            }.items():
                patch.setenv(name, value)
            new_s3_url()
            yield url
        server.stdin.close()


@pytest.fixture
def s3_url(s3_server: str) -> str:
    """The URL of a folder in a bucket that has nothing else."""
    return new_s3_url()


def new_s3_url() -> str:
    """Make a bucket; return the URL of a folder in it."""
    import fsspec

    bucket = f"bucket-{next(_NUMBERS)}"
    fsspec.filesystem("s3", use_listings_cache=False).mkdir(bucket)
    return f"s3://{bucket}/values"
