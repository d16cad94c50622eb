"""Are there rows that share a key?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from integrity.audits.context import AuditContext
from integrity.audits.finding import Finding, Level
from integrity.audits.registry import register
from integrity.audits.words import counted, key_in_words, shown
from integrity.dedupe.advice import command_for
from integrity.dedupe.finder import count_groups
from integrity.dedupe.target import Target


@register("duplicates", "integrity.A001")
def duplicates(context: AuditContext) -> Iterator[Finding]:
    """Which tables hold more than one row for a key of a rule?"""
    for target in context.targets:
        found = count_groups(target)
        if found.groups:
            yield Finding(
                id="integrity.A001",
                level=Level.ERROR,
                message=f"{counted(found.groups, 'duplicate group')} of ({key_in_words(target)}) with "
                f"{counted(found.redundant, 'redundant row')}.",
                hint=_hint(target),
                object=shown(target.table),
                details={"rule": target.rule.name, "groups": found.groups, "redundant": found.redundant},
            )


def _hint(target: Target) -> str:
    command = command_for(f"dedupe {shlex.quote(target.rule.name)}", using=target.using)
    return f"Preview what would be removed: {command}"
