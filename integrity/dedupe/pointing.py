"""How a row that references another is joined to it: conversions, conditions, and the columns on both sides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from integrity.backends import Catalogue, ForeignKey
from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, compose, joined
from integrity.dedupe.stages import Stage, StagedReference


class Pointer(Protocol):
    """What ``Reference`` and ``StagedReference`` have in common."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def types(self) -> tuple[str, ...]: ...

    @property
    def compared(self) -> tuple[str, ...]: ...

    @property
    def dashed(self) -> bool: ...

    @property
    def condition(self) -> str: ...


def written(pointer: Pointer, of: str, names: Iterable[str], rows: Rows) -> tuple[SQL, ...]:
    """The values of ``of.names`` (columns of the target) as the pointer's own columns spell them."""
    values = _values(of, names)
    if not pointer.types and not pointer.dashed:
        return values
    types = pointer.types or ("",) * len(values)
    return tuple(rows.convert(v, to=t, dashed=pointer.dashed) for v, t in zip(values, types, strict=True))


def sought(pointer: Pointer, of: str, names: Iterable[str], rows: Rows) -> tuple[SQL, ...]:
    """The same values as ``holds_key`` wants them."""
    return _values(of, names) if pointer.compared else written(pointer, of, names, rows)


def points_at(pointer: Pointer, of: str, names: Iterable[str], rows: Rows) -> SQL:
    """Condition: the row ``c`` points at the row whose key is ``of.names``."""
    return holds_key(pointer, sought(pointer, of, names, rows))


def holds_key(pointer: Pointer, key: Iterable[SQL]) -> SQL:
    """Condition: the row ``c`` holds a key that was ``sought``."""
    compared = pointer.compared or ("{own} = {key}",) * len(pointer.columns)
    same = [
        compose(how, own=compose("c.{own}", own=own), key=value)
        for how, own, value in zip(compared, pointer.columns, key, strict=True)
    ]
    return joined(" AND ", [*same, *([pointer.condition] if pointer.condition else [])])


def _values(of: str, names: Iterable[str]) -> tuple[SQL, ...]:
    return tuple(compose("{of}.{name}", of=of, name=name) for name in names)


def points_at_staged(reference: StagedReference, stage: Stage, rows: Rows) -> SQL:
    """Condition: ``c`` references the staged row ``r``, or the row itself as ``t`` where its primary key is no help."""
    if reference.inside:
        return rows.holds(
            SQL("c"), reference.columns[0], inside=reference.inside, path=reference.path, value=SQL("r.p1")
        )
    if reference.target_columns == stage.pk:
        return points_at(reference, "r", stage.p, rows)
    return points_at(reference, "t", reference.target_columns, rows)


def is_declared_by(reference: StagedReference, key: ForeignKey, catalogue: Catalogue) -> bool:
    """Whether a foreign key of the same table is this reference."""
    same_columns = [*map(str.lower, key.columns)] == [*map(str.lower, reference.columns)]  # SQLite folds case
    return same_columns and key.target_table == catalogue.name_of(reference.target_table)
