"""Refusals: groups that are left as they are, each with its reason, beside the plan that they belong to."""

from __future__ import annotations

from integrity.backends import get_rows
from integrity.backends.sql import SQL, compose, joined
from integrity.backends.statements import Query
from integrity.dedupe.results import Refusal
from integrity.dedupe.stages import Stage

EXCLUDED = "excluded"
TIED = "tied"
"""Words for groups that a person left out of a plan, and those that cannot be treated without them."""

BY_DATABASE = "the database refuses it: "
"""What stands before the database's own words."""

REASONS = {
    EXCLUDED: "excluded by hand",
    TIED: "tied to a group that was excluded by hand: some row refers to both",
    "busy": "a row was locked by another transaction; run again",
    "changed": "a row was changed after the plan was made; run again to plan anew",
    "gone": "a row was deleted after the plan was made; run again to plan anew",
    "keyless": "a row has no primary key (it is NULL), so that it cannot be told from others; give it one",
    "joined": "a row with the same key was added after the plan was made; run again to plan anew",
    "referenced": "a row was made to reference a redundant row after the plan was made; run again to plan anew",
}
"""Reasons, by the word that is stored."""

PASSING = frozenset(REASONS[word] for word in ("busy", "changed", "gone", "joined", "referenced"))
"""Those that come from others who write at the same time: another plan may meet no such thing."""

_NONE_YET = SQL(
    "SELECT CAST(NULL AS bigint) AS unit, CAST(NULL AS bigint) AS grp, CAST(NULL AS text) AS reason WHERE 1 = 0"
)


def refusals_of(root: Stage) -> str:
    """The name of a plan's table of refusals."""
    return f"{root.name}_refusals"


def make_refusals(root: Stage, *, using: str) -> str:
    """Create a plan's table of refusals, empty, and return its name."""
    name = refusals_of(root)
    rows = get_rows(using=using)
    rows.create_as(name, Query(sql=_NONE_YET))
    rows.execute(compose("CREATE INDEX {index} ON {name} (unit)", index=f"{name}_u", name=name))
    return name


def refusal_summary(root: Stage, *, using: str) -> tuple[Refusal, ...]:
    """Each reason with its number of groups and the primary key of one row, most frequent first.

    A group that is left as it is only because it is tied to a refused one counts under the reason of that one.
    """
    key = joined(" || ', ' || ", (f"CAST(r.{p} AS text)" for p in root.p))
    # The plus takes the column's affinity away: SQLite would not use the stage's index, whose unit has none.
    found = get_rows(using=using).fetch(
        compose(
            """
            SELECT f.reason, COUNT(DISTINCT COALESCE(r.grp, f.grp)), MIN({key})
            FROM {refusals} AS f LEFT JOIN {root} AS r ON r.unit = +f.unit AND (r.pos = 1 OR r.unit > r.grp) AND (
                r.grp = f.grp OR NOT EXISTS (SELECT 1 FROM {refusals} AS o WHERE o.unit = r.unit AND o.grp = r.grp)
            )
            GROUP BY f.reason ORDER BY 2 DESC, 1
            """,
            key=key,
            refusals=refusals_of(root),
            root=root.name,
        )
    )
    return tuple(
        Refusal(reason=REASONS.get(reason, reason), groups=int(groups), example=str(example or ""))
        for reason, groups, example in found
    )
