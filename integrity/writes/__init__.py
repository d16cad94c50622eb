"""Write paths that cannot make duplicates: idempotent, set-based, for callers that deliver at least once.

Each function writes what is missing, changes what differs, and says which it did. Rows are written in key order, so
that two writers never wait for each other in a circle; what another writer did first is not an error; what is
wrong with a row is raised or returned, and never swallowed. Each has an ``a...`` twin for asynchronous code.
"""

from integrity.writes.clustering import (
    NewCluster,
    SavedClustering,
    asave_clustering_result,
    save_clustering_result,
)
from integrity.writes.embeddings import NewEmbedding, astore_embeddings, store_embeddings
from integrity.writes.errors import (
    CheckFailed,
    ConstraintViolated,
    DuplicateKey,
    MissingReference,
    NullNotAllowed,
    Violated,
    explain,
    typed_errors,
)
from integrity.writes.patterns import (
    DIMENSIONS,
    QualityScore,
    astore_quality_metrics,
    quality_metric_chunks,
    store_quality_metrics,
)
from integrity.writes.results import FailedRow, UpsertResult
from integrity.writes.rows import InvalidUpsert, RowRejected
from integrity.writes.target import MissingConstraint, UnsafeIdStorage
from integrity.writes.upsert import aupsert, upsert, upsert_chunks
from integrity.writes.workflows import (
    TRANSITIONS,
    AdvancedWorkflow,
    StartedWorkflow,
    TransitionRefused,
    UnknownWorkflow,
    WorkflowIdTaken,
    aadvance_workflow_execution,
    advance_workflow_execution,
    astart_workflow_execution,
    start_workflow_execution,
)
from integrity.writes.writer import RowsLost

__all__ = [
    "DIMENSIONS",
    "TRANSITIONS",
    "AdvancedWorkflow",
    "CheckFailed",
    "ConstraintViolated",
    "DuplicateKey",
    "FailedRow",
    "InvalidUpsert",
    "MissingConstraint",
    "MissingReference",
    "NewCluster",
    "NewEmbedding",
    "NullNotAllowed",
    "QualityScore",
    "RowRejected",
    "RowsLost",
    "SavedClustering",
    "StartedWorkflow",
    "TransitionRefused",
    "UnknownWorkflow",
    "UnsafeIdStorage",
    "UpsertResult",
    "Violated",
    "WorkflowIdTaken",
    "aadvance_workflow_execution",
    "advance_workflow_execution",
    "asave_clustering_result",
    "astart_workflow_execution",
    "astore_embeddings",
    "astore_quality_metrics",
    "aupsert",
    "explain",
    "quality_metric_chunks",
    "save_clustering_result",
    "start_workflow_execution",
    "store_embeddings",
    "store_quality_metrics",
    "typed_errors",
    "upsert",
    "upsert_chunks",
]
