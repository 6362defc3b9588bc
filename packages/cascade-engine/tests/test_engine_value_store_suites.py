"""The conformance suite of value stores, for each kind: a folder, a bucket in memory, a bucket of S3."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from support.s3_server import new_s3_url

from cascade.adapters.values import BucketValueStore, FileValueStore, ValueStore, value_store_from_url
from cascade.testing import ValueStoreConformance

NUMBERS = count()


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
