"""The side tables of plans and runs in a database that is replicated, or was restored without some of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.apps import apps

from integrity.dedupe import (
    SideTableGone,
    UnknownPlan,
    apply_plan,
    list_runs,
    make_plan,
    purge_quarantine,
    revise_plan,
    undo_run,
    where_is,
)
from integrity.models import DedupePlan, SideTable
from tests.commands import CommandResult
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, column, merge, twins
from tests.ponies.models import Bridle, Pony, SecretNote
from tests.snapshots import snapshot

QUARANTINE = "integrity_quarantine_ponies_pony_1"


def another_twin() -> None:
    Pony.all_objects.create(pk=3, name="Misty", code="m3")


def test_a_publication_of_all_tables_hinders_no_step(postgres_ponies: Database) -> None:
    twins()
    for pk in (3, 4):
        Pony.all_objects.create(pk=pk, name="Dusty", code=f"d{pk}")
    Bridle.objects.create(left_id=2, right_id=4)
    SecretNote.objects.create(pony_id=2, text="hers")
    postgres_ponies.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    before = snapshot()

    plan = make_plan(ONE_NAME, apps=apps, using="default")
    revise_plan(plan.id, ONE_NAME, apps=apps, using="default", survivors={1: "2"})
    undone = undo_run(apply_plan(plan.id, ONE_NAME, apps=apps, using="default").id, apps=apps, using="default")

    assert (undone.restored, undone.refused) == (2, ())
    assert snapshot() == before
    merge(ONE_NAME)
    assert purge_quarantine(older_than=timedelta(0), apps=apps, using="default").rows == 2


def test_wide_rows_are_moved_in_one_piece(postgres_ponies: Database) -> None:
    twins()
    noise = "(SELECT string_agg(uuid_send(gen_random_uuid()), '') FROM generate_series(1, 200))"
    postgres_ponies.execute("ALTER TABLE ponies_pony ADD portrait bytea")
    postgres_ponies.execute(f"UPDATE ponies_pony SET portrait = {noise}")
    before = snapshot()

    run = merge(ONE_NAME).id

    cut_up = "SELECT relname, pg_relation_size(reltoastrelid) > 0 FROM pg_class WHERE relname IN (%s, %s)"
    assert dict(postgres_ponies.execute(cut_up, ("ponies_pony", QUARANTINE))) == {
        "ponies_pony": True,
        QUARANTINE: False,
    }
    assert undo_run(run, apps=apps, using="default").refused == ()
    assert snapshot() == before


def test_what_was_kept_in_a_table_that_is_gone_is_not_passed_over(ponies: Database) -> None:
    twins()
    run = merge(ONE_NAME).id
    ponies.execute(f"DROP TABLE {QUARANTINE}")

    with pytest.raises(SideTableGone, match=QUARANTINE) as undo:
        undo_run(run, apps=apps, using="default")
    with pytest.raises(SideTableGone, match=QUARANTINE):
        where_is(2, apps=apps, using="default", table="ponies_pony")

    _, _, forget = str(undo.value).partition("with all that it kept: ")
    ponies.execute(forget)
    assert where_is(2, apps=apps, using="default", table="ponies_pony")[0].now.place == "nowhere"


@pytest.mark.parametrize("damage", [f"DROP TABLE {QUARANTINE}", f"ALTER TABLE {QUARANTINE} DROP COLUMN foaled"])
def test_a_run_gets_another_quarantine_where_the_last_one_is_not_whole(ponies: Database, damage: str) -> None:
    twins()
    merge(ONE_NAME)
    ponies.execute(damage)
    another_twin()

    merge(ONE_NAME)

    assert column("integrity_quarantine_ponies_pony_2", "id") == [3]


def test_a_table_of_changes_that_is_gone_is_made_again(ponies: Database) -> None:
    twins()
    SecretNote.objects.create(pony_id=2, text="hers")
    merge(ONE_NAME)
    ponies.execute(f"DROP TABLE {SideTable.objects.get(kind='changes', table='ponies_secretnote').name}")
    another_twin()
    SecretNote.objects.create(pony_id=3, text="the third's")

    assert merge(ONE_NAME).repointed == 1


def test_runs_are_listed_where_the_tables_of_a_plan_are_gone(
    ponies: Database, call: Callable[..., CommandResult]
) -> None:
    twins()
    run = merge(ONE_NAME)
    waiting = make_plan(ONE_NAME, apps=apps, using="default")
    for plan in (run.plan, waiting.id):
        ponies.execute(f"DROP TABLE integrity_plan_{plan}_refusals")

    (listed,) = list_runs(apps=apps, using="default")
    with pytest.raises(UnknownPlan, match="Make a new plan"):
        apply_plan(waiting.id, ONE_NAME, apps=apps, using="default")

    assert listed.note == f"the side tables of plan {run.plan} are gone, and with them which groups were refused"
    assert "Make a new plan" in call("dedupe", "--show", str(waiting.id)).err
    assert undo_run(run.id, apps=apps, using="default").restored == 1


def test_books_from_an_older_backup_do_not_stumble_over_what_was_made_after_it(ponies: Database) -> None:
    twins()
    run = merge(ONE_NAME)
    undo_run(run.id, apps=apps, using="default")
    ponies.execute("DELETE FROM integrity_side_table")
    ponies.execute("DELETE FROM integrity_run")
    DedupePlan.objects.all().delete()
    if ponies.vendor == "postgresql":
        ponies.execute(f"ALTER TABLE integrity_plan ALTER COLUMN id RESTART WITH {run.plan}")
    else:
        ponies.execute(f"UPDATE sqlite_sequence SET seq = {run.plan - 1} WHERE name = 'integrity_plan'")

    again = merge(ONE_NAME)

    assert (again.plan, again.removed) == (run.plan, 1)
    assert column("integrity_quarantine_ponies_pony_2", "id") == [2]
