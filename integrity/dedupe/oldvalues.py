"""Give references and fields that a run changed the values that they had before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from integrity.backends import Rows
from integrity.backends.sql import SQL, columns, compose, identifier, joined, on
from integrity.dedupe.kept import Kept
from integrity.dedupe.resolver import VerificationFailed
from integrity.dedupe.spans import Span
from integrity.dedupe.undochecks import UndoChecks


class Unlike(Exception):
    """A value does not fit into its column any more: it came back as another one."""


@dataclass(frozen=True, kw_only=True)
class OldValues:
    """What the tables of changes hold of one run; it goes back inside the caller's transaction."""

    run: int
    checks: UndoChecks
    rows: Rows

    def give_back(self, changes: Sequence[Kept], span: Span) -> int:
        """Give rows of one table their values back, of all columns at once; return how many rows.

        One by one, a row would be halfway between two states: against a check or a foreign key of several columns,
        or under another primary key than the next column's change knows.

        Raises:
            VerificationFailed: other rows were changed than were kept.
            Unlike: a value would come back as another one.
        """
        if not changes:
            return 0
        kept, before = changes[0], self._values_before(changes)
        moved = self.rows.execute(
            compose(
                "UPDATE {table} AS t SET {values} FROM ({before}) AS k WHERE k.place = 1 AND {same}",
                table=kept.table,
                values=joined(", ", _assignments(changes)),
                before=before,
                same=on("t", kept.pk, "k", kept.change_pk),
            ),
            (self.run, *span) * len(changes),
        )
        self._require_back(changes, before, span)
        return require_all(kept, moved, self.count(changes, span))

    def count(self, changes: Sequence[Kept], span: Span) -> int:
        """How many rows of one table have a value to get back."""
        if not changes:
            return 0
        rows = joined(
            " UNION ",
            (
                compose(
                    "SELECT {pk} FROM {name} AS q WHERE {of_span}",
                    pk=columns(change.change_pk, of="q"),
                    name=change.name,
                    of_span=self.checks.of_span("q"),
                )
                for change in changes
            ),
        )
        return int(
            self.rows.value(compose("SELECT COUNT(*) FROM ({rows}) AS r", rows=rows), (self.run, *span) * len(changes))
        )

    def _require_back(self, changes: Sequence[Kept], before: SQL, span: Span) -> None:
        """See to it that each value is what it was, and not what a trigger or a column's new type makes of it."""
        kept = changes[0]
        unlike = (
            f"(k.has{n} = 0 AND t.{identifier(change.column)} {self.rows.differs} k.old{n})"
            for n, change in enumerate(changes)
        )
        query = compose(
            "SELECT 1 FROM ({before}) AS k LEFT JOIN {table} AS t ON {same} "
            "WHERE k.place = 1 AND (t.{pk} IS NULL OR {unlike}) LIMIT 1",
            before=before,
            table=kept.table,
            same=joined(
                " AND ",
                (
                    compose("t.{column} = {old}", column=name, old=_back(name, changes, otherwise=f"k.{pk}"))
                    for name, pk in zip(kept.pk, kept.change_pk, strict=True)
                ),
            ),
            pk=kept.pk[0],
            unlike=joined(" OR ", map(SQL, unlike)),
        )
        if self.rows.fetch(query, (self.run, *span) * len(changes)):
            names = ", ".join(dict.fromkeys(change.column for change in changes))
            raise Unlike(
                f"a value does not come back as it was ({names} of {kept.table}): a trigger changes it, or the column "
                "has another type now. Disable the one or change the other back for the undo"
            )

    def _values_before(self, changes: Sequence[Kept]) -> SQL:
        """A query of the changed rows' keys, each at ``place`` 1 once, with ``old<n>`` where ``has<n>`` is 0."""
        pk = columns(changes[0].change_pk)
        each = joined(" UNION ALL ", (self._values_of(change, changes) for change in changes))
        firsts = (
            compose(
                "FIRST_VALUE({name}) OVER (PARTITION BY {pk} ORDER BY {has}) AS {name}",
                name=f"{name}{n}",
                pk=pk,
                has=f"has{n}",
            )
            for n in range(len(changes))
            for name in ("has", "old")
        )
        return compose(
            "SELECT {pk}, {firsts}, ROW_NUMBER() OVER (PARTITION BY {pk}) AS place FROM ({each}) AS e",
            pk=pk,
            firsts=joined(", ", firsts),
            each=each,
        )

    def _values_of(self, change: Kept, changes: Sequence[Kept]) -> SQL:
        """The old values of one column, beside NULLs of the types of the others."""
        values = (
            compose("0 AS {has}, q.old AS {old}", has=f"has{n}", old=f"old{n}")
            if other is change
            else compose(
                "1 AS {has}, (SELECT n.old FROM {name} AS n WHERE 1 = 0) AS {old}",
                has=f"has{n}",
                old=f"old{n}",
                name=other.name,
            )
            for n, other in enumerate(changes)
        )
        return compose(
            "SELECT {pk}, {values} FROM {name} AS q WHERE {of_span}",
            pk=columns(change.change_pk, of="q"),
            values=joined(", ", values),
            name=change.name,
            of_span=self.checks.of_span("q"),
        )


def require_all(kept: Kept, done: int, planned: int) -> int:
    """Return how many rows came back.

    Raises:
        VerificationFailed: not as many as were kept.
    """
    if done != planned:
        raise VerificationFailed(
            f"{done} rows of {kept.table} came back, but {kept.name} holds {planned}. The batch was rolled back; "
            "nothing is lost. A trigger or a rule on the table may be in the way."
        )
    return done


def _assignments(changes: Sequence[Kept]) -> list[SQL]:
    """``column = its old value`` for each column."""
    names = dict.fromkeys(change.column for change in changes)
    return [
        compose("{column} = {old}", column=name, old=_back(name, changes, otherwise=f"t.{identifier(name)}"))
        for name in names
    ]


def _back(column: str, changes: Sequence[Kept], *, otherwise: str) -> SQL:
    """What a column is to be again; it may have several tables of changes, of which a row is in one at most."""
    cases = [f"WHEN k.has{n} = 0 THEN k.old{n}" for n, change in enumerate(changes) if change.column == column]
    return SQL(f"CASE {' '.join(cases)} ELSE {otherwise} END") if cases else SQL(otherwise)
