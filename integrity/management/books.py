"""How the books of plans and runs, and one group of a plan, read on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from integrity.dedupe import Group, PlanEntry, PlanSummary, RunSummary
from integrity.dedupe.advice import command_for
from integrity.management.report import plural, table


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
    """Show the rows of a group side by side, the survivor first; columns that differ are marked with ``*``."""
    key = ", ".join(group.key)
    console.print(f"Group {number} of plan {plan.id}: {plural(group.size, 'row')} of {group.table} with one ({key}).")
    if group.refused:
        console.print(f"The plan leaves it as it is: {group.refused}.\n")
    elif group.members:
        console.print(f"Row {group.members[0].pk} stays: {group.reason}.\n")
    shown = table("", *(member.kind for member in group.members), counts=())
    for n, name in enumerate(group.columns):
        mark = "*" if name in group.differing else " "
        shown.add_row(f"{mark} {name}", *("NULL" if m.values[n] is None else m.values[n] for m in group.members))
    if any(member.distance is not None for member in group.members):
        distances = ("" if m.distance is None else f"{m.distance:.6f}" for m in group.members)
        shown.add_row("  distance", *distances)
    for reference in group.references:
        counts = reference.counts or ("?",) * len(group.members)
        shown.add_row(f"  referenced by {reference.table} ({', '.join(reference.columns)})", *map(str, counts))
    console.print(shown)
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
