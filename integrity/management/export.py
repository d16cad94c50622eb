"""Writing a plan to a file or to stdout, row by row."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from shutil import copymode
from typing import IO, Any

from django.apps import apps

from integrity.dedupe import PlannedRow, planned_rows, summarize_plan
from integrity.management.base import failure

COLUMNS = ("group", "table", "pk", "action", "kind", "survivor", "changes", "refused")


def export(plan_id: int, *, to: str, stdout: IO[str], format: str, using: str) -> None:
    """Write every row of a plan: ``json`` as one document with the plan itself, else ``csv``. An empty name is stdout.

    Raises:
        CommandError: the file cannot be written.
    """
    plan = summarize_plan(plan_id, apps=apps, using=using)
    rows = planned_rows(plan_id, apps=apps, using=using)
    with _opened(to, stdout) as file:
        if format == "json":
            _write_json(plan.to_json(), rows, file)
        else:
            _write_csv(rows, file)


@contextmanager
def _opened(name: str, stdout: IO[str]) -> Iterator[IO[str]]:
    """Open a file that is there under its name once it is whole; a pipe or a device is written to as it is."""
    if not name:
        yield stdout
        return
    path = Path(name)
    try:
        as_it_is = path.exists() and not path.is_file()
        with _open(path, "w") if as_it_is else _replacing(path.resolve()) as file:  # a symbolic link stays one
            yield file
    except OSError as error:
        raise failure(f"{name} cannot be written: {error.strerror}.") from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """Open a new file that takes the path's place once it is whole, and is gone if it never is."""
    part = path.with_name(f"{token_hex(8)}.part")
    try:
        with _open(part, "x") as file:
            yield file
        if path.exists():
            copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _open(path: Path, mode: str) -> IO[str]:
    return path.open(mode, newline="", encoding="utf-8", errors="backslashreplace")


def _write_csv(rows: Iterable[PlannedRow], file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        changes = "; ".join(f"{change.column}: {change.old} -> {change.new}" for change in row.changes)
        writer.writerow((row.group, row.table, row.pk, row.action, row.kind, row.survivor, changes, row.refused))


def _write_json(plan: dict[str, Any], rows: Iterable[PlannedRow], file: IO[str]) -> None:
    file.write(f'{{"plan": {json.dumps(plan)}, "rows": [')
    for number, row in enumerate(rows):
        file.write(("," if number else "") + "\n" + json.dumps(row.to_json()))
    file.write("\n]}\n")
