"""A run that is to spare its replicas waits for a real one that has fallen behind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.apps import apps
from django.core.management import call_command
from pytest_django import DjangoDbBlocker

from integrity.backends.replication import get_replicas
from integrity.dedupe import apply_plan, make_plan
from integrity.dedupe.progress import Progress
from integrity.dedupe.throttle import Pace
from tests.databases import as_default
from tests.ponies.models import Pony
from tests.ponies.tables import make_tables
from tests.races.conftest import NAMES, make_pairs
from tests.races.replicated import replicated
from tests.waiting import eventually

BEHIND = timedelta(milliseconds=300)


@pytest.mark.slow
@pytest.mark.postgres
def test_no_batch_begins_while_a_replica_is_behind(django_db_blocker: DjangoDbBlocker) -> None:
    left: list[int] = []
    with django_db_blocker.unblock(), replicated() as pair, as_default(pair.primary):
        call_command("migrate", verbosity=0, interactive=False)
        make_tables()
        make_pairs()
        plan = make_plan(NAMES, apps=apps, using="default")
        pair.stop_replaying()
        Pony.all_objects.create(pk=7, name="written since")
        eventually(lambda: get_replicas(using="default").lag() > BEHIND)

        def catch_up(progress: Progress) -> None:
            if progress.step.startswith("waiting for replicas"):
                left.append(Pony.all_objects.count())
                pair.go_on_replaying()

        run = apply_plan(plan.id, NAMES, apps=apps, using="default", pace=Pace(max_lag=BEHIND), report=catch_up)

        assert set(left) == {7}
        assert (run.removed, run.state, Pony.all_objects.count()) == (3, "finished", 4)
