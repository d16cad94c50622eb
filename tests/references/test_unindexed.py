"""What a plan says of references that no index finds, and what is built for them."""

from __future__ import annotations

import pytest
from django.apps import apps

from integrity.backends.postgresql.session import PoolerInTheWay
from integrity.dedupe import DedupeRule, ReferenceSummary, SoftReference, build_indexes, make_plan, summarize_plan
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, twins
from tests.ponies.models import Remark


def reference(plan: int, table: str) -> ReferenceSummary:
    summary = summarize_plan(plan, apps=apps, using="default")
    return next(reference for reference in summary.references if reference.table == table)


def build(plan: int) -> list[str]:
    """Build what the plan lacks, and return what was said about it."""
    said: list[str] = []
    build_indexes(plan, apps=apps, using="default", say=said.append)
    return said


def test_a_column_with_references_to_several_models_lacks_one_index(ponies: Database) -> None:
    _, second = twins()
    Remark.objects.create(about=second)
    plan = make_plan(ONE_NAME, apps=apps, using="default").id

    before, said = reference(plan, "ponies_remark"), build(plan)

    assert before.unindexed == ("about_id",)
    assert [line for line in said if "ponies_remark" in line] == [
        "building index integrity_ponies_remark_about_id on ponies_remark"
    ]
    assert reference(plan, "ponies_remark").indexed


def test_behind_a_pooler_nothing_is_built(postgres_ponies: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    _, second = twins()
    Remark.objects.create(about=second)
    plan = make_plan(ONE_NAME, apps=apps, using="default").id
    monkeypatch.setattr("integrity.backends.postgresql.session.is_direct", lambda _: False)

    with pytest.raises(PoolerInTheWay, match="Connect to PostgreSQL directly"):
        build(plan)

    assert not reference(plan, "ponies_remark").indexed


def test_no_index_is_promised_for_ids_inside_a_document(ponies: Database) -> None:
    twins()
    members = "text" if ponies.vendor == "sqlite" else "jsonb"
    ponies.execute(f"CREATE TABLE herd (id int PRIMARY KEY, members {members})")
    ponies.execute("INSERT INTO herd VALUES (1, '[2]')")
    soft = SoftReference(source="herd", field="members", inside="json")
    rule = DedupeRule(model="ponies.Pony", fields=("name",), soft_references=(soft,))
    plan = make_plan(rule, apps=apps, using="default").id

    said = build(plan)

    found = reference(plan, "herd")
    assert (found.indexed, found.unindexed, found.rows is None) == (False, (), False)
    assert not [line for line in said if "herd" in line]
