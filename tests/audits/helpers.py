"""How the tests of audits speak."""

from __future__ import annotations

from django.apps import apps
from django.db import connection

from integrity.audits import Finding, run_audits
from integrity.models import ExperimentRun, Invocation


def audit(*tags: str) -> tuple[Finding, ...]:
    """Run audits on the default database."""
    return run_audits(apps=apps, using="default", tags=tags)


def ids(findings: tuple[Finding, ...]) -> list[str]:
    """The ids of what was found, without notes on absent tables, and without what they all begin with."""
    return [finding.id.removeprefix("integrity.") for finding in findings if finding.id != "integrity.A060"]


def execute(*statements: str) -> None:
    """Run statements on the default database and commit."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def an_invocation() -> Invocation:
    """An invocation to hang embeddings on."""
    run = ExperimentRun.objects.create(network=["a"], seed=1, max_length=1, initial_prompt="a prompt")
    return Invocation.objects.create(model="a", type="TEXT", seed=1, run=run, sequence_number=0)
