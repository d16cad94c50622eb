"""A small dirty database with the faults of a real one, the same at every call.

The embeddings table of a pipeline whose workers asked "is there one?" and then inserted: duplicate pairs, among
them placeholders of crashed workers that are older than the finished row, an embedding of an invocation that is
gone, and two clusterings that took both rows of every pair for two embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from django.db import transaction

from integrity.backends import get_rows
from integrity.models import (
    Cluster,
    ClusteringResult,
    Embedding,
    EmbeddingCluster,
    ExperimentConfig,
    ExperimentRun,
    Invocation,
)

MODELS = ("Dummy", "Dummy2")
RUNS = 3
_DIMENSIONS = 768
_BEGAN = datetime(2026, 3, 1, 9, 0)
_CLUSTERS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How many of what the data holds."""

    conflicting: int = 15
    """Pairs of two finished rows with slightly different vectors."""
    identical: int = 5
    incomplete: int = 5
    """Pairs whose older row is the placeholder of a worker that crashed."""
    orphans: int = 1

    @property
    def pairs(self) -> int:
        return self.conflicting + self.identical + self.incomplete


def make_dirty_data(*, using: str, faults: Faults = Faults(), invocations: int = 100) -> None:
    """Fill the empty tables of the systems ``embeddings`` and ``clustering``.

    ``invocations`` is their number in each of three runs; every second one has a text, and each text is embedded
    by two models. With the defaults: 300 invocations, 326 embeddings, 25 of them redundant, 2 clusterings.
    """
    ids = _ids()
    with get_rows(using=using).foreign_keys_unchecked(), transaction.atomic(using=using):
        texts = _make_invocations(ids, invocations, using=using)
        embeddings = _make_embeddings(ids, texts, faults)
        Embedding.objects.using(using).bulk_create(embeddings)
        for model in MODELS:
            _make_clustering(ids, model, [e for e in embeddings if e.embedding_model == model], using=using)


def _ids() -> Iterator[UUID]:
    """Ids that grow, as those of the original do, and are the same at every call."""
    number = 0x067EFBB1_0000_7000_8000_000000000000
    while True:
        number += 1 << 80
        yield UUID(int=number)


def _make_invocations(ids: Iterator[UUID], count: int, *, using: str) -> list[Invocation]:
    """Three runs of text and image in turn; returns those with a text."""
    experiment = ExperimentConfig(
        id=next(ids),
        networks=[["DummyT2I", "DummyI2T"]],
        seeds=[-1],
        prompts=["a", "b", "c"],
        embedding_models=list(MODELS),
        max_length=count,
        started_at=_BEGAN,
    )
    runs = [
        ExperimentRun(
            id=next(ids),
            network=["DummyT2I", "DummyI2T"],
            seed=-1,
            max_length=count,
            initial_prompt=prompt,
            experiment=experiment,
        )
        for prompt in experiment.prompts[:RUNS]
    ]
    made: list[Invocation] = []
    for run in runs:
        before: Invocation | None = None
        for n in range(count):
            before = _invocation(next(ids), run, n, before)
            made.append(before)
    experiment.save(using=using, force_insert=True)
    ExperimentRun.objects.using(using).bulk_create(runs)
    Invocation.objects.using(using).bulk_create(made)
    return [invocation for invocation in made if invocation.type == Invocation.Type.TEXT]


def _invocation(id: UUID, run: ExperimentRun, n: int, before: Invocation | None) -> Invocation:
    text = n % 2 == 1
    began = _BEGAN + timedelta(seconds=n)
    return Invocation(
        id=id,
        run=run,
        sequence_number=n,
        seed=-1,
        model="DummyI2T" if text else "DummyT2I",
        type=Invocation.Type.TEXT if text else Invocation.Type.IMAGE,
        input_invocation=before,
        started_at=began,
        completed_at=began + timedelta(milliseconds=5),
        output_text=f"text {run.initial_prompt} {n}" if text else None,
        output_image_data=None if text else b"RIFF\x1a\x00\x00\x00WEBPVP8L",
    )


def _make_embeddings(ids: Iterator[UUID], texts: list[Invocation], faults: Faults) -> list[Embedding]:
    """One of each model for each text, then the second row of every pair, then the orphans."""
    random = np.random.default_rng(768)
    first = [
        _embedding(next(ids), text.pk, model, random.random(_DIMENSIONS, dtype=np.float32), second=n)
        for model in MODELS
        for n, text in enumerate(texts)
    ]
    pairs = [e for e in first if e.embedding_model == MODELS[0]][: faults.pairs]
    again = []
    for n, older in enumerate(pairs):
        vector = older.vector
        if n < faults.incomplete:
            older.vector, older.completed_at = None, None
        elif n < faults.incomplete + faults.conflicting:
            vector = vector + np.float32(0.05) * random.random(_DIMENSIONS, dtype=np.float32)
        again.append(_embedding(next(ids), older.invocation_id, MODELS[0], vector, second=3600 + n))
    lost = [
        _embedding(next(ids), next(ids), MODELS[0], random.random(_DIMENSIONS, dtype=np.float32), second=7200 + n)
        for n in range(faults.orphans)
    ]
    return [*first, *again, *lost]


def _embedding(id: UUID, invocation: UUID, model: str, vector: np.ndarray, *, second: int) -> Embedding:
    began = _BEGAN + timedelta(hours=1, seconds=second)
    return Embedding(
        id=id,
        invocation_id=invocation,
        embedding_model=model,
        vector=vector,
        started_at=began,
        completed_at=began + timedelta(milliseconds=1),
    )


def _make_clustering(ids: Iterator[UUID], model: str, embeddings: list[Embedding], *, using: str) -> None:
    """Every embedding of the model, redundant or not, in one of five clusters; a medoid of each but the outliers."""
    result = ClusteringResult.objects.using(using).create(
        id=next(ids),
        created_at=_BEGAN + timedelta(hours=4),
        embedding_model=model,
        algorithm="hdbscan",
        parameters={"cluster_selection_epsilon": 0.4, "allow_single_cluster": True},
    )
    members = {n: embeddings[n + 1 :: _CLUSTERS] for n in range(-1, _CLUSTERS - 1)}
    clusters = {
        n: Cluster(
            id=next(ids),
            clustering_result=result,
            cluster_id=n,
            size=len(of_cluster),
            properties={"type": "outlier"} if n == -1 else {"medoid_text": f"cluster {n}"},
            # The latest member: in a cluster of pairs that is a redundant row.
            medoid_embedding=None if n == -1 else of_cluster[-1],
        )
        for n, of_cluster in members.items()
    }
    Cluster.objects.using(using).bulk_create(clusters.values())
    EmbeddingCluster.objects.using(using).bulk_create(
        EmbeddingCluster(id=next(ids), embedding=embedding, clustering_result=result, cluster=clusters[n])
        for n, of_cluster in members.items()
        for embedding in of_cluster
    )
