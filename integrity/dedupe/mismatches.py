"""Foreign keys that point at no key: SQLite takes them as they are written, and then refuses changes of the target."""

from __future__ import annotations

from collections.abc import Sequence

from integrity.backends import Catalogue
from integrity.dedupe.references import Reference
from integrity.exceptions import IntegrityAppError


class MismatchedKey(IntegrityAppError):
    """A foreign key points at columns that are not there, or not unique."""


def require_keys(references: Sequence[Reference], catalogue: Catalogue) -> None:
    """Check that every declared foreign key points at a key.

    Raises:
        MismatchedKey: one does not.
    """
    for reference in references:
        if not reference.declared:
            continue
        unique = [i.columns for i in catalogue.indexes(reference.target_table) if i.unique and i.predicate is None]
        if not any(set(columns) == set(reference.target_columns) for columns in unique):
            target = f"{reference.target_table} ({', '.join(reference.target_columns)})"
            raise MismatchedKey(
                f"The foreign key {reference.label} points at {target}, which is no primary key and not unique: "
                "the database would refuse to remove any row there. Add a unique index on it, or take the foreign key "
                "out of its table."
            )
