"""Rows that would come back pointing at nothing: somebody has deleted since what they refer to.

The database would refuse them too, with a word on a constraint for a whole batch, and in no trial.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final

from django.apps.registry import Apps

from integrity.backends import RememberedCatalogue, Rows, get_catalogue, get_rows
from integrity.backends.sql import SQL, compose, joined, on
from integrity.dedupe.kept import Kept
from integrity.dedupe.pointing import points_at
from integrity.dedupe.references import Reference, references_to
from integrity.dedupe.undorefusals import in_words

_UNIT: Final = ("integrity_run", "integrity_unit")
"""What a row shares with those that it refers to, if they went as well."""


@dataclass(frozen=True, kw_only=True)
class LostParents:
    """A side table of a run with values of a foreign key, and the quarantines that bring back what they refer to."""

    kept: Kept
    reference: Reference
    returning: tuple[str, ...]
    rows: Rows

    def refuse(self, *, refusals: str, of_span: SQL) -> SQL:
        """The statement that refuses the units in sight whose rows, ``c``, would be orphans.

        Its parameters are the reason and those of ``of_span``.
        """
        own = ("old",) if self.kept.column else self.reference.columns
        held, target = replace(self.reference, columns=own), self.reference.target_columns
        back = (
            compose(
                " AND NOT EXISTS (SELECT 1 FROM {name} AS b WHERE {tied} AND {same})",
                name=name,
                tied=on("b", _UNIT, "c", _UNIT),
                same=points_at(held, "b", target, self.rows),
            )
            for name in self.returning
        )
        return compose(
            """
            INSERT INTO {refusals} (unit, grp, reason, pk)
            SELECT DISTINCT c.integrity_unit, c.integrity_group, %s, {pk}
            FROM {name} AS c
            WHERE {of_span} AND {filled} AND NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {same}){back}
            """,
            refusals=refusals,
            pk=in_words("c", self.kept.change_pk if self.kept.column else self.kept.pk),
            name=self.kept.name,
            of_span=of_span,
            filled=joined(" AND ", (compose("c.{column} IS NOT NULL", column=column) for column in own)),
            table=self.reference.target_table,
            same=points_at(held, "t", target, self.rows),
            back=joined("", back),
        )

    @property
    def reason(self) -> str:
        """The same for all rows; which row it is stands beside it."""
        return (
            f"{', '.join(self.reference.columns)} of a row of {self.kept.table} would refer to a row of "
            f"{self.reference.target_table} that was deleted since; bring that one back first"
        )


def lost_parents(
    quarantines: Collection[Kept], changes: Collection[Kept], *, apps: Apps, using: str
) -> Iterator[LostParents]:
    """Yield the foreign keys by which rows that a run has kept may refer to what is not there any more.

    Those whose target's key the run has changed as well are left to the database: it comes back with the undo.
    """
    catalogue, rows = RememberedCatalogue(get_catalogue(using=using)), get_rows(using=using)
    changed = {(catalogue.name_of(change.table), change.column) for change in changes}
    for kept in (*quarantines, *changes):
        for reference in () if kept.blocked else _foreign_keys(kept, catalogue, apps=apps, using=using):
            target, key = catalogue.name_of(reference.target_table), set(reference.target_columns)
            if not changed & {(target, column) for column in key}:
                back = (q.name for q in quarantines if catalogue.name_of(q.table) == target and key <= set(q.names))
                yield LostParents(kept=kept, reference=reference, returning=tuple(back), rows=rows)


def _foreign_keys(kept: Kept, catalogue: RememberedCatalogue, *, apps: Apps, using: str) -> Iterator[Reference]:
    """The foreign keys whose values are kept, as the map of references has them: with how the database compares."""
    table = catalogue.name_of(kept.table)
    keys = [key for key in catalogue.foreign_keys(kept.table) if key.plain and catalogue.columns(key.target_table)]
    names = {kept.column} if kept.column else set(kept.names)
    held = {key.columns: catalogue.name_of(key.target_table) for key in keys if names.issuperset(key.columns)}
    for target in sorted(set(held.values())):
        for reference in references_to(target, apps=apps, using=using, catalogue=catalogue):
            if reference.declared and reference.columns in held and catalogue.name_of(reference.table) == table:
                yield reference
