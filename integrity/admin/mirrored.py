"""The tables of the five systems, to look at: their rows belong to the applications that write them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.views.main import ChangeList
from django.db.models import CharField, Q, QuerySet, TextField
from django.http import HttpRequest

from integrity import conf, models
from integrity.admin.cells import listed, shown
from integrity.admin.duplicates import DuplicatesMixin
from integrity.admin.paging import COUNTED, EstimatedPaginator
from integrity.admin.tables import ReadOnlyAdmin
from integrity.backends import get_catalogue

# What Django's fields raise for values that are none of theirs: an id that SQLite keeps as a number, broken JSON.
UNREADABLE = (AttributeError, TypeError, ValueError)


class SlimChangeList(ChangeList):
    """Reads the listed columns only: images and documents stay in the database."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows = super().get_queryset(request, exclude_parameters)
        pages: Any = self.model_admin
        return rows.only(*(name for name in pages.present(request) if name in pages.list_display))

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if isinstance(self.paginator, EstimatedPaginator) and self.paginator.cut:
            messages.info(request, f"More than {COUNTED:,} rows match; these are the first of them.")
        try:
            self.result_list = list(self.result_list)
        except UNREADABLE as error:
            messages.error(request, f"{_unreadable(self.opts)} ({error}).")
            self.result_list = []


