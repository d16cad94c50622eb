"""Purging what old runs have kept, and finding rows afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection
from django.db.models.functions import Now

from integrity.dedupe import (
    DedupeRule,
    OrderByFields,
    Purged,
    PurgeSummary,
    make_plan,
    purge_quarantine,
    undo_run,
    where_is,
)
from integrity.dedupe.progress import Progress
from integrity.models import DedupePlan, DedupeRun, Embedding, SideTable
from integrity.rules.embeddings import EMBEDDINGS
from tests.commands import CommandResult
from tests.databases import Database
from tests.ponies.merging import merge, rows_of, twins
from tests.ponies.models import Pony, SecretNote
from tests.snapshots import snapshot

BY_NAME = DedupeRule(model="ponies.Pony", fields=("name",))
NEWEST = DedupeRule(model="ponies.Pony", fields=("name",), keep=(OrderByFields(("-id",)),))
IN_ONE_BATCH = "integrity.dedupe.undo._UNITS_PER_BATCH"


def purge(older_than: timedelta = timedelta(0), **options: object) -> PurgeSummary:
    return purge_quarantine(older_than=older_than, apps=apps, using="default", **options)  # type: ignore[arg-type]


def trail(id: object, table: str = "ponies_pony") -> list[tuple[str, str, int]]:
    (found,) = where_is(id, apps=apps, using="default", table=table)
    return [(step.pk, step.place, step.run) for step in found.steps]


def kept() -> int:
    return sum(len(rows_of(side.name)) for side in SideTable.objects.exclude(kind="redirect"))


def test_a_purge_deletes_what_was_kept_and_leaves_the_way_to_the_survivor(ponies: Database) -> None:
    twins()
    SecretNote.objects.create(pony_id=2, text="hers")
    run = merge(BY_NAME)
    before = snapshot()

    found = purge()

    assert (found.runs, found.rows, found.changes) == ((run.id,), 1, 1)
    assert kept() == 0
    assert snapshot() == before
    assert trail(2) == [("2", "purged", run.id), ("1", "table", 0)]
    assert not [name for name in rows_of("integrity_redirect_ponies_pony")[0] if name in ("name", "code")]


def test_the_plan_of_a_purged_run_keeps_no_keys(ponies: Database) -> None:
    twins()
    run = merge(BY_NAME)

    purge()

    assert DedupePlan.objects.get(pk=run.plan).state == "purged"
    with pytest.raises(Exception, match="integrity_plan"):
        rows_of(f"integrity_plan_{run.plan}")


def test_plans_that_have_expired_go_with_a_purge_and_not_with_its_dry_run(ponies: Database) -> None:
    twins()
    plan = make_plan(BY_NAME, apps=apps, using="default")
    DedupePlan.objects.update(expires_at=Now() - timedelta(seconds=1))

    purge(dry_run=True)
    before = (DedupePlan.objects.get().state, len(rows_of(f"integrity_plan_{plan.id}")))
    purge()

    assert before == ("planned", 2)
    assert not DedupePlan.objects.filter(state="planned").exists()
    with pytest.raises(Exception, match="integrity_plan"):
        rows_of(f"integrity_plan_{plan.id}")


def test_a_purge_takes_away_what_a_killed_undo_of_the_run_left_and_of_no_other(ponies: Database) -> None:
    twins()
    run = merge(BY_NAME)
    mine, another = f"integrity_undo_{run.id}_0a0b0c0d", f"integrity_undo_{run.id}1_0a0b0c0d"
    for name in (mine, another):
        ponies.execute(f"CREATE TABLE {name} (unit bigint, grp bigint, reason text)")

    purge()

    assert {mine, another} & set(connection.introspection.table_names()) == {another}


def test_a_rule_or_table_that_no_run_can_be_of_is_told_with_those_that_there_are(
    ponies: Database, call: Callable[..., CommandResult]
) -> None:
    twins()
    merge(BY_NAME)
    command = ("purge_quarantine", "--older-than", "0d", "--dry-run")

    rule, table = call(*command, "--rule", "typo"), call(*command, "--table", "typo")
    not_yet = [call(*command, "--rule", "embeddings"), call(*command, "--table", "embedding")]

    assert (rule.code, table.code) == (2, 2)
    assert "'typo'" in rule.err
    assert BY_NAME.name in rule.err
    assert "Tables of runs: ponies_pony." in table.err
    assert [found.code for found in not_yet] == [0, 0]


def test_a_purged_run_cannot_be_undone_and_says_so(ponies: Database, call: Callable[..., CommandResult]) -> None:
    twins()
    run = merge(BY_NAME)
    purge()

    with pytest.raises(Purged, match="gone for good"):
        undo_run(run.id, apps=apps, using="default")
    assert "purged on" in call("dedupe", "--list").out
    assert call("undo_dedupe", "--list").code == 0


def test_runs_that_are_younger_or_of_others_are_left_alone(ponies: Database) -> None:
    twins()
    merge(BY_NAME)

    assert purge(timedelta(days=30)).runs == ()
    assert purge(rule="another").runs == ()
    assert purge(table="another").runs == ()
    assert kept() == 1


def two_pairs_long_ago() -> int:
    """Merge two pairs; return the run, at which nobody has worked for two months."""
    Pony.all_objects.bulk_create(Pony(pk=n, name=f"pair {(n + 1) // 2}") for n in range(1, 5))
    run = merge(BY_NAME)
    DedupeRun.objects.update(updated_at=Now() - timedelta(days=60))
    return run.id


def test_what_an_undo_under_way_has_yet_to_bring_back_is_not_old(
    ponies: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = two_pairs_long_ago()
    found: list[PurgeSummary] = []
    monkeypatch.setattr(IN_ONE_BATCH, 1)

    def purge_what_is_old(progress: Progress) -> None:
        if progress.done == 1:
            found.append(purge(timedelta(days=30)))

    undone = undo_run(number, apps=apps, using="default", groups=(1, 2), report=purge_what_is_old)

    assert [summary.runs for summary in found] == [()]
    assert (undone.state, undone.restored, Pony.all_objects.count()) == ("undone", 2, 4)


def test_an_undo_that_begins_before_a_purge_comes_to_the_run_keeps_it_from_being_purged(ponies: Database) -> None:
    number = two_pairs_long_ago()

    def undo_one_group(progress: Progress) -> None:
        undo_run(number, apps=apps, using="default", groups=(1,))

    found = purge(timedelta(days=30), report=undo_one_group)

    assert (found.rows, kept()) == (0, 1)
    assert undo_run(number, apps=apps, using="default").state == "undone"


def test_an_undo_is_told_when_everything_is_purged_meanwhile(ponies: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    number = two_pairs_long_ago()
    monkeypatch.setattr(IN_ONE_BATCH, 1)

    def purge_all(progress: Progress) -> None:
        if progress.done == 1:
            purge()

    with pytest.raises(Purged, match="gone for good"):
        undo_run(number, apps=apps, using="default", groups=(1, 2), report=purge_all)

    assert (DedupeRun.objects.get().state, Pony.all_objects.count()) == ("partially undone", 3)


def test_runs_that_are_not_at_their_end_are_named_and_left_alone(ponies: Database) -> None:
    twins()
    run = merge(BY_NAME)
    DedupeRun.objects.update(state="paused")

    found = purge()

    assert (found.runs, found.unfinished, kept()) == ((), (run.id,), 1)


def test_a_dry_run_counts_and_changes_nothing(ponies: Database) -> None:
    twins()
    merge(BY_NAME)
    before = snapshot(own_books=True)

    found = purge(dry_run=True)

    assert (found.rows, snapshot(own_books=True)) == (1, before)


def test_a_second_purge_has_nothing_to_do(ponies: Database) -> None:
    twins()
    merge(BY_NAME)
    purge()

    assert purge().runs == ()


@pytest.mark.slow
@pytest.mark.parametrize("purged", [(), (1,), (2,), (1, 2), (2, 1)])
def test_a_chain_of_removals_leads_to_the_last_survivor(ponies: Database, purged: tuple[int, ...]) -> None:
    first, _ = twins()
    Pony.all_objects.create(pk=3, name="Other", foaled=7, code="m3")
    merge(BY_NAME)
    Pony.all_objects.filter(pk=first.pk).update(foaled=7)
    merge(DedupeRule(model="ponies.Pony", fields=("foaled",), keep=(OrderByFields(("-id",)),), name="by age"))

    for number in purged:
        purge(rule={1: BY_NAME.name, 2: "by age"}[number])

    places = [step[1] for step in trail(2)]
    assert trail(2)[-1] == ("3", "table", 0)
    assert trail(1)[-1] == ("3", "table", 0)
    assert places[0] == ("purged" if 1 in purged else "quarantine")
    assert len(places) == (2 if set(purged) == {1, 2} else 3), "two purged steps are one"


@pytest.mark.parametrize("place", ["quarantine", "purged"])
def test_an_id_that_is_in_use_again_tells_of_both_rows(ponies: Database, place: str) -> None:
    twins()
    merge(BY_NAME)
    if place == "purged":
        purge()

    Pony.all_objects.create(pk=2, name="Dusty", code="new")

    of_new, of_old = where_is(2, apps=apps, using="default")
    assert [(step.pk, step.place) for step in of_new.steps] == [("2", "table")]
    assert [(step.pk, step.place) for step in of_old.steps] == [("2", place), ("1", "table")]


def test_a_row_that_has_the_id_of_a_removed_one_can_stand_for_others(ponies: Database) -> None:
    twins()
    merge(BY_NAME)
    purge()
    Pony.all_objects.create(pk=2, name="Misty", code="new")

    run = merge(NEWEST)

    assert trail(1) == [("1", "quarantine", run.id), ("2", "table", 0)]
    purge()
    assert trail(1) == [("1", "purged", run.id), ("2", "table", 0)]
    Pony.all_objects.all().delete()
    assert trail(2)[-1][1] == "nowhere"


def test_a_uuid_is_found_with_dashes_and_without(dirty: Database) -> None:
    merge(EMBEDDINGS)
    removed = next(iter(rows_of("integrity_quarantine_embedding_1")))["id"]
    digits = str(removed).replace("-", "")
    dashed = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    for spelling in (digits, dashed, dashed.upper()):
        (found,) = where_is(spelling, apps=apps, using="default")
        assert [step.place for step in found.steps] == ["quarantine", "table"]
        assert Embedding.objects.filter(pk=found.now.pk).exists()


@pytest.mark.parametrize("id", ["7", "x", "", "99999999999999999999999", "a,b"])
def test_an_id_of_nothing_is_nowhere(ponies: Database, id: str) -> None:
    twins()
    merge(BY_NAME)

    assert [place for _, place, _ in trail(id)] == ["nowhere"]
    assert where_is(id, apps=apps, using="default") == ()


def test_the_commands_say_all_that(ponies: Database, call: Callable[..., CommandResult]) -> None:
    twins()
    merge(BY_NAME)

    assert "in quarantine since run" in call("where_is", "2").out
    assert "would be deleted" in call("purge_quarantine", "--older-than", "0d", "--dry-run").out
    assert "Nothing is that old" in call("purge_quarantine", "--older-than", "30d").out
    assert call("purge_quarantine", "--older-than", "0d").code == 2, "nobody says yes"
    assert "1 removed row" in call("purge_quarantine", "--older-than", "0d", input="y\n").out
    assert "purged" in call("where_is", "2", "--model", "ponies.Pony").out
    assert call("where_is", "7").code == 1
    assert call("where_is", "7", "--table", "nowhere").code == 2
    assert call("where_is", "7", "--model", "ponies.Griffin").code == 2
    assert call("purge_quarantine", "--older-than", "soon").code == 2
    assert call("purge_quarantine").code == 2
