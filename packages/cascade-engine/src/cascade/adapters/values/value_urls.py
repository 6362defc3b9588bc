"""URLs of value stores: `file:///absolute/folder`, and `s3://`, `gs://`, `az://` with a bucket and a folder in it."""

from __future__ import annotations

from urllib.parse import unquote

from cascade.adapters.addresses import address_of, split
from cascade.adapters.values.value_files import FileValueStore
from cascade.adapters.values.value_store import ValueStore
from cascade.spec.errors import SpecError

FILE = "file"
BUCKETS = ("s3", "gs", "az", "abfs", "memory")

VALUE_URLS = "file:///absolute/folder, s3://bucket/folder, gs://bucket/folder or az://container/folder"
"""How these URLs are written."""


def value_store_from_url(url: str) -> ValueStore:
    """Return the value store that a URL names. Nothing is read or written yet.

    Raises:
        SpecError: If it names none, or has a user, a password or a query.
        MissingExtraError: If the extra for the URL is not installed.
        MissingDriverError: If the driver for its scheme is not.
    """
    problem, remedy = f"values={address_of(url)!r} is not the URL of a value store", f"write {VALUE_URLS}"
    found = split(url, problem, remedy)
    if found.scheme == FILE:
        path = unquote(found.path)
        if found.netloc or found.query or found.fragment or path in ("", "/") or "\0" in path:
            raise SpecError(problem, remedy)
        return FileValueStore(path)
    if found.scheme not in BUCKETS or found.query or found.fragment or not found.netloc:
        raise SpecError(problem, remedy)
    if "@" in found.netloc:
        raise SpecError(problem, "leave credentials out: the driver finds them in its own settings")
    from cascade.adapters.values.bucket_values import BucketValueStore  # noqa: PLC0415 - brings fsspec

    return BucketValueStore(url)
