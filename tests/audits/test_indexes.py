"""Which references have no index on the referring columns."""

from __future__ import annotations

from integrity.audits import Level
from tests.audits.helpers import audit, execute
from tests.databases import Database


def test_a_missing_index_is_told_with_the_columns_it_needs(database: Database) -> None:
    execute("DROP INDEX ix_cluster_medoid_embedding_id")

    (found,) = audit("indexes")

    assert (found.id, found.level, found.object) == ("integrity.A040", Level.WARNING, "cluster.medoid_embedding_id")
    assert found.hint == "Create an index on cluster (medoid_embedding_id)."


def test_an_index_that_begins_with_the_column_serves(database: Database) -> None:
    execute(
        "DROP INDEX ix_cluster_medoid_embedding_id",
        "CREATE INDEX another ON cluster (medoid_embedding_id, size)",
    )

    assert audit("indexes") == ()


def test_a_partial_index_does_not_serve(database: Database) -> None:
    execute(
        "DROP INDEX ix_cluster_medoid_embedding_id",
        "CREATE INDEX another ON cluster (medoid_embedding_id) WHERE size > 5",
    )

    assert [finding.id for finding in audit("indexes")] == ["integrity.A040"]
