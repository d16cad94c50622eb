"""Medoids: of each group, the row whose vector has the smallest sum of cosine distances to the others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from django.db import transaction

from integrity.backends import get_rows
from integrity.backends.sql import SQL, columns, compose, on
from integrity.backends.statements import Query
from integrity.dedupe.keep import Medoid
from integrity.dedupe.reranking import rerank
from integrity.dedupe.stages import Stage
from integrity.dedupe.target import Target
from integrity.dedupe.vectors import vector_of

_ROWS_AT_ONCE = 1000


def rank_medoids(target: Target, root: Stage) -> None:
    """Order the staged groups by nearness to all others, if the rule asks for it.

    Vectors are streamed; memory holds one group at a time. The cost is linear in the number of rows: the sum of the
    cosine similarities to all vectors of a group is the product with their sum.
    """
    for keep in target.rule.keep:
        if isinstance(keep, Medoid):
            column = target.model._meta.get_field(keep.field).column
            with transaction.atomic(using=target.using):
                _rank(root, column, using=target.using)


def _rank(root: Stage, column: str, *, using: str) -> None:
    rows = get_rows(using=using)
    scores = f"{root.name}_scores"
    empty = "SELECT {p}, CAST(0 AS double precision) AS score FROM {root} WHERE 1 = 0"
    rows.create_as(scores, Query(sql=compose(empty, p=columns(root.p), root=root.name)))
    insert = compose(
        "INSERT INTO {scores} ({p}, score) VALUES ({marks})",
        scores=scores,
        p=columns(root.p),
        marks=SQL(", ".join(["%s"] * (len(root.p) + 1))),
    )
    waiting: list[tuple[Any, ...]] = []
    for scored in _scores(root, column, using=using):
        waiting.append(scored)
        if len(waiting) == _ROWS_AT_ONCE:
            rows.execute_many(insert, waiting)
            waiting.clear()
    rows.execute_many(insert, waiting)
    rerank(root, scores=scores, using=using)
    rows.drop(scores)


def _scores(root: Stage, column: str, *, using: str) -> Iterator[tuple[Any, ...]]:
    """The primary key of every complete row with the sum of its distances to the others of its group."""
    query = compose(
        """
        SELECT r.grp, t.{column}, {p} FROM {root} AS r JOIN {table} AS t ON {same}
        WHERE r.tier = 0 AND t.{column} IS NOT NULL ORDER BY r.grp, r.pos
        """,
        column=column,
        p=columns(root.p, of="r"),
        root=root.name,
        table=root.table,
        same=on("t", root.pk, "r", root.p),
    )
    for _, members in groupby(get_rows(using=using).stream(Query(sql=query), size=200), key=itemgetter(0)):
        keys: list[list[Any]] = []
        vectors: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
        for _, value, *key in members:
            vector = vector_of(value)
            if vector.size and (not vectors or vector.shape == vectors[0].shape):
                keys.append(key)
                vectors.append(vector)
        if len(vectors) > 2:
            yield from ((*key, float(score)) for key, score in zip(keys, _distances(np.stack(vectors)), strict=True))


def _distances(vectors: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Sums of cosine distances, of each vector to all; one without a direction is far from everything."""
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    directed = (norms > 0) & np.isfinite(norms)
    units = np.divide(exact, norms, out=np.zeros_like(exact), where=directed)
    sums: np.ndarray[Any, np.dtype[np.float64]] = len(units) - units @ units.sum(axis=0)
    return sums
