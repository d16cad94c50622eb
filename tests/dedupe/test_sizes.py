"""Long chains, wide tables and many refusals: what is asked of the database stays in proportion."""

from __future__ import annotations

from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from integrity.dedupe import undo_run
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, merge
from tests.ponies.models import Pony
from tests.snapshots import snapshot

GENERATIONS = 60


def test_a_chain_of_groups_is_tied_together_in_a_few_passes(ponies: Database) -> None:
    for generation in range(GENERATIONS):  # named so that the order of the names is not that of the chain
        for twin in (1, 2):
            sire = generation * 2 if generation else None
            Pony.all_objects.create(pk=generation * 2 + twin, name=f"{generation * 37 % 61}", sire_id=sire)
    before = snapshot()

    with CaptureQueriesContext(connection) as asked:
        run = merge(ONE_NAME)

    spreading = [query for query in asked if "UPDATE" in query["sql"] and ".least" in query["sql"]]
    assert (run.removed, run.refused) == (GENERATIONS, ())
    assert len(spreading) < GENERATIONS / 4
    assert undo_run(run.id, apps=apps, using="default").refused == ()
    assert snapshot() == before