class MirroredAdmin(DuplicatesMixin, ReadOnlyAdmin):
    """One mirrored table. A column that a deployment does not have is left out.

    ``list_display`` and ``search_fields`` are names of fields. Ids and references are compared as a whole, so that
    an index serves; texts may contain the word.
    """

    ordering = ("-pk",)
    search_help_text = "Ids are searched as a whole, with or without dashes."

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SlimChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        present, site = self.present(request), self.admin_site.name
        # The names of fields become cells; what a rule has added is one already.
        return [
            listed(present[column], site=site) if column in present else column
            for column in super().get_list_display(request)
            if column in present or callable(column)
        ]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [shown(field, site=self.admin_site.name) for field in self.present(request).values()]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        present = self.present(request)
        absent = (field.name for field in self.opts.concrete_fields if field.name not in present)
        return super().get_queryset(request).defer(*absent)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row; None, as for one that is not there, where a stored value cannot be read."""
        try:
            return super().get_object(request, object_id, from_field)
        except UNREADABLE:
            messages.error(request, f"{_unreadable(self.opts)}.")
            return None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        fields = [field for name, field in self.present(request).items() if name in self.search_fields]
        for word in search_term.split():
            queryset = queryset.filter(_matches(fields, word))
        return queryset, False

    def present(self, request: HttpRequest) -> dict[str, Any]:
        """Return the fields, by name, whose columns the table has; asked for once in a request."""
        known: dict[str, dict[str, Any]] = request.__dict__.setdefault("_integrity_fields", {})
        table = self.opts.db_table
        if table not in known:
            have = {column.name for column in get_catalogue(using=self.using).columns(table)}
            known[table] = {field.name: field for field in self.opts.concrete_fields if field.column in have}
        return known[table]


class ExperimentConfigAdmin(MirroredAdmin):
    list_display = ("id", "max_length", "embedding_models", "started_at", "completed_at")
    search_fields = ("id",)


class ExperimentRunAdmin(MirroredAdmin):
    list_display = ("id", "initial_prompt", "network", "seed", "max_length", "experiment")
    search_fields = ("id", "experiment", "initial_prompt")


class InvocationAdmin(MirroredAdmin):
    list_display = ("id", "model", "type", "run", "sequence_number", "input_invocation", "started_at", "completed_at")
    search_fields = ("id", "run", "input_invocation")


class EmbeddingAdmin(MirroredAdmin):
    list_display = ("id", "invocation", "embedding_model", "vector", "started_at", "completed_at")
    search_fields = ("id", "invocation")


class PersistenceDiagramAdmin(MirroredAdmin):
    list_display = ("id", "run", "embedding_model", "started_at", "completed_at")
    search_fields = ("id", "run")


class ClusteringResultAdmin(MirroredAdmin):
    list_display = ("id", "embedding_model", "algorithm", "parameters", "created_at", "completed_at")
    search_fields = ("id", "embedding_model", "algorithm")


class ClusterAdmin(MirroredAdmin):
    list_display = ("id", "clustering_result", "cluster_id", "size", "medoid_embedding")
    search_fields = ("id", "clustering_result", "medoid_embedding")


class EmbeddingClusterAdmin(MirroredAdmin):
    list_display = ("id", "embedding", "clustering_result", "cluster")
    search_fields = ("id", "embedding")


class PatternQualityMetricAdmin(MirroredAdmin):
    list_display = ("id", "pattern_id", "quality_score", "confidence", "measurement_timestamp", "version")
    search_fields = ("id", "pattern_id")


class PatternLineageNodeAdmin(MirroredAdmin):
    list_display = ("id", "pattern_name", "pattern_type", "pattern_version", "generation", "language", "created_at")
    search_fields = ("id", "lineage_id", "pattern_id", "pattern_name")


class WorkflowExecutionAdmin(MirroredAdmin):
    list_display = ("id", "workflow_id", "workflow_type", "status", "entity_type", "entity_id", "created_at")
    search_fields = ("id", "entity_id", "workflow_id")


class CourseFileAdmin(MirroredAdmin):
    list_display = ("id", "original_name", "course_id", "status", "embedding_status", "size_bytes", "created_at")
    search_fields = ("id", "course_id", "original_name")


class FileChunkAdmin(MirroredAdmin):
    list_display = ("id", "file", "chunk_index", "section_title", "tokens", "importance", "created_at")
    search_fields = ("id", "file")


class FileEmbeddingAdmin(MirroredAdmin):
    list_display = ("id", "chunk", "model_version", "embedding", "created_at")
    search_fields = ("id", "chunk")


PAGES: dict[str, dict[Any, type[MirroredAdmin]]] = {
    "embeddings": {
        models.ExperimentConfig: ExperimentConfigAdmin,
        models.ExperimentRun: ExperimentRunAdmin,
        models.Invocation: InvocationAdmin,
        models.Embedding: EmbeddingAdmin,
        models.PersistenceDiagram: PersistenceDiagramAdmin,
    },
    "clustering": {
        models.ClusteringResult: ClusteringResultAdmin,
        models.Cluster: ClusterAdmin,
        models.EmbeddingCluster: EmbeddingClusterAdmin,
    },
    "patterns": {
        models.PatternQualityMetric: PatternQualityMetricAdmin,
        models.PatternLineageNode: PatternLineageNodeAdmin,
    },
    "workflows": {models.WorkflowExecution: WorkflowExecutionAdmin},
    "files": {
        models.CourseFile: CourseFileAdmin,
        models.FileChunk: FileChunkAdmin,
        models.FileEmbedding: FileEmbeddingAdmin,
    },
}
"""By system, as ``INTEGRITY_SYSTEMS`` names them."""


def register_mirrored(site: AdminSite) -> None:
    """Give the site the pages of the active systems; of a name that is no system, check integrity.E001 speaks."""
    for system, models_of in PAGES.items():
        if system in conf.systems():
            for model, pages in models_of.items():
                site.register(model, pages)


def _unreadable(opts: Any) -> str:
    return f"Table {opts.db_table} holds a value that does not fit its column; `manage.py audit` may say more"


def _matches(fields: list[Any], word: str) -> Q:
    found = Q(pk__in=())
    for field in fields:
        if isinstance(field, CharField | TextField):
            found |= Q((f"{field.name}__icontains", word))
        elif _is_id(word):
            found |= Q((field.name, UUID(word)))
    return found


def _is_id(word: str) -> bool:
    try:
        UUID(word)
    except ValueError:
        return False
    return True
