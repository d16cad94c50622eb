"""Indexes that referencing columns lack: built before a plan is applied, so that no batch reads a whole table."""

from __future__ import annotations

from dataclasses import replace

from django.apps.registry import Apps

from integrity.backends.names import own_name
from integrity.backends.schema import get_schema
from integrity.backends.sql import columns, compose
from integrity.backends.uniqueness import Say
from integrity.dedupe.books import book
from integrity.dedupe.plans import load_plan, stages_of, summarize_plan
from integrity.dedupe.results import PlanSummary
from integrity.dedupe.stages import Stage

_INDEXED = {"indexed": True, "unindexed": [], "rows": None, "reads": None}


def build_indexes(plan_id: int, *, apps: Apps, using: str, say: Say) -> PlanSummary:
    """Build what a plan lacks, concurrently where the database can, and return the plan without that lack.

    Each is named ``integrity_<table>_<columns>`` and stays: a foreign key is looked up whenever its target goes.
    Ids inside arrays and documents are left out. Must not run in a transaction on PostgreSQL.

    Raises:
        UnknownPlan: there is no such plan.
        PartitionedTable: the index would be on a partitioned table; what was built before stays.
    """
    plan = load_plan(plan_id, apps=apps, using=using)
    _, stages = stages_of(plan)
    built = [_build(stage, using=using, say=say) for stage in stages]
    references = [
        counts | (_INDEXED if all(r.indexed for r in stage.references) else {"unindexed": []})
        for counts, stage in zip(plan.document["references"], (s for s in built if not s.fills), strict=True)
    ]
    document = {**plan.document, "stages": [stage.to_json() for stage in built], "references": references}
    book("DedupePlan", apps=apps, using=using).filter(pk=plan_id, digest=plan.digest).update(document=document)
    return summarize_plan(plan_id, apps=apps, using=using)


def _build(stage: Stage, *, using: str, say: Say) -> Stage:
    lacking = [reference for reference in stage.plain if not reference.indexed]
    for names in dict.fromkeys(reference.columns for reference in lacking):
        name = own_name("integrity", stage.table, *names)
        say(f"building index {name} on {stage.table}")
        statement = compose(
            "CREATE INDEX {name} ON {table} ({columns})", name=name, table=stage.table, columns=columns(names)
        )
        get_schema(using=using).create_index(stage.table, name, statement, say=say)
    return replace(stage, references=tuple(replace(r, indexed=True) if r in lacking else r for r in stage.references))
