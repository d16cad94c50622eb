"""What is done inside a caller's transaction leaves the caller's settings as they were."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connection, transaction

from integrity.dedupe import apply_plan, count_duplicates, make_plan
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, twins

SETTINGS = ("lock_timeout", "enable_seqscan", "random_page_cost", "jit", "work_mem", "enable_hashagg")


def settings() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join("current_setting(%s)" for _ in SETTINGS), SETTINGS)
        return list(cursor.fetchone())


def test_settings_of_a_batch_are_gone_with_it(postgres_ponies: Database) -> None:
    twins()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '200ms'")
        before = settings()

        count_duplicates(ONE_NAME, apps=apps, using="default")
        plan = make_plan(ONE_NAME, apps=apps, using="default")
        run = apply_plan(plan.id, ONE_NAME, apps=apps, using="default")

        assert run.removed == 1
        assert settings() == before
