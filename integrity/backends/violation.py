"""A violated constraint, as far as a database tells which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["unique", "foreign key", "check", "not null", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """``columns`` are columns or expressions of the table; ``values`` stand beside them, or are not known: ()."""

    kind: Kind
    table: str = ""
    constraint: str = ""
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
