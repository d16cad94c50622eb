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
from integrity.models.patterns import PatternLineageNode, PatternQualityMetric
from integrity.models.quarantine import SideTable
from integrity.models.runs import DedupePlan, DedupeRun, MirroredTable
from integrity.models.workflows import WorkflowExecution

__all__ = [
    "Cluster",
    "ClusteringResult",
    "CourseFile",
    "DedupePlan",
    "DedupeRun",
    "Embedding",
    "EmbeddingCluster",
    "ExperimentConfig",
    "ExperimentRun",
    "FileChunk",
    "FileEmbedding",
    "Invocation",
    "MirroredTable",
    "PatternLineageNode",
    "PatternQualityMetric",
    "PersistenceDiagram",
    "SideTable",
    "WorkflowExecution",
]
