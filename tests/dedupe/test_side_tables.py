"""The side tables of plans and runs in a database that is replicated, or was restored without some of them."""

from __future__ import annotations

from datetime import timedelta

from django.apps import apps

from integrity.dedupe import (
    apply_plan,
    make_plan,
    purge_quarantine,
    revise_plan,
    undo_run,
)
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, merge, twins
from tests.ponies.models import Bridle, Pony, SecretNote
from tests.snapshots import snapshot


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
