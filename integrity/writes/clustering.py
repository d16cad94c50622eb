"""Save a clustering: its result, its clusters and an assignment for each embedding, all of it or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from datetime import datetime
from operator import index
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, connections, models, transaction

from integrity.backends import get_rows
from integrity.backends.assignments import Assignments
from integrity.backends.bulk import Bulk
from integrity.backends.writing import get_bulk, get_upserts
from integrity.models import Cluster, ClusteringResult, Embedding, EmbeddingCluster
from integrity.models.fields import uuid7
from integrity.writes.asynchronous import asynchronous
from integrity.writes.errors import typed_errors, unsendable_as_data_error
from integrity.writes.retry import retried
from integrity.writes.rows import RowRejected, plain_document
from integrity.writes.target import column_of, require_safe_ids
from integrity.writes.values import converter


@dataclass(frozen=True, kw_only=True)
class NewCluster:
    """One cluster; ``number`` -1 holds the outliers. Without a ``size``, its assignments are counted."""

    number: int
    size: int | None = None
    medoid_embedding_id: UUID | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SavedClustering:
    """The result's id, how much was written, and whether it took the place of an earlier one."""

    id: UUID
    clusters: int
    assignments: int
    replaced: bool


def save_clustering_result(
    *,
    embedding_model: str,
    algorithm: str,
    parameters: Mapping[str, Any],
    clusters: Iterable[NewCluster],
    assignments: Iterable[tuple[UUID | str, int]],
    started_at: datetime | None = None,
    completed_at: datetime | None = None,
    replace: bool = False,
    using: str = DEFAULT_DB_ALIAS,
) -> SavedClustering:
    """Save a clustering in one transaction, with flat memory however many assignments there are.

    It is run again after a lost race if ``assignments`` can be iterated again (a list, not a generator), with new
    ids each time.

    Args:
        clusters: each number once.
        assignments: pairs of an embedding's id and a cluster's number, each embedding once; they are streamed.
        replace: take the place, under its id, of the newest result with the same embedding model, algorithm and
            parameters, if there is one. Two that replace at once wait for each other.
        using: the database alias.

    Raises:
        UnsafeIdStorage: the tables would store some ids as other values (SQLite).
        RowRejected: an assignment or a cluster cannot be stored; it is named, and nothing was written.
        ConstraintViolated: the database rejected something else; nothing was written.
        DataError: a cluster's number or size, or a text, is none that the database can hold; nothing was written.
    """
    get_upserts(using=using).take_turn(ClusteringResult._meta.db_table)
    for model in (ClusteringResult, Cluster, EmbeddingCluster):
        require_safe_ids(model, using=using)
    saving = _Saving(
        values={
            "embedding_model": embedding_model,
            "algorithm": algorithm,
            "parameters": plain_document(parameters, of="The parameters"),
            "started_at": started_at,
            "completed_at": completed_at,
        },
        clusters=_checked(clusters),
        assignments=assignments,
        replace=replace,
        using=using,
    )
    again = iter(assignments) is not assignments
    with typed_errors(using=using), unsendable_as_data_error():
        return retried(saving.run, using=using) if again else saving.run()


