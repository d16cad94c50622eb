"""Tables and nothing else: the five mirrored systems, and our own books."""

from __future__ import annotations

from integrity.models.clustering import Cluster, ClusteringResult, EmbeddingCluster
from integrity.models.embeddings import (
    Embedding,
    ExperimentConfig,
    ExperimentRun,
    Invocation,
    PersistenceDiagram,
)
from integrity.models.files import CourseFile, FileChunk, FileEmbedding
from integrity.models.patterns import PatternLineageNode, PatternMetricHistory, PatternQualityMetric
from integrity.models.pipeline import Chore, CircuitBreaker, DeadLetter, FileState
from integrity.models.quarantine import SideTable
from integrity.models.runs import DedupePlan, DedupeRun, MirroredTable
from integrity.models.workflows import WorkflowExecution

__all__ = [
    "Chore",
    "CircuitBreaker",
    "Cluster",
    "ClusteringResult",
    "CourseFile",
    "DeadLetter",
    "DedupePlan",
    "DedupeRun",
    "Embedding",
    "EmbeddingCluster",
    "ExperimentConfig",
    "ExperimentRun",
    "FileChunk",
    "FileEmbedding",
    "FileState",
    "Invocation",
    "MirroredTable",
    "PatternLineageNode",
    "PatternMetricHistory",
    "PatternQualityMetric",
    "PersistenceDiagram",
    "SideTable",
    "WorkflowExecution",
]
