"""Is there a guard of an addition that nobody has brought to its end?"""

from __future__ import annotations

from collections.abc import Iterator

from integrity.audits.context import AuditContext
from integrity.audits.finding import Finding, Level
from integrity.audits.registry import register
from integrity.audits.words import shown
from integrity.backends.names import GUARD


@register("additions", "integrity.A070")
def additions(context: AuditContext) -> Iterator[Finding]:
    """Which additions of a constraint are under way, or were cut short?"""
    for table in context.tables:
        for trigger in context.catalogue.triggers(table):
            if trigger.startswith(GUARD):
                yield _unfinished(table, trigger)


def _unfinished(table: str, guard: str) -> Finding:
    return Finding(
        id="integrity.A070",
        level=Level.WARNING,
        message=f"The trigger {guard} refuses duplicates until a constraint is there, and its addition has not ended: "
        "every write pays for it.",
        hint="Look whether the addition is still at work. If not, run again what began it (migrate or add_unique), "
        f'which goes on from there; or take the guard away: DROP FUNCTION "{guard}"() CASCADE; '
        f'DROP TABLE IF EXISTS "{guard}", "{guard}_members";',
        object=shown(table),
        details={"trigger": guard},
    )
