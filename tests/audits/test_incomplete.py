"""Which rows miss what their rule calls complete."""

from __future__ import annotations

import numpy as np

from integrity.audits import Level
from integrity.models import Embedding
from tests.audits.helpers import an_invocation, audit, execute
from tests.databases import Database


def test_rows_without_a_vector_or_with_half_of_one_are_counted(database: Database) -> None:
    invocation = an_invocation()
    for model in "abc":
        Embedding.objects.create(invocation=invocation, embedding_model=model, vector=np.ones(768, dtype="<f4"))
    Embedding.objects.filter(embedding_model="a").update(vector=None)
    execute("UPDATE embedding SET vector = substr(vector, 1, 1536) WHERE embedding_model = 'b'")

    (found,) = (finding for finding in audit("incomplete") if finding.object == "embedding")

    assert (found.id, found.level, found.object) == ("integrity.A030", Level.WARNING, "embedding")
    assert found.details["rows"] == 2


def test_the_example_is_the_key_as_the_database_writes_it(database: Database) -> None:
    row = Embedding.objects.create(invocation=an_invocation(), embedding_model="m")

    (found,) = (finding for finding in audit("incomplete") if finding.object == "embedding")

    assert found.details["example"] == (str(row.pk) if database.vendor == "postgresql" else row.pk.hex)


def test_a_key_that_django_cannot_read_is_shown_all_the_same(sqlite_database: Database) -> None:
    execute("PRAGMA foreign_keys = OFF", "DROP TABLE embedding")
    execute(
        "CREATE TABLE embedding (id UUID PRIMARY KEY, started_at DATETIME, completed_at DATETIME, "
        "invocation_id CHAR(32) NOT NULL, embedding_model VARCHAR NOT NULL, vector BLOB)",
        "INSERT INTO embedding (id, invocation_id, embedding_model) "
        "VALUES ('0190000000000000000000000000e999', 'i', 'm')",
    )

    (found,) = audit("incomplete")

    assert found.details["example"] == "inf"
