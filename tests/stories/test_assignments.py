"""Cluster assignments on SQLite tables whose id columns are declared UUID: ids became numbers."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from integrity.backends.sqlite.ddl import UnrepairableTable, with_types
from integrity.dedupe.quarantine import side_tables_of
from integrity.models import EmbeddingCluster
from tests.conftest import Databases
from tests.databases import Database
from tests.operations.owners import CLUSTERING, EMBEDDINGS, build
from tests.stories.telling import Call, indexes, migrate, unique_keys

ASSIGNMENTS = 200_000
INF = "06810000e0007{:03}8000000000000000"
"""Ids that overflow: digits, an e, and a large exponent."""


def as_deployed(script: str) -> str:
    """The clustering tables as the migration at fault made them."""
    before, cluster, rest = script.partition("CREATE TABLE cluster (")
    return before + cluster + rest.replace("CHAR(32)", "UUID")


def plain(number: int) -> str:
    """An id that no column takes for a number."""
    return f"0680000000007a{number:018x}"


def fill(database: Database) -> None:
    """2 clusterings of 100,000 embeddings each in 50 clusters; some ids look like numbers."""
    with contextlib.closing(sqlite3.connect(database.path)) as raw:
        embeddings = [plain(n) for n in range(ASSIGNMENTS // 2)]
        embeddings[10] = "12345678901270008000000000000010"  # one REAL
        embeddings[20] = "06810000e00070008000000000000020"  # Inf, the only such embedding
        raw.executemany(
            "INSERT INTO embedding (id, invocation_id, embedding_model) VALUES (?, ?, 'm')",
            ((e, plain(n)) for n, e in enumerate(embeddings)),
        )
        for c in range(2):
            result = plain(10**9 + c)
            raw.execute(
                "INSERT INTO clusteringresult (id, created_at, embedding_model, algorithm, parameters) "
                "VALUES (?, '2026-01-01', 'm', 'a', '{}')",
                (result,),
            )
            clusters = [plain(2 * 10**9 + 100 * c + n) for n in range(50)]
            if c == 0:
                clusters[7] = "98765432101270008000000000000000"  # its own id becomes REAL, and so do the references
            raw.executemany(
                "INSERT INTO cluster VALUES (?, ?, ?, ?, 1, '{}')",
                ((i, result, n, embeddings[n]) for n, i in enumerate(clusters)),
            )
            raw.executemany(
                "INSERT INTO embeddingcluster VALUES (?, ?, ?, ?)",
                ((plain(3 * 10**9 + c * 10**6 + n), e, result, clusters[n % 50]) for n, e in enumerate(embeddings)),
            )
        # an assignment whose own id looks like a number
        raw.execute(
            "UPDATE embeddingcluster SET id = '11111111111111111111111111111111' WHERE id = ?", (plain(3 * 10**9 + 5),)
        )
        # and one whose embedding is not there any more
        raw.execute("UPDATE embeddingcluster SET embedding_id = 9e18 WHERE id = ?", (plain(3 * 10**9 + 30),))
        raw.commit()


def numbers(database: Database, table: str, *columns: str) -> int:
    """How many rows have an id that is stored as a number."""
    where = " OR ".join(f"typeof({column}) IN ('real', 'integer')" for column in columns)
    return int(database.execute(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])


IDS = {
    "cluster": ("id", "clustering_result_id", "medoid_embedding_id"),
    "embeddingcluster": ("id", "embedding_id", "clustering_result_id", "cluster_id"),
}


@pytest.mark.slow
@pytest.mark.sqlite
def test_damaged_ids_are_repaired_and_what_failed_before_succeeds(databases: Databases, call: Call) -> None:
    database = databases.empty("sqlite")
    build(database, EMBEDDINGS, as_deployed(CLUSTERING))
    fill(database)
    assert numbers(database, "embeddingcluster", *IDS["embeddingcluster"]) > 2000
    with pytest.raises(sqlite3.IntegrityError), contextlib.closing(database.connect()) as raw:
        insert_two_that_overflow(raw)

    said = migrate(call, "0005")

    for table, columns in IDS.items():
        assert numbers(database, table, *columns) == 0
    ((reason,),) = quarantined("embeddingcluster")
    assert "embedding_id was stored as the number" in reason
    assert database.execute("SELECT count(*) FROM embeddingcluster") == [(ASSIGNMENTS - 1,)]
    assert "1 rows in quarantine" in said
    assert dangling(database) == 0
    assert restored_as_they_were(database)
    assert database.execute("SELECT count(DISTINCT id) FROM embeddingcluster") == [(ASSIGNMENTS - 1,)]
    assert {"ix_embeddingcluster_new_embedding_id", "ix_embeddingcluster_new_cluster_id"} <= indexes("embeddingcluster")
    assert ("embedding_id", "clustering_result_id") in unique_keys("embeddingcluster")
    with contextlib.closing(database.connect()) as raw:
        insert_two_that_overflow(raw)
    assert len(EmbeddingCluster.objects.all()[:5]) == 5  # reads, where there was AttributeError

    migrate(call, "0004")
    migrate(call, "0005")


def insert_two_that_overflow(raw: Any) -> None:
    for n in range(2):
        row = (INF.format(n), plain(5 * 10**9 + n), plain(10**9), plain(2 * 10**9))
        raw.execute("INSERT INTO embeddingcluster VALUES (?, ?, ?, ?)", row)


def dangling(database: Database) -> int:
    """References of assignments that point at nothing."""
    return int(
        database.execute(
            "SELECT count(*) FROM embeddingcluster a "
            "WHERE NOT EXISTS (SELECT 1 FROM embedding e WHERE e.id = a.embedding_id)"
            " OR NOT EXISTS (SELECT 1 FROM cluster c WHERE c.id = a.cluster_id)"
            " OR NOT EXISTS (SELECT 1 FROM clusteringresult r WHERE r.id = a.clustering_result_id)"
        )[0][0]
    )


def restored_as_they_were(database: Database) -> bool:
    """Every assignment names the embedding and the number of the cluster that it was made with."""
    rows = database.execute(
        "SELECT e.invocation_id, c.cluster_id FROM embeddingcluster a "
        "JOIN embedding e ON e.id = a.embedding_id JOIN cluster c ON c.id = a.cluster_id"
    )
    return all(int(invocation[14:], 16) % 50 == number for invocation, number in rows)


def quarantined(table: str) -> list[tuple[Any, ...]]:
    """The reasons of all rows of a table that are in quarantine."""
    sides = side_tables_of(table, kind="quarantine", apps=apps, using="default")
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f'SELECT integrity_reason FROM "{side.name}"' for side in sides))
        return list(cursor.fetchall())


@pytest.mark.sqlite
def test_a_table_whose_ids_are_safe_is_not_rebuilt(databases: Databases, call: Call, tmp_path: Path) -> None:
    database = databases.empty("sqlite")
    build(database, EMBEDDINGS, CLUSTERING)
    before = database.execute("SELECT name, rootpage FROM sqlite_master WHERE name LIKE '%cluster%' ORDER BY 1")

    migrate(call, "0005")

    after = database.execute("SELECT name, rootpage FROM sqlite_master WHERE name LIKE '%cluster%' ORDER BY 1")
    assert after == before


def test_only_the_types_of_the_named_columns_change() -> None:
    statement = (
        'CREATE TABLE "old" (-- of ids, (and "names")\n id UUID NOT NULL PRIMARY KEY, [other id] uuid DEFAULT \'a,(b\','
        " kind NUMERIC(3, 2) CHECK (kind <> 'UUID'), id2 UUID REFERENCES p (id), CONSTRAINT u UNIQUE (id, kind))"
    )

    changed = with_types(statement, name="new", columns=["id", "other id"], kind="CHAR(32)")

    kept = " kind NUMERIC(3, 2) CHECK (kind <> 'UUID'), id2 UUID REFERENCES p (id), CONSTRAINT u UNIQUE (id, kind))"
    assert changed.endswith(kept)
    assert " ".join(changed.removesuffix(kept).split()) == (
        'CREATE TABLE "new" (-- of ids, (and "names") id CHAR(32) NOT NULL PRIMARY KEY, '
        "[other id] CHAR(32) DEFAULT 'a,(b',"
    )


def test_a_column_that_is_not_found_is_an_error() -> None:
    with pytest.raises(UnrepairableTable, match="nowhere"):
        with_types("CREATE TABLE t (id UUID)", name="n", columns=["nowhere"], kind="CHAR(32)")
