"""Statements on rows that both databases understand; what differs is overridden in their own packages.

The engine stages its decisions in side tables. A *stage* is such a table for one table of the owner's, with

    grp, unit       the duplicate group, and the smallest group that must be treated together with it; rows that go
                    one by one have a unit of their own, beyond the last group's number
    pos             the row's place in its group, from 1
    action          'keep', 'remove', 'repoint', or 'stay' (redundant, but not to be removed)
    p1..pn          the row's primary key, in the table's own types
    s1..sn          the primary key of the row that stands for it once it is removed
    fp              a fingerprint of the row when it was staged

The rule's own stage also has ``place`` and ``version``, which tell where the row lay and which of its versions it
was, and ``members``, how many rows the group had. Where rows are repointed, there are ``o<j>_<i>`` and ``n<j>_<i>``:
the old and the new value of column i of reference j.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from integrity.backends.ranking import GroupQuery
from integrity.backends.sql import SQL, columns, compose, joined, numbered
from integrity.backends.statements import Query, Statements


class Rows(Statements):
    """The engine's statements on rows. Methods run inside the caller's transaction unless they say otherwise."""

    same = "IS NOT DISTINCT FROM"
    differs = "IS DISTINCT FROM"
    overriding = SQL("")
    """Clause that lets an INSERT give values to columns that the database numbers itself."""

    @abstractmethod
    def fingerprint(self, table: str, names: Sequence[str], *, alias: str) -> SQL:
        """A 64-bit signed number that changes when any of these columns of the table does."""

    apart = SQL("")
    """Clause at the end of a subquery that keeps it from being merged into the query around it."""

    unindexed = SQL("")
    """Operator before a column that keeps its index from being used."""

    many_writers = True
    """Whether transactions that write different rows get on beside each other."""

    sharing = SQL("")
    """Clause that locks rows ``t``, which others may lock likewise, and passes over those that are held."""

    folds_names = False
    """Whether a column is found by its name in any case."""

    hex_ids = False
    """Whether a UUID primary key is stored as 32 hexadecimal digits, so that its text form elsewhere differs."""

    def as_stored(self, names: Sequence[str], *, of: str) -> SQL:
        """A list of columns for people to look at, which the driver leaves as the database holds them if it can."""
        return columns(names, of=of)

    @abstractmethod
    def must_convert(self, source: str, target: str) -> bool:
        """Whether a value of one column type has to be converted before it is compared with one of the other."""

    @abstractmethod
    def convert(self, value: SQL, *, to: str, dashed: bool = False) -> SQL:
        """Convert a value to a column type; ``dashed`` writes 32 hexadecimal digits as UUIDs are written.

        NULL where SQLite would make another key of it: a text such as ``007`` in a column of numbers.
        """

    def comparison(self, own: str, target: str, *, collation: str) -> str:
        """How the database compares a referencing column with a key of that collation: SQL of ``{own}`` and ``{key}``.

        Empty where they are equal if the column holds the key as ``convert`` writes it.
        """
        return ""

    @abstractmethod
    def holds(self, of: SQL, column: str, *, inside: str, path: Sequence[str], value: SQL) -> SQL:
        """Condition: an array, or a place of a JSON document, holds an id."""

    @abstractmethod
    def replaced(self, of: SQL, column: str, *, inside: str, path: Sequence[str], pairs: SQL) -> SQL:
        """The array or document with each id ``p1`` of ``pairs`` replaced by ``s1``, and no id written twice.

        NULL where that would change its shape.
        """

    @abstractmethod
    def place(self, alias: str) -> SQL:
        """An expression that orders rows as they lie on disk, if the database tells."""

    @abstractmethod
    def version(self, alias: str) -> SQL:
        """An expression that, with the place, tells versions of a row apart, if the database does."""

    def count_groups(self, keys: Query, *, key_count: int) -> tuple[int, int]:
        """How many keys occur more than once, and how many rows are one too many."""
        found = self.fetch(
            compose(
                """
                SELECT COUNT(*), COALESCE(SUM(members - 1), 0)
                FROM (SELECT COUNT(*) AS members FROM ({keys}) AS r GROUP BY {k} HAVING COUNT(*) > 1) AS g
                """,
                keys=keys.sql,
                k=columns(numbered("k", key_count)),
            ),
            keys.params,
        )
        groups, redundant = found[0]
        return int(groups), int(redundant)

    @abstractmethod
    def stage_groups(self, name: str, query: GroupQuery) -> None:
        """Create the stage of a rule's own table: every row of every duplicate group, the survivor at ``pos`` 1."""

    def finish_stage(self, name: str, *, pk_count: int) -> None:
        """Index a stage for range scans by unit and look-ups by primary key."""
        for suffix, names in (("u", ("unit",)), ("p", numbered("p", pk_count))):
            self.execute(
                compose(
                    "CREATE INDEX {index} ON {name} ({names})",
                    index=f"{name}_{suffix}",
                    name=name,
                    names=columns(names),
                )
            )
        self.analyze(name)

    def analyze(self, name: str) -> None:
        """Let the planner know how large a new side table is. SQLite would keep that in a table of its own."""

    def create_as(self, name: str, query: Query) -> None:
        """Create a side table from a query, its columns in the query's own types, without constraints."""
        self.execute(compose("CREATE TABLE {name} AS {query}", name=name, query=query.sql), query.params)

    def drop(self, name: str) -> None:
        """Drop a side table if it is there."""
        self.execute(compose("DROP TABLE IF EXISTS {name}", name=name))

    def side_tables(self, prefix: str) -> tuple[str, ...]:
        """Names of the tables called ``prefix`` or ``prefix_...``."""
        tables = self.connection.introspection.table_names()
        return tuple(name for name in sorted(tables) if name == prefix or name.startswith(f"{prefix}_"))

    def expect_scan(self) -> None:
        """Let the rest of a batch read whole tables, where no index can serve it."""

    @abstractmethod
    def digest(self, name: str, names: Sequence[str]) -> str:
        """A fingerprint, as hexadecimal digits, of these columns of a side table, in whatever order its rows lie."""

    def lock_in_place(self, *, table: str, stage: str, pk: Sequence[str], refusals: str, span: tuple[int, int]) -> bool:
        """Lock a span's rows; return whether each of them still lies where it was staged, in the same version.

        Only for the rule's own stage. If not, nothing is said: ``lock_and_compare`` tells what has become of them.
        """
        return False

    def hold_rows(self, *, table: str, pk: Sequence[str], keys: SQL) -> None:
        """Lock rows, by a query of their primary keys and in the order of those, until the transaction ends.

        Where there is one writer at a time, who writes holds them all.
        """

    @abstractmethod
    def lock_and_compare(
        self, *, table: str, stage: str, pk: Sequence[str], changed: SQL, refusals: str, span: tuple[int, int]
    ) -> None:
        """Lock a span's rows; refuse every unit where one is not as staged (``busy``, ``gone``, ``changed``, ...).

        ``changed`` is a condition on ``t`` (the row now) and ``r`` (its stage).
        """

    @abstractmethod
    def move(
        self,
        *,
        table: str,
        pk: Sequence[str],
        stage: str,
        names: Sequence[str],
        into: str,
        extra: dict[str, SQL],
        span: tuple[int, int],
        refusals: str,
        in_place: bool = False,
    ) -> int:
        """Move a span's rows that are to be removed into a side table; return how many.

        ``extra`` gives the side table's own columns, as expressions on ``r`` (the stage). ``in_place``: only rows that
        lie where they were staged, which is faster where the database tells.
        """  # fmt: skip

    def restore(
        self,
        *,
        table: str,
        names: Sequence[str],
        source: str,
        condition: SQL,
        params: Sequence[Any],
        fallbacks: Mapping[str, Query],
    ) -> int:
        """Insert rows from a side table (``q``) into their own table, every column as it was; return how many.

        ``fallbacks`` are expressions for columns that must have a value, instead of NULL or of no column in ``names``.
        """
        chosen = {name: compose("q.{name}", name=name) for name in names}
        for name, fallback in fallbacks.items():
            chosen[name] = SQL(f"COALESCE({chosen[name]}, {fallback.sql})") if name in chosen else fallback.sql
        return self.execute(
            compose(
                "INSERT INTO {table} ({names}) {overriding} SELECT {values} FROM {source} AS q WHERE {condition}",
                table=table,
                names=columns(chosen),
                overriding=self.overriding,
                values=joined(", ", chosen.values()),
                source=source,
                condition=condition,
            ),
            (*(param for name in chosen if name in fallbacks for param in fallbacks[name].params), *params),
        )


def in_span(refusals: str, alias: str = "r") -> SQL:
    """Condition: the staged row's unit lies in (%s, %s] and is not refused."""
    return compose(
        "{r}.unit > %s AND {r}.unit <= %s AND NOT EXISTS (SELECT 1 FROM {refusals} AS f WHERE f.unit = {r}.unit)",
        r=alias,
        refusals=refusals,
    )
