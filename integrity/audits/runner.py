"""Run audits. Each has a read-only transaction of its own: the database itself refuses any change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.apps.registry import Apps

from integrity.audits.context import AuditContext
from integrity.audits.finding import Finding
from integrity.audits.registry import Audit, registered_audits
from integrity.dedupe.advice import command_for
from integrity.dedupe.progress import Progress, Report, silent
from integrity.exceptions import IntegrityAppError


class NothingToAudit(IntegrityAppError):
    """None of the tables is there: a wrong database must not pass for a clean one."""


def run_audits(*, apps: Apps, using: str, tags: Sequence[str] = (), report: Report = silent) -> tuple[Finding, ...]:
    """Run the audits with these tags, or all, and return what they find, in the order of their ids.

    It needs none of our tables in the database, and creates nothing there.

    Raises:
        UnknownTag: there is no audit with one of the tags.
        NothingToAudit: the database has none of the tables.
        UnsupportedDatabase: the alias is neither PostgreSQL nor SQLite.
    """
    audits = registered_audits(tags=tags)
    context = AuditContext(apps=apps, using=using)
    _require_tables(context)
    findings: list[Finding] = []
    for done, audit in enumerate(audits):
        report(Progress(step=f"audit {audit.tag}", done=done, total=len(audits)))
        findings += _run(audit, context)
    return tuple(sorted(findings, key=lambda finding: (finding.id, finding.object)))


def _run(audit: Audit, context: AuditContext) -> list[Finding]:
    with context.queries.read_only():
        return [replace(finding, tag=audit.tag) for finding in audit.function(context)]


def _require_tables(context: AuditContext) -> None:
    if not context.models:
        raise NothingToAudit("There is nothing to audit: name systems in INTEGRITY_SYSTEMS, or register a rule.")
    if not context.present:
        raise NothingToAudit(
            f"Database {context.using!r} has none of the tables to audit, such as "
            f"{context.models[0]._meta.db_table!r}. "
            f"Check that it is the right database; `{command_for('migrate', using=context.using)}` makes the tables."
        )
