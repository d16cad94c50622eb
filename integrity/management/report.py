"""How plans, runs and undos read on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from integrity.dedupe.advice import command_for
from integrity.dedupe.refusals import PASSING
from integrity.dedupe.results import PlanSummary, ReferenceSummary, Refusal, RunSummary, UndoSummary
from integrity.dedupe.states import RESUMABLE


def plural(count: int, one: str, many: str = "") -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def print_plan(console: Console, plan: PlanSummary) -> None:
    """Show what was found, and what would happen to it and why."""
    key = ", ".join(plan.key)
    console.print(f"Plan {plan.id}: one row for each ({key}) in table {plan.table} of database {plan.database}.")
    console.print(f"Digest {plan.digest}.")
    if plan.state != "planned":
        console.print(f"This plan was {plan.state}.")
    if not plan.groups:
        console.print(_nothing(plan))
        return
    by_hand = f"; in {plural(plan.by_hand, 'group')} chosen by hand" if plan.by_hand else ""
    console.print(f"The survivor of a group: {plan.keep}{by_hand}.\n")
    shown = table("what", "count", "", counts=(1,))
    shown.add_row("duplicate groups", f"{plan.groups:,}", f"rows that share a key{_others(plan)}")
    going = "none goes" if plan.staying == plan.redundant else f"all but {plan.staying:,} go" if plan.staying else "go"
    shown.add_row("redundant rows", f"{plan.redundant:,}", f"{going} to quarantine; one row of each group stays")
    shown.add_row("  identical", f"{plan.identical:,}", "say the same as the survivor")
    shown.add_row("  incomplete", f"{plan.incomplete:,}", "were never finished")
    shown.add_row("  conflicting", f"{plan.conflicting:,}", _conflict(plan))
    if plan.filled:
        shown.add_row("filled survivors", f"{plan.filled:,}", "get values from the rows of their group")
    console.print(shown)
    _print_references(console, plan.references)
    if plan.triggers:
        fire = "; ".join(f"{', '.join(names)} of {name}" for name, names in plan.triggers.items())
        console.print(f"Triggers will fire, at an undo too: {fire}. What they do is neither foreseen nor taken back.")
    for caveat in plan.caveats:
        console.print(f"Note: {caveat}.")
    _print_refusals(console, plan.refused)


def _nothing(plan: PlanSummary) -> str:
    if plan.left_by is None:
        return "No duplicates. Nothing to do."
    return f"Of the groups that run {plan.left_by} left, none has duplicates now. Others were not looked for."


def _others(plan: PlanSummary) -> str:
    if plan.left_by is not None:
        return f"; others than run {plan.left_by} left were not looked for"
    return "; there may be more: only so many were asked for" if plan.groups == plan.limit else ""


def _conflict(plan: PlanSummary) -> str:
    if plan.max_distance is None:
        return "say something else than the survivor"
    return f"differ from the survivor: largest cosine distance {plan.max_distance:.6f}"


def _print_references(console: Console, references: Sequence[ReferenceSummary]) -> None:
    shown = table("references that follow", "moved", "collide", "", counts=(1, 2))
    for reference in references:
        shown.add_row(
            f"{reference.table} ({', '.join(reference.columns)})",
            f"{reference.repointed:,}",
            f"{reference.collisions:,}",
            "" if reference.indexed else "no index",
        )
    if shown.row_count:
        console.print()
        console.print(shown)
        if any(reference.collisions for reference in references):
            console.print("A row that would collide with one the survivor has already goes to quarantine as well.")
    for reference in references:
        if reference.reads is not None:
            console.print(_reading(reference))


def _reading(reference: ReferenceSummary) -> str:
    reads = f"every batch reads all of its {plural(reference.rows or 0, 'row')}, about {reference.reads:,} in all."
    if not reference.unindexed:
        return f"{reference.table} keeps ids where no index finds them: {reads}"
    lacking = " and on ".join(f"({names})" for names in reference.unindexed)
    return f"{reference.table} has no index on {lacking}: {reads} --apply --build-indexes builds it first."


def _print_refusals(console: Console, refused: Iterable[Refusal]) -> None:
    for refusal in refused:
        example = f" (for example {refusal.example})" if refusal.example else ""
        console.print(f"Refused: {plural(refusal.groups, 'group')}: {refusal.reason}{example}.")


def print_run(console: Console, run: RunSummary) -> None:
    """Show what was done."""
    console.print(
        f"Run {run.id} {run.state}: {plural(run.removed, 'row')} of {run.table} moved to quarantine, "
        f"{plural(run.repointed, 'reference')} moved to survivors, "
        f"{plural(run.collisions, 'colliding row')} of other tables moved to quarantine; "
        f"{plural(run.batches, 'batch', 'batches')}."
    )
    _print_refusals(console, run.refused)
    if run.groups_left == 0:
        console.print("Verified: no duplicate group is left, no reference dangles, and the counts add up.")
    elif run.groups_left is not None:
        again = "" if run.refused else " The same command again plans them."
        console.print(f"{plural(run.groups_left, 'duplicate group')} left in {run.table}.{again}")
    elif run.state == "finished" and not run.note:
        console.print("The table was not searched again; a unique constraint will prove that no duplicate is left.")
    if run.state == "finished" and any(refusal.reason in PASSING for refusal in run.refused):
        alone = command_for(f"dedupe --left-by {run.id}", using=run.database)
        console.print(f"To plan what it refused by itself, in a moment: {alone}")
    if run.note:
        console.print(f"Note: {run.note}.")
    if run.state in RESUMABLE:
        console.print(f"To go on: {command_for(f'dedupe --resume {run.id}', using=run.database)}")
    console.print(f"To take it back: {command_for(f'undo_dedupe {run.id}', using=run.database)}")


def print_undo(console: Console, undone: UndoSummary, *, dry_run: bool) -> None:
    """Show what came back, or would."""
    if dry_run:
        outcome = f"{plural(undone.restored, 'row')} and {plural(undone.repointed, 'reference')} would be put back"
    else:
        outcome = f"put back {plural(undone.restored, 'row')} and {plural(undone.repointed, 'reference')}"
    console.print(f"Run {undone.run} ({undone.state}): {outcome}.")
    for kept in undone.kept:
        console.print(f"Note: {kept}.")
    _print_refusals(console, undone.refused)


def table(*headings: str, counts: Sequence[int]) -> Table:
    """An empty table without lines; ``counts`` are the numbers of the columns that hold numbers."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        shown.add_column(heading, justify="right" if number in counts else "left", overflow="fold")
    return shown
