"""Merging duplicates with their references against the tools that merge object by object.

Claim: at least a hundred times as fast as django-extensions' ``merge_model_instances`` (20,200 rows, 200 duplicates)
and as django-super-deduper (10,000 rows that reference the redundant one), quarantine included.

    python -m benchmarks.bench_merging [rows] [children]

django-super-deduper is no requirement of ours: ``pip install django-super-deduper==0.1.4``, or its part is left out.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from unittest.mock import patch
from uuid import UUID

from django.apps import apps
from django.core.management import call_command
from django.db import connection

from benchmarks.scratch import postgresql, seconds
from integrity.dedupe import DedupeRule, apply_plan, make_plan
from integrity.models import Embedding, WorkflowExecution
from tests.ponies.tables import make_tables

WORKFLOWS = DedupeRule(model="integrity.WorkflowExecution", fields=("workflow_id",))
EMBEDDINGS = DedupeRule(model="integrity.Embedding", fields=("invocation_id", "embedding_model"))


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def ours(rule: DedupeRule, *, redundant: int) -> None:
    """Plan and apply."""
    plan = make_plan(rule, apps=apps, using="default")
    run = apply_plan(plan.id, rule, apps=apps, using="default")
    if not run.clean or run.removed != redundant:
        raise SystemExit(f"not clean: {run}")


def make_workflows(rows: int) -> None:
    """Fill the table, one row in a hundred redundant, without an index on the key."""
    execute(
        "TRUNCATE workflow_executions",
        "DROP INDEX IF EXISTS ix_workflow_executions_workflow_id",
        f"""
        INSERT INTO workflow_executions (id, workflow_id, workflow_type, entity_type, entity_id, status, created_at)
        SELECT gen_random_uuid(), 'workflow ' || g % {rows - rows // 101}, 't', 'e', gen_random_uuid(), 'pending', now()
        FROM generate_series(1, {rows}) AS g
        """,
        "ANALYZE workflow_executions",
    )


def by_extensions() -> None:
    """Answer the command's questions: the model, its field, keep the first."""
    models = list(apps.get_models())
    fields = [field.name for field in WorkflowExecution._meta.get_fields()]
    answers = iter(
        [str(models.index(WorkflowExecution) + 1), str(fields.index("workflow_id") + 1), "C", "first"],
    )
    with patch.object(builtins, "input", lambda _: next(answers)), redirect_stdout(StringIO()):
        call_command("merge_model_instances", stdout=StringIO())


def make_children(count: int) -> tuple[Embedding, Embedding]:
    """Make two embeddings of one key, the second referenced by ``count`` clusters."""
    run, invocation, result = (UUID(int=n) for n in (1, 2, 3))
    execute(
        "TRUNCATE run, invocation, embedding, clusteringresult, cluster CASCADE",
        f"INSERT INTO run (id, network, seed, max_length, initial_prompt) VALUES ('{run}', '[]', 1, 1, 'x')",
        "INSERT INTO invocation (id, model, type, seed, run_id, sequence_number) "
        f"VALUES ('{invocation}', 'm', 'TEXT', 1, '{run}', 0)",
        *(
            "INSERT INTO embedding (id, invocation_id, embedding_model, started_at) "
            f"VALUES ('{UUID(int=n)}', '{invocation}', 'nomic', timestamp '2026-01-01' + interval '{n} s')"
            for n in (10, 11)
        ),
        "INSERT INTO clusteringresult (id, embedding_model, algorithm, parameters, created_at) "
        f"VALUES ('{result}', 'nomic', 'hdbscan', '{{}}', now())",
        "INSERT INTO cluster (id, clustering_result_id, cluster_id, size, properties, medoid_embedding_id) "
        f"SELECT gen_random_uuid(), '{result}', g, 1, '{{}}', '{UUID(int=11)}' FROM generate_series(1, {count}) AS g",
        "ANALYZE",
    )
    first, second = Embedding.objects.order_by("started_at")
    return first, second


def by_super_deduper(first: Embedding, second: Embedding) -> None:
    from django_super_deduper.merge import MergedModelInstance

    MergedModelInstance.create(first, [second], keep_old=False)


@contextmanager
def before_the_constraints() -> Iterator[None]:
    with postgresql():
        make_tables()  # the other tool reads every model
        call_command("migrate", "integrity", "0001", verbosity=0)
        yield


def main(rows: int, children: int) -> None:
    """Print both comparisons."""
    with before_the_constraints():
        make_workflows(rows)
        mine = seconds(lambda: ours(WORKFLOWS, redundant=rows // 101))
        make_workflows(rows)
        theirs = seconds(by_extensions)
    print(f"{rows:,} rows, {rows // 101} redundant: ours {mine:.2f} s, django-extensions {theirs:.2f} s")
    print(f"  ratio          {theirs / mine:.0f} (django-extensions / ours)")
    with before_the_constraints():
        make_children(children)
        mine = seconds(lambda: ours(EMBEDDINGS, redundant=1))
        pair = make_children(children)
        try:
            theirs = seconds(lambda: by_super_deduper(*pair))
        except ImportError:
            print("django-super-deduper is not installed: its part is left out")
            return
    print(f"{children:,} references to one redundant row: ours {mine:.2f} s, django-super-deduper {theirs:.2f} s")
    print(f"  ratio          {theirs / mine:.0f} (django-super-deduper / ours)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_020, int(sys.argv[2]) if len(sys.argv) > 2 else 1_000)