@dataclass(frozen=True, kw_only=True)
class _Saving:
    """One call's input; each run makes its own rows of it."""

    values: dict[str, Any]
    clusters: tuple[NewCluster, ...]
    assignments: Iterable[tuple[UUID | str, int]]
    replace: bool
    using: str

    def run(self) -> SavedClustering:
        """Write everything in one transaction."""
        bulk, outermost = get_bulk(using=self.using), not connections[self.using].in_atomic_block
        with get_rows(using=self.using).writing(), transaction.atomic(using=self.using):
            if outermost:
                bulk.see_what_is_committed()
            earlier = self._earlier() if self.replace else None
            staged = _assignments(bulk)
            staged.stage(self._stream())
            result = ClusteringResult(id=earlier.pk if earlier else uuid7(), **self.values)
            result.save(using=self.using, force_insert=earlier is None, force_update=earlier is not None)
            self._save_clusters(result, staged.sizes())
            self._require_sound(staged)
            count = staged.insert(parent=_stored(result.pk, ClusteringResult, self.using))
            staged.drop()
        return SavedClustering(
            id=result.pk, clusters=len(self.clusters), assignments=count, replaced=earlier is not None
        )

    def _stream(self) -> Iterator[tuple[int, Any, int]]:
        convert = converter(_pk(Embedding), connections[self.using])
        known = {cluster.number for cluster in self.clusters}
        for position, pair in enumerate(self.assignments):
            try:
                embedding_id, cluster = pair
            except (TypeError, ValueError) as error:
                raise RowRejected(
                    f"Assignment {position} ({pair!s:.100}): this is no pair of id and number."
                ) from error
            try:
                (member,), number = convert((embedding_id,)), index(cluster)
            except (TypeError, ValidationError) as error:
                raise RowRejected(
                    f"Assignment {position} (embedding {embedding_id}, cluster {cluster}): these are no id and number."
                ) from error
            if number not in known:
                raise RowRejected(f"Assignment {position}: there is no cluster {number} among those given.")
            yield position, member, number

    def _earlier(self) -> ClusteringResult | None:
        """The result to be replaced, emptied. Whoever replaces the same clustering waits here until we are done."""
        wanted = json.dumps(self.values["parameters"], sort_keys=True)
        same = {name: self.values[name] for name in ("embedding_model", "algorithm")}
        get_bulk(using=self.using).lock_name(json.dumps(["clustering", *same.values(), wanted]))
        candidates = ClusteringResult.objects.using(self.using).filter(**same).order_by("-created_at", "-pk")
        found = next((r for r in candidates if json.dumps(r.parameters, sort_keys=True) == wanted), None)
        if found is not None:
            EmbeddingCluster.objects.using(self.using).filter(clustering_result=found).delete()
            Cluster.objects.using(self.using).filter(clustering_result=found).delete()
        return found

    def _save_clusters(self, result: ClusteringResult, sizes: dict[int, int]) -> None:
        medoids = {c.medoid_embedding_id: c.number for c in self.clusters if c.medoid_embedding_id is not None}
        for medoid in medoids.keys() - Embedding.objects.using(self.using).in_bulk(medoids).keys():
            raise RowRejected(f"Cluster {medoids[medoid]}: there is no embedding {medoid}, its medoid.")
        Cluster.objects.using(self.using).bulk_create(
            [
                Cluster(
                    clustering_result=result,
                    cluster_id=cluster.number,
                    size=sizes.get(cluster.number, 0) if cluster.size is None else cluster.size,
                    medoid_embedding_id=cluster.medoid_embedding_id,
                    properties=cluster.properties,
                )
                for cluster in self.clusters
            ],
            batch_size=1000,
        )

    def _require_sound(self, staged: Assignments) -> None:
        """Name the first assignment that the database would reject."""
        embedding = _pk(Embedding)
        if mistake := staged.repeated():
            raise RowRejected(
                f"Assignment {mistake.position}: embedding {embedding.to_python(mistake.member)} is assigned twice."
            )
        if mistake := staged.unknown_member():
            raise RowRejected(
                f"Assignment {mistake.position}: there is no embedding {embedding.to_python(mistake.member)}."
            )


def _checked(clusters: Iterable[NewCluster]) -> tuple[NewCluster, ...]:
    """Name the first cluster that is none, or comes twice; return them with medoids as ids."""
    checked: dict[int, NewCluster] = {}
    for cluster in clusters:
        medoid = cluster.medoid_embedding_id
        try:
            number, size = index(cluster.number), None if cluster.size is None else index(cluster.size)
            medoid = _pk(Embedding).to_python(medoid)
        except (TypeError, ValidationError) as error:
            raise RowRejected(
                f"Cluster {cluster.number} (size {cluster.size}, medoid {medoid}): number and size are whole numbers, "
                "the medoid is the id of an embedding."
            ) from error
        if number in checked:
            raise RowRejected(f"Cluster {number} is given twice. Give each number once.")
        if size is not None and size < 0:
            raise RowRejected(f"Cluster {number}: a size of {size} is none. Leave it out to have it counted.")
        properties = plain_document(cluster.properties, of=f"The properties of cluster {number}")
        checked[number] = replaced(cluster, medoid_embedding_id=medoid, properties=properties)
    return tuple(checked.values())


def _pk(model: type[models.Model]) -> models.Field[Any, Any]:
    return model._meta.pk


def _stored(pk: UUID, model: type[models.Model], using: str) -> Any:
    return _pk(model).get_db_prep_value(pk, connections[using])


def _assignments(bulk: Bulk) -> Assignments:
    link, group = EmbeddingCluster._meta, Cluster._meta
    return Assignments(
        bulk=bulk,
        table=link.db_table,
        pk=column_of(link.pk),
        member=column_of(link.get_field("embedding")),
        parent=column_of(link.get_field("clustering_result")),
        group=column_of(link.get_field("cluster")),
        member_table=Embedding._meta.db_table,
        member_pk=column_of(_pk(Embedding)),
        group_table=group.db_table,
        group_pk=column_of(group.pk),
        group_parent=column_of(group.get_field("clustering_result")),
        group_number=column_of(group.get_field("cluster_id")),
    )


asave_clustering_result = asynchronous(save_clustering_result)
