"""Canonical encoding: equal values give equal bytes, in every process and on every machine."""

from __future__ import annotations

from cascade.spec.encoding.canonical import digest, register_encoder

__all__ = ["digest", "register_encoder"]
