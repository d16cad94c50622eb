"""What happens to redundant rows that say something else than the survivor: the rule's conflict policy."""

from __future__ import annotations

from integrity.backends import get_rows
from integrity.backends.sql import compose
from integrity.dedupe.rule import IDENTICAL_ONLY, REFUSE
from integrity.dedupe.stages import Stage
from integrity.dedupe.target import Target

DIFFERS = "rows differ from the survivor, and the rule removes identical ones only"


def apply_conflict_policy(target: Target, root: Stage, *, refusals: str) -> None:
    """Let stay what the policy does not let go, and note the groups that are left with duplicates for it."""
    rows = get_rows(using=target.using)
    refuse = "INSERT INTO {refusals} (unit, grp, reason) SELECT DISTINCT unit, grp, %s FROM {root}"
    if target.rule.conflict == REFUSE:
        rows.execute(compose(refuse, refusals=refusals, root=root.name), ("the rule only reports, it removes nothing",))
    if target.rule.conflict == IDENTICAL_ONLY:
        rows.execute(compose("UPDATE {root} SET action = 'stay' WHERE action = 'remove' AND NOT same", root=root.name))
        nothing_goes = " WHERE grp NOT IN (SELECT grp FROM {root} WHERE action = 'remove')"
        rows.execute(compose(refuse + nothing_goes, refusals=refusals, root=root.name), (DIFFERS,))
