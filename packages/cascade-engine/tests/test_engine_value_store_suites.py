"""The conformance suite of value stores, for each kind: a folder, a bucket in memory, a bucket of S3."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from support.s3_server import new_s3_url

from cascade.adapters.values import BucketValueStore, FileValueStore, ValueStore, value_store_from_url
from cascade.testing import ValueStoreConformance

NUMBERS = count()
REAL_BUCKETS = os.environ.get("CASCADE_TEST_BUCKETS", "").split()
"""Folders in buckets at hand, such as `gs://bucket/tests az://container/tests`."""


class TestFileValueStore(ValueStoreConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.folder_of_stores = tmp_path

    def make_store(self) -> ValueStore:
        store = value_store_from_url(f"file://{self.folder_of_stores}/{next(NUMBERS)}")
        assert isinstance(store, FileValueStore)
        return store


class TestBucketInMemory(ValueStoreConformance):
    def make_store(self) -> ValueStore:
        store = value_store_from_url(f"memory://bucket-{next(NUMBERS)}/values")
        assert isinstance(store, BucketValueStore)
        return store


@pytest.mark.server
@pytest.mark.usefixtures("s3_server")
class TestBucketOfS3(ValueStoreConformance):
    def make_store(self) -> ValueStore:
        return value_store_from_url(new_s3_url())


class TestBucketOfAForgetfulDriver(ValueStoreConformance):
    """A driver may forget the details of a path that is no folder: that of Azure does."""

    @pytest.fixture(autouse=True)
    def driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fsspec, "filesystem", lambda scheme, **options: _Forgetful())

    def make_store(self) -> ValueStore:
        return value_store_from_url(f"memory://forgetful-{next(NUMBERS)}/values")


class _Forgetful(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    def find(self, path: str, **options: Any) -> Any:
        found = super().find(path, **options)
        return list(found) if self.isfile(path) else found


@pytest.mark.parametrize("bucket", REAL_BUCKETS)
class TestRealBuckets(ValueStoreConformance):
    @pytest.fixture(autouse=True)
    def folder(self, bucket: str) -> None:
        self.bucket = bucket

    def make_store(self) -> ValueStore:
        return value_store_from_url(f"{self.bucket}/{uuid4().hex}")
