"""Fingerprints tell apart what a type's own equality does not."""

from __future__ import annotations

import pytest
from django.db import NotSupportedError, connection

from integrity.backends import get_rows
from integrity.backends.sql import compose
from tests.databases import Database

ANY_CASE = "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
VALUES = [
    ("numeric", "1.0", "1.00"),
    ("numeric[]", "{1.0}", "{1.00}"),
    ("double precision", "0", "-0"),
    ("jsonb", '{"a": 1.0}', '{"a": 1.00}'),
    ("json", '{"a": 1}', '{"a":  1}'),
    ("text COLLATE any_case", "John", "JOHN"),
    ("character varying(9) COLLATE any_case", "John", "JOHN"),
    ("point", "(1,2)", "(1,3)"),
    ("timestamp(3) with time zone", "2026-03-01 10:00+00", "2026-03-01 10:00:00.001+00"),
    ("bytea", "\\x01", "\\x02"),
]


@pytest.mark.parametrize(("kind", "one", "other"), VALUES, ids=[kind for kind, *_ in VALUES])
def test_fingerprints_differ_where_values_can_be_told_apart(
    postgres_ponies: Database, kind: str, one: str, other: str
) -> None:
    with connection.cursor() as cursor:
        if "any_case" in kind:
            try:
                cursor.execute(ANY_CASE)
            except NotSupportedError as error:
                pytest.skip(str(error))
        cursor.execute(f"CREATE TABLE kept (value {kind})")
        cursor.execute("INSERT INTO kept VALUES (%s), (%s), (%s)", [one, other, one])
    rows = get_rows(using="default")
    marks = compose("SELECT {fp} FROM kept AS k", fp=rows.fingerprint("kept", ["value"], alias="k"))

    (first,), (second,), (third,) = rows.fetch(marks)

    assert first == third
    assert first != second
