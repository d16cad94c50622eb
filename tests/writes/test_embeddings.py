"""Computed embeddings, stored once and whole."""

from __future__ import annotations

import threading
import uuid
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from django.db import connection

from integrity.models import Embedding, ExperimentRun, Invocation
from integrity.writes import MissingReference, NewEmbedding, RowRejected, store_embeddings
from tests.databases import Database
from tests.writes.racing import race

VECTOR = np.linspace(-1, 1, 768, dtype=np.float32)


def an_invocation() -> Invocation:
    run = ExperimentRun.objects.create(network=[], seed=1, max_length=1, initial_prompt="x")
    return Invocation.objects.create(model="m", type="TEXT", seed=1, run=run, sequence_number=0)


def computed(invocation: Invocation | uuid.UUID, vector: Any = VECTOR, model: str = "nomic") -> NewEmbedding:
    invocation_id = invocation if isinstance(invocation, uuid.UUID) else invocation.pk
    return NewEmbedding(invocation_id=invocation_id, embedding_model=model, vector=vector)


def test_an_embedding_is_stored_once(database: Database) -> None:
    invocation = an_invocation()

    first = store_embeddings(embeddings=[computed(invocation)])
    again = store_embeddings(embeddings=[computed(invocation, vector=-VECTOR)])

    assert (first.counts["inserted"], again.counts["unchanged"]) == (1, 1)
    assert again.unchanged == first.inserted
    assert np.array_equal(Embedding.objects.get().vector, VECTOR)


@pytest.mark.parametrize("length", [None, 0, 4, 3076])
def test_an_incomplete_row_is_completed_and_keeps_its_id(database: Database, length: int | None) -> None:
    placeholder = Embedding.objects.create(invocation=an_invocation(), embedding_model="nomic", vector=None)
    if length is not None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE embedding SET vector = %s", [bytes(length)])

    result = store_embeddings(embeddings=[computed(placeholder.invocation, vector=VECTOR.tolist())])

    assert result.updated == (placeholder.pk,)
    assert np.array_equal(Embedding.objects.get().vector, VECTOR)


def test_a_placeholder_keeps_the_dates_that_are_known_where_none_are_given(database: Database) -> None:
    began, done = datetime(2026, 1, 1), datetime(2026, 1, 2)
    invocation = an_invocation()
    Embedding.objects.create(invocation=invocation, embedding_model="nomic", vector=None, started_at=began)

    store_embeddings(
        embeddings=[
            NewEmbedding(invocation_id=invocation.pk, embedding_model="nomic", vector=VECTOR, completed_at=done)
        ]
    )

    assert Embedding.objects.values_list("started_at", "completed_at").get() == (began, done)


def test_each_embedding_model_has_its_own(database: Database) -> None:
    invocation = an_invocation()

    result = store_embeddings(embeddings=[computed(invocation), computed(invocation, model="jina")])

    assert result.counts["inserted"] == 2


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        (None, "compute it first"),
        (np.zeros(768, dtype=np.float32), "norm is 0"),
        ([1e-60] * 768, "norm is 0"),
        (np.full(768, np.nan), "only finite"),
        (np.full(768, np.inf), "only finite"),
        (np.full(768, 1e300), "only finite"),
        (VECTOR[:-1], "768 numbers"),
        (VECTOR.reshape(2, 384), "768 numbers"),
        (VECTOR.astype(np.complex64), "real numbers"),
        (["a"] * 768, "real numbers"),
        ([[1.0], [1.0, 2.0]], "no vector"),
        ("text", "real numbers"),
        (b"\0" * 12, "12 bytes"),
    ],
)
def test_what_is_no_vector_is_refused_and_the_row_is_named(sqlite_database: Database, vector: Any, says: str) -> None:
    good, bad = an_invocation(), an_invocation()

    with pytest.raises(RowRejected, match=rf"row 1 \(invocation_id={bad.pk}, embedding_model=nomic\).*{says}"):
        store_embeddings(embeddings=[computed(good), computed(bad, vector=vector)])

    assert not Embedding.objects.exists()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int32, ">f4"])
def test_any_kind_of_number_will_do(database: Database, kind: Any) -> None:
    vector = (VECTOR * 100).astype(kind)

    store_embeddings(embeddings=[computed(an_invocation(), vector=vector)])

    assert np.array_equal(Embedding.objects.get().vector, vector.astype(np.float32))


def test_bad_vectors_and_missing_invocations_can_be_isolated(database: Database) -> None:
    invocation = an_invocation()
    embeddings = [
        computed(uuid.uuid4()),
        computed(invocation, vector=VECTOR * 0),
        computed(invocation),
        computed(invocation, vector=[1.0], model="short"),
    ]

    result = store_embeddings(embeddings=embeddings, on_error="isolate")

    assert result.counts["inserted"] == 1
    failed = {one.position: type(one.error) for one in result.failed}
    assert failed == {0: MissingReference, 1: RowRejected, 3: RowRejected}


def test_a_lost_race_is_no_error_and_loses_nothing(database: Database) -> None:
    invocations = [an_invocation() for _ in range(20)]
    start = threading.Barrier(4)

    def worker(number: int) -> list[uuid.UUID]:
        start.wait()
        result = store_embeddings(embeddings=[computed(one, vector=VECTOR + number) for one in invocations])
        assert result.total == 20
        assert not result.failed
        return list(result.inserted)

    inserted = [pk for pks in race(worker, range(4)) for pk in pks]

    assert sorted(inserted) == sorted(Embedding.objects.values_list("pk", flat=True))
    assert Embedding.objects.filter(vector__isnull=False).count() == 20
