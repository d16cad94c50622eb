"""A unique reference of a table to itself whose check cannot be put off: no order of statements leads there."""

from __future__ import annotations

from collections.abc import Callable

from integrity.models import DedupeRun
from tests.commands import CommandResult
from tests.databases import Database
from tests.ponies.models import Pony
from tests.snapshots import snapshot

UNDEFER = 'ALTER TABLE ponies_pony ALTER CONSTRAINT "{}" NOT DEFERRABLE'
OWN_KEYS = "SELECT conname FROM pg_constraint WHERE conrelid = 'ponies_pony'::regclass AND confrelid = conrelid"


def test_the_plan_tells_it_beforehand_and_the_group_is_left_as_it_is(
    postgres_ponies: Database, call: Callable[..., CommandResult]
) -> None:
    for (name,) in postgres_ponies.execute(OWN_KEYS):
        postgres_ponies.execute(UNDEFER.format(name))
    for pk, name, friend in ((1, "Misty", None), (2, "Misty", None), (3, "Star", 2), (4, "Star", 1)):
        Pony.all_objects.create(pk=pk, name=name, code=str(pk), friend_id=friend)
    before = snapshot()

    preview = call("dedupe", "ponies.Pony", "--key", "name")
    result = call("dedupe", "ponies.Pony", "--key", "name", "--apply", "--no-input")

    assert result.code == 1
    for said in (preview.out, result.out):
        assert "would get the friend_id of one that goes, which cannot go before" in " ".join(said.split())
    run = DedupeRun.objects.get()
    assert run.state == "finished"
    assert snapshot() == before
    assert call("undo_dedupe", "--no-input", str(run.pk)).code == 0
    assert snapshot() == before
