"""How far apart conflicting rows are: the largest cosine distance between a survivor and a row it replaces."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from django.db import transaction

from integrity.backends import get_rows
from integrity.backends.sql import compose, on
from integrity.backends.statements import Query
from integrity.dedupe.stages import Stage


def largest_distance(stage: Stage, *, column: str, using: str) -> float | None:
    """Return the largest distance (0 to 2) over all conflicting rows; None where there are none to compare.

    Vectors are little-endian float32 without a header. They are streamed: memory holds one group at a time.
    """
    query = Query(
        sql=compose(
            """
            SELECT r.grp, t.{column} FROM {stage} AS r JOIN {table} AS t ON {same}
            WHERE r.kind IN ('survivor', 'conflicting')
              AND r.grp IN (SELECT c.grp FROM {stage} AS c WHERE c.kind = 'conflicting')
            ORDER BY r.grp, r.pos
            """,
            column=column,
            stage=stage.name,
            table=stage.table,
            same=on("t", stage.pk, "r", stage.p),
        )
    )
    largest: float | None = None
    survivor_of, survivor = None, np.empty(0, dtype=np.float32)
    with transaction.atomic(using=using):
        for group, value in get_rows(using=using).stream(query, size=200):
            vector = vector_of(value)
            if group != survivor_of:
                survivor_of, survivor = group, vector
                continue
            distance = cosine_distance(survivor, vector)
            if distance is not None and (largest is None or distance > largest):
                largest = distance
    return largest


def vector_of(value: Any) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the vector that a column holds: bytes, an array, or pgvector's text; empty where it holds none."""
    if isinstance(value, str) and value.startswith("["):
        value = json.loads(value)
    if isinstance(value, list):
        return np.asarray(value, dtype=np.float32)
    data = bytes(value) if isinstance(value, bytes | memoryview) else b""
    return np.frombuffer(data, dtype="<f4") if len(data) % 4 == 0 else np.empty(0, dtype=np.float32)


def cosine_distance(
    one: np.ndarray[tuple[int], np.dtype[np.float32]], other: np.ndarray[tuple[int], np.dtype[np.float32]]
) -> float | None:
    """Return the cosine distance, 0 to 2; None where the two cannot be compared."""
    if one.shape != other.shape or not one.size:
        return None
    with np.errstate(invalid="ignore"):  # a signalling NaN
        exact, other_exact = one.astype(np.float64), other.astype(np.float64)  # squares of large float32 overflow
    norms = float(np.linalg.norm(exact)) * float(np.linalg.norm(other_exact))
    if not norms or not np.isfinite(norms):
        return None
    return float(min(2.0, max(0.0, 1.0 - float(np.dot(exact, other_exact)) / norms)))
