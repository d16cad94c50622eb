"""Databases as their owners made them, without Django: SQLModel, Alembic and plain SQL."""

from __future__ import annotations

import contextlib
import re

from tests.databases import Database

EMBEDDINGS = """
CREATE TABLE experimentconfig (
    id CHAR(32) NOT NULL, networks JSON NOT NULL, seeds JSON NOT NULL, prompts JSON NOT NULL,
    embedding_models JSON NOT NULL, max_length INTEGER NOT NULL, started_at DATETIME, completed_at DATETIME,
    PRIMARY KEY (id));
CREATE TABLE run (
    id CHAR(32) NOT NULL, network JSON NOT NULL, seed INTEGER NOT NULL, max_length INTEGER NOT NULL,
    initial_prompt VARCHAR NOT NULL, experiment_id CHAR(32),
    PRIMARY KEY (id), FOREIGN KEY(experiment_id) REFERENCES experimentconfig (id));
CREATE INDEX ix_run_experiment_id ON run (experiment_id);
CREATE TABLE invocation (
    id CHAR(32) NOT NULL, started_at DATETIME, completed_at DATETIME, model VARCHAR NOT NULL,
    type VARCHAR(5) NOT NULL, seed INTEGER NOT NULL, run_id CHAR(32) NOT NULL, sequence_number INTEGER NOT NULL,
    input_invocation_id CHAR(32), output_text VARCHAR, output_image_data BLOB,
    PRIMARY KEY (id), FOREIGN KEY(run_id) REFERENCES run (id),
    FOREIGN KEY(input_invocation_id) REFERENCES invocation (id));
CREATE INDEX ix_invocation_run_id ON invocation (run_id);
CREATE INDEX ix_invocation_input_invocation_id ON invocation (input_invocation_id);
CREATE TABLE embedding (
    id CHAR(32) NOT NULL, started_at DATETIME, completed_at DATETIME, invocation_id CHAR(32) NOT NULL,
    embedding_model VARCHAR NOT NULL, vector BLOB,
    PRIMARY KEY (id), FOREIGN KEY(invocation_id) REFERENCES invocation (id));
CREATE INDEX ix_embedding_invocation_id ON embedding (invocation_id);
CREATE TABLE persistencediagram (
    id CHAR(32) NOT NULL, started_at DATETIME, completed_at DATETIME, diagram_data BLOB,
    run_id CHAR(32) NOT NULL, embedding_model VARCHAR NOT NULL,
    PRIMARY KEY (id), FOREIGN KEY(run_id) REFERENCES run (id));
CREATE INDEX ix_persistencediagram_run_id ON persistencediagram (run_id);
"""

CLUSTERING = """
CREATE TABLE clusteringresult (
    id CHAR(32) NOT NULL, created_at DATETIME NOT NULL, started_at DATETIME, completed_at DATETIME,
    embedding_model VARCHAR NOT NULL, algorithm VARCHAR NOT NULL, parameters JSON NOT NULL, PRIMARY KEY (id));
CREATE TABLE cluster (
    id CHAR(32) NOT NULL, clustering_result_id CHAR(32) NOT NULL, cluster_id INTEGER NOT NULL,
    medoid_embedding_id CHAR(32), size INTEGER NOT NULL, properties JSON NOT NULL, PRIMARY KEY (id),
    CONSTRAINT unique_cluster_per_result UNIQUE (clustering_result_id, cluster_id),
    FOREIGN KEY(clustering_result_id) REFERENCES clusteringresult (id),
    FOREIGN KEY(medoid_embedding_id) REFERENCES embedding (id));
CREATE INDEX ix_cluster_clustering_result_id ON cluster (clustering_result_id);
CREATE INDEX ix_cluster_medoid_embedding_id ON cluster (medoid_embedding_id);
CREATE TABLE embeddingcluster (
    id CHAR(32) NOT NULL, embedding_id CHAR(32) NOT NULL, clustering_result_id CHAR(32) NOT NULL,
    cluster_id CHAR(32) NOT NULL, PRIMARY KEY (id),
    CONSTRAINT unique_embedding_clustering UNIQUE (embedding_id, clustering_result_id),
    FOREIGN KEY(embedding_id) REFERENCES embedding (id),
    FOREIGN KEY(clustering_result_id) REFERENCES clusteringresult (id),
    FOREIGN KEY(cluster_id) REFERENCES cluster (id));
CREATE INDEX ix_embeddingcluster_new_embedding_id ON embeddingcluster (embedding_id);
CREATE INDEX ix_embeddingcluster_new_clustering_result_id ON embeddingcluster (clustering_result_id);
CREATE INDEX ix_embeddingcluster_new_cluster_id ON embeddingcluster (cluster_id);
"""

