"""How the books of plans and runs, and one group of a plan, read on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from integrity.dedupe import Group, PlanEntry, PlanSummary, RunSummary
from integrity.dedupe.advice import command_for
from integrity.management.report import plural, table

_WIDTH: Final = 16
"""How many characters wide a row's values should have, where a terminal shows several side by side."""


def print_books(console: Console, plans: Sequence[PlanEntry], runs: Sequence[RunSummary]) -> None:
    """List plans and runs, newest first."""
    if not plans and not runs:
        console.print("No plan and no run yet.")
    if plans:
        shown = table("plan", "rule", "state", "groups", "redundant", "made", "digest", counts=(3, 4))
        for plan in plans:
            made = f"{plan.created_at:%Y-%m-%d %H:%M}"
            row = (str(plan.id), plan.rule, plan.state, f"{plan.groups:,}", f"{plan.redundant:,}", made)
            shown.add_row(*row, plan.digest[:12])
        console.print(shown)
    if runs:
        shown = table("run", "plan", "rule", "state", "removed", "moved", "collided", "", counts=(4, 5, 6))
        for run in runs:
            counts = (f"{run.removed:,}", f"{run.repointed:,}", f"{run.collisions:,}")
            shown.add_row(str(run.id), str(run.plan), run.rule, run.state, *counts, run.note)
        console.print(shown)


def print_group(console: Console, group: Group, *, plan: PlanSummary, number: int) -> None:
    """Show the rows of a group side by side, columns that differ marked with ``*``.

    The survivor comes first, beside as many others at once as the terminal is wide for.
    """
    key = ", ".join(group.key)
    console.print(f"Group {number} of plan {plan.id}: {plural(group.size, 'row')} of {group.table} with one ({key}).")
    if group.refused:
        console.print(f"The plan leaves it as it is: {group.refused}.\n")
    elif group.members:
        console.print(f"Row {group.members[0].pk} stays: {group.reason}.\n")
    survivor, others = range(len(group.members))[:1], range(1, len(group.members))
    at_once = max(1, console.width // _WIDTH - 1)
    for start in range(0, max(1, len(others)), at_once):
        console.print(_side_by_side(group, [*survivor, *others[start : start + at_once]]))
    for fill in group.fills:
        old, new = ("NULL" if value is None else value for value in (fill.old, fill.new))
        console.print(f"The plan fills {fill.column} of the row that stays: {old} becomes {new}.")
    applied = plan.state != "planned"
    then = "" if applied else ": the group will be refused"
    for member in group.members:
        if member.changed:
            console.print(f"Row {member.pk} was changed after the plan was made{then}.")
    for pk in group.gone:
        console.print(f"Row {pk} is not there any more{then}.")
    if group.gone and applied:
        console.print(f"Where each of them went: {command_for('where_is ID', using=group.database)}")
    if hidden := group.size - len(group.members) - len(group.gone):
        console.print(f"{plural(hidden, 'more row')} not shown.")


def _side_by_side(group: Group, places: Sequence[int]) -> Table:
    """Some members of a group in columns."""
    members = [group.members[place] for place in places]
    shown = table("", *(member.kind for member in members), counts=())
    for n, name in enumerate(group.columns):
        mark = "*" if name in group.differing else " "
        shown.add_row(f"{mark} {name}", *("NULL" if m.values[n] is None else m.values[n] for m in members))
    if any(member.distance is not None for member in members):
        distances = ("" if m.distance is None else f"{m.distance:.6f}" for m in members)
        shown.add_row("  distance", *distances)
    for reference in group.references:
        counts = ("?" if reference.counts is None else str(reference.counts[place]) for place in places)
        shown.add_row(f"  referenced by {reference.table} ({', '.join(reference.columns)})", *counts)
    return shown
