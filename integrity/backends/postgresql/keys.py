"""A unique index taken apart: what the guard and the preflight need to know of its key."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.catalogue import COLLATION
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.sql import SQL, compose, joined, relation


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyParts:
    """Expressions are as PostgreSQL prints them, columns unqualified; percent signs are doubled."""

    expressions: tuple[SQL, ...]
    """Each with the collation that the index compares by, where it is not the column's."""
    text: SQL
    """The key as PostgreSQL's messages have it."""
    classes: tuple[SQL, ...]
    """The operator class of each, schema-qualified."""
    columns: tuple[str, ...]
    """The plain columns among them."""
    predicate: SQL
    """``TRUE`` where there is none."""
    nulls_distinct: bool

    @property
    def names(self) -> tuple[str, ...]:
        """``k1`` and so on: what the key's parts are called in a guard."""
        return tuple(f"k{n}" for n, _ in enumerate(self.expressions, 1))

    @property
    def selected(self) -> SQL:
        """The key's parts under these names, for a SELECT from the table."""
        return joined(", ", (f"({e}) AS {name}" for e, name in zip(self.expressions, self.names, strict=True)))

    def same(self, left: str, right: str) -> SQL:
        """Condition: two relations with these names have the same key, NULLs counting as the constraint has them."""
        return joined(
            " AND ",
            (
                compose(
                    "{a}.{k} = {b}.{k}"
                    if self.nulls_distinct
                    else "({a}.{k} = {b}.{k} OR ({a}.{k} IS NULL AND {b}.{k} IS NULL))",
                    a=left,
                    b=right,
                    k=name,
                )
                for name in self.names
            ),
        )

    @property
    def covered(self) -> SQL:
        """Condition on a row: the constraint says something about it."""
        if not self.nulls_distinct:
            return self.predicate
        known = joined(" AND ", (f"({expression}) IS NOT NULL" for expression in self.expressions))
        return compose("({predicate}) AND {known}", predicate=self.predicate, known=known)


def key_parts(index: str, *, connection: BaseDatabaseWrapper) -> KeyParts:
    """Take a unique index apart, by its name."""
    rows, index = PostgreSQLRows(connection), relation(index)
    parts = rows.fetch(
        compose(
            """
            SELECT pg_get_indexdef(i.indexrelid, n, FALSE), {collation},
                   quote_ident(s.nspname) || '.' || quote_ident(o.opcname), a.attname
            FROM pg_catalog.pg_index AS i
            CROSS JOIN LATERAL generate_series(1, i.indnkeyatts) AS n
            JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[n - 1]
            JOIN pg_catalog.pg_namespace AS s ON s.oid = o.opcnamespace
            LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n - 1]
            WHERE i.indexrelid = to_regclass(%s) ORDER BY n
            """,
            collation=SQL(COLLATION),
        ),
        (index,),
    )
    ((predicate, nulls_distinct),) = rows.fetch(
        SQL(
            "SELECT COALESCE(pg_get_expr(indpred, indrelid), 'TRUE'), NOT indnullsnotdistinct "
            "FROM pg_catalog.pg_index WHERE indexrelid = to_regclass(%s)"
        ),
        (index,),
    )
    return KeyParts(
        expressions=tuple(SQL((text + collation).replace("%", "%%")) for text, collation, _, _ in parts),
        text=SQL(", ".join(text.replace("%", "%%") for text, *_ in parts)),
        classes=tuple(SQL(operators.replace("%", "%%")) for _, _, operators, _ in parts),
        columns=tuple(column for *_, column in parts if column is not None),
        predicate=SQL(predicate.replace("%", "%%")),
        nulls_distinct=nulls_distinct,
    )
