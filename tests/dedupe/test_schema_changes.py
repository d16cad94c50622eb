"""The table's columns change between a run and its undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models

from integrity.dedupe import DedupeRule, OrderByFields, UndoSummary, undo_run
from tests.commands import CommandResult
from tests.databases import Database
from tests.ponies.merging import merge, rows_of, twins
from tests.ponies.models import Passport, Pony, SecretNote
from tests.snapshots import snapshot

BY_NAME = DedupeRule(model="ponies.Pony", fields=("name",))


@pytest.fixture
def run(ponies: Database) -> int:
    """Two ponies of one name, of which the second is in quarantine; a note that was hers."""
    twins(foaled=3)
    SecretNote.objects.create(pk=1, pony_id=2, text="hers")
    return merge(BY_NAME).id


def undo(run: int, *, dry_run: bool = False) -> UndoSummary:
    return undo_run(run, apps=apps, using="default", dry_run=dry_run)


def rows(table: str = "ponies_pony") -> dict[Any, dict[str, Any]]:
    return {row["id"]: row for row in rows_of(table)}


def alter(ponies: Database, change: str, table: str = "ponies_pony") -> None:
    ponies.execute(f"ALTER TABLE {table} {change}")


def set_not_null(ponies: Database, column: str, default: str | None) -> None:
    """Make a column NOT NULL as Django does: fill the rows that are there, and keep no default unless one is given."""
    ponies.execute(f"UPDATE ponies_pony SET {column} = 0 WHERE {column} IS NULL")
    if ponies.vendor == "sqlite":
        clause = f"INTEGER NOT NULL DEFAULT {default}" if default else "INTEGER NOT NULL"
        connection.cursor().execute("PRAGMA writable_schema = ON")
        sql = ponies.execute("SELECT sql FROM sqlite_master WHERE name = 'ponies_pony'")[0][0]
        assert f'"{column}" integer NULL' in sql
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE sqlite_master SET sql = %s WHERE name = 'ponies_pony'",
                [sql.replace(f'"{column}" integer NULL', f'"{column}" {clause}')],
            )
        connection.close()
        return
    if default:
        alter(ponies, f"ALTER COLUMN {column} SET DEFAULT {default}")
    alter(ponies, f"ALTER COLUMN {column} SET NOT NULL")


def test_a_nullable_column_that_was_added_is_empty(ponies: Database, run: int) -> None:
    alter(ponies, "ADD COLUMN colour text")

    undone = undo(run)

    assert (undone.restored, undone.refused, undone.kept) == (1, (), ())
    assert rows()[2]["colour"] is None
    assert rows("ponies_secretnote")[1]["pony_id"] == 2


def test_a_column_that_was_added_with_a_default_gets_it(ponies: Database, run: int) -> None:
    alter(ponies, "ADD COLUMN legs integer NOT NULL DEFAULT 4")

    assert undo(run).refused == ()

    assert rows()[2]["legs"] == 4


def test_a_column_that_was_added_without_a_default_gets_that_of_its_model(
    ponies: Database, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter(ponies, "ADD COLUMN legs integer NOT NULL DEFAULT 3")
    if ponies.vendor == "postgresql":
        alter(ponies, "ALTER COLUMN legs DROP DEFAULT")
        legs = models.IntegerField(default=4, db_column="legs")
        legs.set_attributes_from_name("legs")
        fields = [*Pony._meta.local_concrete_fields, legs]
        monkeypatch.setattr(Pony._meta, "local_concrete_fields", fields)

    assert undo(run).refused == ()

    assert rows()[2]["legs"] == (4 if ponies.vendor == "postgresql" else 3)


def test_a_column_that_must_have_a_value_nobody_knows_refuses_the_group(ponies: Database, run: int) -> None:
    if ponies.vendor == "sqlite":
        pytest.skip("SQLite adds no NOT NULL column without a default")
    alter(ponies, "ADD COLUMN legs integer NOT NULL DEFAULT 4")
    alter(ponies, "ALTER COLUMN legs DROP DEFAULT")

    undone = undo(run)

    assert undone.restored == 0
    assert "legs" in undone.refused[0].reason
    assert len(rows_of("integrity_quarantine_ponies_pony_1")) == 1


def test_a_column_that_became_not_null_gets_its_default_instead_of_null(ponies: Database) -> None:
    Pony.all_objects.create(pk=1, name="Misty", code="m1", foaled=5)
    Pony.all_objects.create(pk=2, name="Misty", code="m2")
    run = merge(BY_NAME).id
    set_not_null(ponies, "foaled", "7")

    tried = undo(run, dry_run=True)
    undone = undo(run)

    assert undone.refused == ()
    assert rows()[2]["foaled"] == 7
    assert tried.kept == undone.kept
    assert "had NULL in foaled come back with the default" in " ".join(undone.kept)


@pytest.mark.parametrize("default", ["brown", '"brown"', "'brown'", "('bro' || 'wn')"])
def test_a_default_is_read_as_sqlite_reads_it(sqlite_ponies: Database, default: str) -> None:
    Pony.all_objects.create(pk=1, name="Misty", code="m1", foaled=5)
    Pony.all_objects.create(pk=2, name="Misty", code="m2")
    run = merge(BY_NAME).id
    set_not_null(sqlite_ponies, "foaled", default)

    undone = undo(run)

    assert undone.refused == ()
    assert rows()[2]["foaled"] == "brown"


def test_values_of_a_column_that_was_dropped_stay_in_quarantine(ponies: Database, run: int) -> None:
    alter(ponies, "DROP COLUMN foaled")

    tried = undo(run, dry_run=True)
    undone = undo(run)

    assert (undone.state, undone.restored, undone.refused) == ("undone", 1, ())
    assert undone.kept == tried.kept
    assert "without foaled" in undone.kept[0]
    assert sorted(rows()) == [1, 2]
    assert [row["foaled"] for row in rows_of("integrity_quarantine_ponies_pony_1")] == [3]


def test_who_undoes_is_told_what_stays_in_quarantine(
    ponies: Database, run: int, call: Callable[..., CommandResult]
) -> None:
    alter(ponies, "DROP COLUMN foaled")

    undone = call("undo_dedupe", str(run))

    assert undone.code == 0
    assert "Note: rows of ponies_pony come back without foaled" in " ".join(undone.out.split())


def test_a_dropped_column_without_values_leaves_nothing_behind(ponies: Database) -> None:
    twins()
    run = merge(BY_NAME).id
    alter(ponies, "DROP COLUMN foaled")

    assert undo(run).kept == ()

    assert rows_of("integrity_quarantine_ponies_pony_1") == []


def test_a_renamed_column_is_not_taken_for_a_dropped_one(ponies: Database, run: int) -> None:
    alter(ponies, "RENAME COLUMN foaled TO born")

    refused = undo(run)
    alter(ponies, "RENAME COLUMN foaled TO born", table="integrity_quarantine_ponies_pony_1")
    undone = undo(run)

    assert refused.restored == 0
    assert 'RENAME COLUMN "foaled" TO "born"' in refused.refused[0].reason
    assert (undone.restored, undone.refused) == (1, ())
    assert rows()[2]["born"] == 3


def test_a_column_of_a_larger_type_takes_the_values(ponies: Database, run: int) -> None:
    if ponies.vendor == "sqlite":
        pytest.skip("SQLite does not change types in place")
    alter(ponies, "ALTER COLUMN foaled TYPE bigint")
    alter(ponies, "ALTER COLUMN code TYPE text")

    assert undo(run).refused == ()

    assert (rows()[2]["foaled"], rows()[2]["code"]) == (3, "m2")


def test_a_column_of_a_smaller_type_refuses_what_does_not_fit(ponies: Database, run: int) -> None:
    if ponies.vendor == "sqlite":
        pytest.skip("SQLite does not change types in place")
    alter(ponies, "ALTER COLUMN code TYPE varchar(1) USING left(code, 1)")

    undone = undo(run)

    assert (undone.restored, len(undone.refused)) == (0, 1)


def test_a_column_of_another_kind_of_type_refuses(ponies: Database, run: int) -> None:
    if ponies.vendor == "sqlite":
        pytest.skip("SQLite does not change types in place")
    alter(ponies, "ALTER COLUMN foaled TYPE text")
    before = snapshot()

    refused = undo(run)
    alter(ponies, "ALTER COLUMN foaled TYPE integer USING foaled::integer")

    assert "was integer and is text" in refused.refused[0].reason
    assert before == {**snapshot(), "ponies_pony": before["ponies_pony"]}
    assert undo(run).refused == ()


def test_a_column_that_would_round_a_value_refuses_it(postgres_ponies: Database) -> None:
    alter(postgres_ponies, "ADD COLUMN height numeric(6, 3)")
    twins()
    postgres_ponies.execute("UPDATE ponies_pony SET height = 1.125 WHERE id = 2")
    run = merge(BY_NAME).id
    alter(postgres_ponies, "ALTER COLUMN height TYPE numeric(6, 1)")

    refused = undo(run)
    alter(postgres_ponies, "ALTER COLUMN height TYPE numeric(6, 3)")

    assert refused.restored == 0
    assert "height of ponies_pony has another type now, and a value does not fit" in refused.refused[0].reason
    assert undo(run).restored == 1
    assert str(rows()[2]["height"]) == "1.125"


def test_a_referencing_column_that_is_gone_refuses(ponies: Database, run: int) -> None:
    ponies.execute("DROP INDEX ponies_secretnote_pony_id_" + _rest(ponies, "ponies_secretnote_pony_id_"))
    if ponies.vendor == "sqlite":
        pytest.skip("SQLite does not drop a column with a foreign key")
    alter(ponies, "DROP COLUMN pony_id", table="ponies_secretnote")

    undone = undo(run)

    assert undone.restored == 0
    assert "pony_id of ponies_secretnote is gone" in undone.refused[0].reason


def test_a_table_that_is_gone_refuses_only_what_needs_it(ponies: Database, run: int) -> None:
    ponies.execute("DROP TABLE ponies_secretnote")

    undone = undo(run)

    assert undone.restored == 0
    assert "ponies_secretnote is gone" in undone.refused[0].reason


def test_a_column_that_quarantine_has_lost_does_not_come_back_empty(ponies: Database) -> None:
    alter(ponies, "ADD COLUMN mood text", table="ponies_passport")
    for pony in twins():
        Passport.objects.create(pony=pony, number=f"passport {pony.pk}")
    ponies.execute("UPDATE ponies_passport SET mood = 'sad'")
    run = merge(BY_NAME).id
    quarantine = "integrity_quarantine_ponies_passport_1"
    alter(ponies, "DROP COLUMN mood", table=quarantine)
    before = snapshot()

    refused = undo(run)

    assert f"{quarantine} has lost its column mood" in refused.refused[0].reason
    assert (refused.restored, snapshot()) == (0, before)
    alter(ponies, "ADD COLUMN mood text", table=quarantine)
    assert undo(run).refused == ()


def test_what_a_later_run_has_touched_waits_for_its_undo(ponies: Database, run: int) -> None:
    Pony.all_objects.create(pk=3, name="Misty", code="m3")
    later = merge(DedupeRule(model="ponies.Pony", fields=("name",), keep=(OrderByFields(("-id",)),))).id
    assert sorted(rows()) == [3]

    refused = undo(run)

    assert refused.restored == 0
    assert f"run {later} has changed the same rows since" in refused.refused[0].reason
    assert undo(later).refused == ()
    assert undo(run).refused == ()
    assert sorted(rows()) == [1, 2, 3]
    assert rows("ponies_secretnote")[1]["pony_id"] == 2


def _rest(database: Database, start: str) -> str:
    catalogue = "SELECT name FROM sqlite_master" if database.vendor == "sqlite" else "SELECT indexname FROM pg_indexes"
    return next(str(name) for (name,) in database.execute(catalogue) if str(name).startswith(start))[len(start) :]


@pytest.mark.parametrize(
    "index",
    ["ponies_pony (name)", "ponies_pony (lower(name))", "ponies_pony (name) WHERE name <> 'nobody'"],
    ids=["plain", "expression", "partial"],
)
def test_a_unique_index_that_came_since_is_foreseen_by_a_trial(ponies: Database, run: int, index: str) -> None:
    ponies.execute(f"CREATE UNIQUE INDEX one_name ON {index}")

    for undone in (undo(run, dry_run=True), undo(run)):
        assert (undone.restored, undone.repointed) == (0, 0)
        assert "unique index one_name of ponies_pony is in place; lift it first" in undone.refused[0].reason

    ponies.execute("DROP INDEX one_name")
    assert undo(run).restored == 1


def test_a_partial_index_that_says_nothing_of_the_rows_does_not_hinder_an_undo(ponies: Database, run: int) -> None:
    ponies.execute("CREATE UNIQUE INDEX one_name ON ponies_pony (name) WHERE name <> 'Misty'")

    assert undo(run).refused == ()
