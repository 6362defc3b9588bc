"""Claims about the paths in URLs of stores."""

from __future__ import annotations

import pytest

from cascade.adapters.store_urls import cache_factory, catalog_from_url, state_from_url
from cascade.spec import SpecError


@pytest.mark.parametrize(
    "url", ["sqlite:////", "sqlite:///folder/", "sqlite:///a%00b.db", "sqlite:///:memory:"]
)
@pytest.mark.parametrize("use", [cache_factory, catalog_from_url, state_from_url])
def test_what_can_be_no_file_is_refused(use: object, url: str) -> None:
    """A path that no file can have is told as such, before anything is opened."""
    assert callable(use)
    with pytest.raises(SpecError, match="names no file"):
        use(url)
