"""How findings name tables, numbers and keys."""

from __future__ import annotations

from integrity.dedupe.target import Target


def shown(table: str) -> str:
    """Return a table's name as people write it; one outside the search path is kept as ``schema"."table``."""
    return table.strip('"').replace('"."', ".")


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 row``, ``1,200 rows``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def key_in_words(target: Target) -> str:
    """Return the key's columns, or its expressions, separated by commas."""
    return ", ".join(target.key_columns) or ", ".join(target.key.parts)
