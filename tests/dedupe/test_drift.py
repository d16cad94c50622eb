"""The schema changes between a plan and its application: what the plan does not know would be lost."""

from __future__ import annotations

import pytest
from django.apps import apps

from integrity.dedupe import RunFailed, SchemaChanged, apply_plan, make_plan, resume_run, undo_run
from integrity.models import DedupeRun
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, twins
from tests.ponies.models import Passport, Pony, SecretNote
from tests.races.writers import at_step
from tests.snapshots import snapshot


def plan() -> int:
    return make_plan(ONE_NAME, apps=apps, using="default").id


def apply(number: int, *, batch_size: int | None = None) -> None:
    apply_plan(number, ONE_NAME, apps=apps, using="default", batch_size=batch_size)


def with_passports() -> None:
    """Two ponies of one name; of their passports one has to go as well."""
    for pony in twins():
        Passport.objects.create(pony=pony, number=str(pony.pk))


@pytest.mark.parametrize("table", ["ponies_pony", "ponies_passport"])
@pytest.mark.parametrize("change", ["ADD COLUMN stars integer", "RENAME COLUMN {old} TO stars"])
def test_a_plan_is_not_applied_to_a_table_that_has_other_columns_now(ponies: Database, table: str, change: str) -> None:
    with_passports()
    number = plan()
    ponies.execute(f"ALTER TABLE {table} {change}".format(old="foaled" if table == "ponies_pony" else "number"))
    before = snapshot()

    with pytest.raises(SchemaChanged, match=f"table {table} has (gained|lost) column"):
        apply(number)

    assert snapshot() == before
    assert not DedupeRun.objects.exists()


def test_a_plan_is_not_applied_when_a_table_references_its_rows_that_did_not_before(ponies: Database) -> None:
    twins()
    number = plan()
    ponies.execute("CREATE TABLE late (id integer, pony_id integer REFERENCES ponies_pony (id) ON DELETE CASCADE)")
    ponies.execute("INSERT INTO late VALUES (1, 2)")

    with pytest.raises(SchemaChanged, match=r"late\.pony_id references ponies_pony"):
        apply(number)

    assert ponies.execute("SELECT * FROM late") == [(1, 2)]


def test_a_new_column_of_a_table_that_loses_no_row_is_no_hindrance(ponies: Database) -> None:
    _, second = twins()
    SecretNote.objects.create(pk=1, pony=second, text="hers")
    number = plan()
    ponies.execute("ALTER TABLE ponies_secretnote ADD COLUMN mood text")

    apply(number)

    assert ponies.execute("SELECT pony_id FROM ponies_secretnote") == [(1,)]


def test_a_run_stops_at_the_batch_before_which_the_schema_changed_and_can_be_ended_or_taken_back(
    postgres_ponies: Database,
) -> None:
    for number in range(1, 5):
        Pony.all_objects.create(pk=number, name=f"pair {(number + 1) // 2}")
    before = snapshot()
    number = plan()
    with (
        at_step("done", lambda: postgres_ponies.execute("ALTER TABLE ponies_pony ADD COLUMN stars integer")),
        pytest.raises(RunFailed, match=r"gained column stars.*Make a new plan.*manage\.py dedupe --cancel \d+"),
    ):
        apply(number, batch_size=1)

    run = DedupeRun.objects.get()
    assert (run.state, run.counts["removed"]) == ("failed", 1)
    with pytest.raises(RunFailed, match="gained column stars"):
        resume_run(run.pk, ONE_NAME, apps=apps, using="default")
    postgres_ponies.execute("ALTER TABLE ponies_pony DROP COLUMN stars")
    undo_run(run.pk, apps=apps, using="default")
    assert snapshot() == before
