"""What the first migration makes, table by table, in PostgreSQL's words; ``!`` means NOT NULL."""

from __future__ import annotations

COLUMNS = {
    "experimentconfig": """
        id uuid!; networks jsonb!; seeds jsonb!; prompts jsonb!; embedding_models jsonb!; max_length integer!;
        started_at timestamp; completed_at timestamp
    """,
    "run": """
        id uuid!; network jsonb!; seed integer!; max_length integer!; initial_prompt varchar!; experiment_id uuid
    """,
    "invocation": """
        id uuid!; started_at timestamp; completed_at timestamp; model varchar!; type varchar(5)!; seed integer!;
        run_id uuid!; sequence_number integer!; input_invocation_id uuid; output_text varchar; output_image_data bytea
    """,
    "embedding": """
        id uuid!; started_at timestamp; completed_at timestamp; invocation_id uuid!; embedding_model varchar!;
        vector bytea
    """,
    "persistencediagram": """
        id uuid!; started_at timestamp; completed_at timestamp; diagram_data bytea; run_id uuid!;
        embedding_model varchar!
    """,
    "clusteringresult": """
        id uuid!; created_at timestamp!; started_at timestamp; completed_at timestamp; embedding_model varchar!;
        algorithm varchar!; parameters jsonb!
    """,
    "cluster": """
        id uuid!; clustering_result_id uuid!; cluster_id integer!; medoid_embedding_id uuid; size integer!;
        properties jsonb!
    """,
    "embeddingcluster": "id uuid!; embedding_id uuid!; clustering_result_id uuid!; cluster_id uuid!",
    "pattern_quality_metrics": """
        id uuid!; pattern_id uuid!; quality_score double!; confidence double!; measurement_timestamp timestamptz!;
        version text; metadata jsonb; created_at timestamptz; updated_at timestamptz
    """,
    "pattern_lineage_nodes": """
        id uuid!; pattern_id varchar(255)!; pattern_name varchar(255)!; pattern_type varchar(100)!;
        pattern_version varchar(50)!; lineage_id uuid!; generation integer!; source_system varchar(100);
        source_user varchar(100); source_event_id uuid; pattern_data jsonb!; metadata jsonb; correlation_id uuid!;
        created_at timestamptz; event_type varchar(100); tool_name varchar(255); file_path text;
        language varchar(50); complexity_score decimal; documentation_score decimal; test_coverage_score decimal;
        reusability_score decimal; maintainability_score decimal; overall_quality decimal; usage_count integer;
        last_used_at timestamptz; used_by_agents text[]
    """,
    "workflow_executions": """
        id uuid!; workflow_id varchar(255)!; workflow_type varchar(100)!; entity_type varchar(50)!; entity_id uuid!;
        status varchar(20)!; error_message varchar(1000); created_at timestamp!; started_at timestamp;
        completed_at timestamp
    """,
    "course_files": """
        id uuid!; course_id uuid!; module_id uuid; name varchar!; original_name varchar!; storage_path text!;
        mime_type varchar; size_bytes bigint; status varchar(20); processing_error text; metadata jsonb;
        created_at timestamptz; updated_at timestamptz; embedding_status varchar(50);
        embeddings_generated_at timestamptz
    """,
    "file_chunks": """
        id uuid!; file_id uuid!; chunk_index integer!; content text!; tokens integer; metadata jsonb;
        chunk_metadata jsonb; chunk_type text; hierarchy_level integer; importance text; section_title text;
        is_start_of_section boolean; is_end_of_section boolean; concepts jsonb; content_length integer;
        search_vector tsvector; created_at timestamptz
    """,
    "file_embeddings": """
        id uuid!; chunk_id uuid!; embedding vector!; model_version text!; created_at timestamptz;
        updated_at timestamptz
    """,
}

POSTGRESQL = {
    "varchar": "character varying",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "double": "double precision",
    "decimal": "numeric(3,2)",
}

SQLITE = {
    "uuid": "char(32)",
    "jsonb": "TEXT",
    "bytea": "BLOB",
    "vector": "BLOB",
    "timestamp": "datetime",
    "timestamptz": "datetime",
    "double": "REAL",
    "boolean": "bool",
    "text": "TEXT",
    "text[]": "TEXT",
    "tsvector": "TEXT",
    "integer": "INTEGER",
}

INDEXES = {
    "run": {"ix_run_experiment_id": "experiment_id"},
    "invocation": {
        "ix_invocation_run_id": "run_id",
        "ix_invocation_input_invocation_id": "input_invocation_id",
    },
    "embedding": {"ix_embedding_invocation_id": "invocation_id"},
    "persistencediagram": {"ix_persistencediagram_run_id": "run_id"},
    "cluster": {
        "ix_cluster_clustering_result_id": "clustering_result_id",
        "ix_cluster_medoid_embedding_id": "medoid_embedding_id",
    },
    "embeddingcluster": {
        "ix_embeddingcluster_embedding_id": "embedding_id",
        "ix_embeddingcluster_clustering_result_id": "clustering_result_id",
        "ix_embeddingcluster_cluster_id": "cluster_id",
    },
    "pattern_quality_metrics": {
        "idx_pattern_quality_metrics_pattern_id": "pattern_id",
        "idx_pattern_quality_metrics_quality_score": "quality_score",
        "idx_pattern_quality_metrics_measurement_timestamp": "measurement_timestamp",
        "idx_pattern_quality_metrics_metadata": "metadata",
    },
    "workflow_executions": {
        "ix_workflow_executions_workflow_id": "workflow_id",
        "ix_workflow_executions_entity_id": "entity_id",
    },
    "file_chunks": {"idx_file_chunks_file_id": "file_id"},
}

UNIQUE = {
    "cluster": {"unique_cluster_per_result": ["clustering_result_id", "cluster_id"]},
    "embeddingcluster": {"unique_embedding_clustering": ["embedding_id", "clustering_result_id"]},
    "pattern_lineage_nodes": {"unique_pattern_lineage_version": ["pattern_id", "pattern_version"]},
    "file_embeddings": {"unique_chunk_embedding": ["chunk_id", "model_version"]},
}

FOREIGN_KEYS = {
    "run": {"experiment_id": "experimentconfig"},
    "invocation": {"run_id": "run", "input_invocation_id": "invocation"},
    "embedding": {"invocation_id": "invocation"},
    "persistencediagram": {"run_id": "run"},
    "cluster": {"clustering_result_id": "clusteringresult", "medoid_embedding_id": "embedding"},
    "embeddingcluster": {
        "embedding_id": "embedding",
        "clustering_result_id": "clusteringresult",
        "cluster_id": "cluster",
    },
    "file_chunks": {"file_id": "course_files"},
    "file_embeddings": {"chunk_id": "file_chunks"},
}

CHECKS = {
    "pattern_quality_metrics": {"quality_score", "confidence"},
    "pattern_lineage_nodes": {
        "complexity_score",
        "documentation_score",
        "test_coverage_score",
        "reusability_score",
        "maintainability_score",
        "overall_quality",
    },
    "file_chunks": {"importance"},
}


def columns(table: str, vendor: str) -> list[tuple[str, str, bool]]:
    """Return name, type and nullability of each column, as the vendor's catalogue spells them."""
    words = POSTGRESQL if vendor == "postgresql" else SQLITE
    found = []
    for column in COLUMNS[table].split(";"):
        name, kind = column.split()
        kind, nullable = kind.removesuffix("!"), not kind.endswith("!")
        base, bracket, size = kind.partition("(")
        found.append((name, words.get(base, base) + bracket + size, nullable))
    return found