PATTERNS = """
CREATE TABLE pattern_lineage_nodes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), pattern_id varchar(255) NOT NULL,
    pattern_name varchar(255) NOT NULL, pattern_type varchar(100) NOT NULL,
    pattern_version varchar(50) NOT NULL DEFAULT '1.0.0', lineage_id uuid NOT NULL,
    generation integer NOT NULL DEFAULT 1, source_system varchar(100), source_user varchar(100),
    source_event_id uuid, pattern_data jsonb NOT NULL, metadata jsonb DEFAULT '{}', correlation_id uuid NOT NULL,
    created_at timestamptz DEFAULT now(), event_type varchar(100), tool_name varchar(255), file_path text,
    language varchar(50), complexity_score decimal(3,2), documentation_score decimal(3,2),
    test_coverage_score decimal(3,2), reusability_score decimal(3,2), maintainability_score decimal(3,2),
    overall_quality decimal(3,2), usage_count integer DEFAULT 0, last_used_at timestamptz, used_by_agents text[],
    CONSTRAINT unique_pattern_lineage_version UNIQUE (pattern_id, pattern_version));
"""

METRICS = """
CREATE TABLE pattern_quality_metrics (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), pattern_id uuid NOT NULL,
    quality_score double precision NOT NULL CHECK (quality_score BETWEEN 0 AND 1),
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    measurement_timestamp timestamptz NOT NULL DEFAULT now(), version text DEFAULT '1.0.0',
    metadata jsonb DEFAULT '{}', created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE INDEX idx_pattern_quality_metrics_pattern_id ON pattern_quality_metrics (pattern_id);
CREATE INDEX idx_pattern_quality_metrics_quality_score ON pattern_quality_metrics (quality_score DESC);
CREATE INDEX idx_pattern_quality_metrics_time ON pattern_quality_metrics (measurement_timestamp DESC);
CREATE INDEX idx_pattern_quality_metrics_metadata ON pattern_quality_metrics USING gin (metadata);
"""

METRICS_AS_DEPLOYED_ELSEWHERE = """
CREATE TABLE pattern_quality_metrics (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    pattern_id uuid NOT NULL REFERENCES pattern_lineage_nodes (id) ON DELETE CASCADE,
    quality_score double precision NOT NULL CHECK (quality_score BETWEEN 0 AND 1),
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    measurement_timestamp timestamptz NOT NULL, version varchar(50), metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now());
CREATE INDEX idx_pqm_pattern_id ON pattern_quality_metrics (pattern_id);
CREATE INDEX idx_pqm_quality_score ON pattern_quality_metrics (quality_score);
CREATE INDEX idx_pqm_measurement_timestamp ON pattern_quality_metrics (measurement_timestamp);
CREATE INDEX idx_pqm_metadata ON pattern_quality_metrics USING gin (metadata);
"""

FILES = """
CREATE TYPE file_status AS ENUM ('pending', 'processing', 'completed', 'failed');
CREATE TABLE course_files (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), course_id uuid NOT NULL, module_id uuid, name varchar NOT NULL,
    original_name varchar NOT NULL, storage_path text NOT NULL, mime_type varchar, size_bytes bigint,
    status file_status DEFAULT 'pending', processing_error text, metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), embedding_status varchar(50),
    embeddings_generated_at timestamptz);
CREATE TABLE file_chunks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), file_id uuid NOT NULL REFERENCES course_files (id),
    chunk_index integer NOT NULL, content text NOT NULL, tokens integer, metadata jsonb, chunk_metadata jsonb,
    chunk_type text, hierarchy_level integer DEFAULT 0, importance text, section_title text,
    is_start_of_section boolean, is_end_of_section boolean, concepts jsonb, content_length integer,
    search_vector tsvector, created_at timestamptz);
CREATE INDEX idx_file_chunks_file_id ON file_chunks (file_id);
CREATE TABLE file_embeddings (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    chunk_id uuid NOT NULL REFERENCES file_chunks (id) ON DELETE CASCADE, embedding real[] NOT NULL,
    model_version text NOT NULL DEFAULT 'text-embedding-3-small', created_at timestamptz, updated_at timestamptz,
    CONSTRAINT unique_chunk_embedding UNIQUE (chunk_id, model_version));
"""

_IN_POSTGRESQL = {"CHAR(32)": "UUID", "DATETIME": "TIMESTAMP", "BLOB": "BYTEA", "JSON": "JSONB"}
_IN_SQLITE = {
    "uuid": "CHAR(32)",
    "jsonb": "JSON",
    "timestamptz": "DATETIME",
    "double precision": "FLOAT",
    "text[]": "JSON",
    "real[]": "BLOB",
    "tsvector": "TEXT",
    "file_status": "VARCHAR(10)",
    " DEFAULT gen_random_uuid()": "",
    " DEFAULT now()": " DEFAULT CURRENT_TIMESTAMP",
    "USING gin ": "",
}


def build(database: Database, *scripts: str) -> None:
    """Run the scripts, whichever vendor they were written for."""
    statements = [s for script in scripts for s in script.split(";") if s.strip()]
    with contextlib.closing(database.connect()) as connection:
        for statement in statements:
            if translated := in_words_of(database.vendor, statement):
                connection.execute(translated)
        connection.commit()


def in_words_of(vendor: str, statement: str) -> str:
    """Translate type names; SQLite has no CREATE TYPE."""
    words = _IN_POSTGRESQL if vendor == "postgresql" else _IN_SQLITE
    if vendor == "sqlite" and "CREATE TYPE" in statement:
        return ""
    for word, translated in words.items():
        edges = (r"\b" if word[0].isalpha() else "", r"\b" if word[-1].isalpha() else "")
        statement = re.sub(edges[0] + re.escape(word) + edges[1], translated, statement)
    return statement
