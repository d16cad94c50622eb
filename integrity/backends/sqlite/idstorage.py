"""Tables whose id columns are declared ``UUID``: rebuilt with ``CHAR(32)``, damaged ids restored.

A declared type decides a column's affinity; that of ``UUID`` is NUMERIC, which turns 32 hex digits that look like
a number into REAL or Inf (https://www.sqlite.org/datatype3.html, 3.1). The rebuild follows SQLite's own procedure
(https://www.sqlite.org/lang_altertable.html, 7): new table, copy, drop, rename, indexes and triggers again. Other
tables, views and triggers keep naming the table; rows keep their rowid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity import conf
from integrity.backends.sql import SQL, columns, compose, joined
from integrity.backends.sqlite.catalogue import SQLiteCatalogue
from integrity.backends.sqlite.ddl import UnrepairableTable, require_rowid, with_types
from integrity.backends.sqlite.iddamage import DamagedRow, Number, Restorer, find_damage
from integrity.backends.sqlite.idtables import IdRepair, IdTable
from integrity.backends.sqlite.rows import SQLiteRows
from integrity.backends.sqlite.types import affinity
from integrity.backends.uniqueness import Say

_SAFE = "CHAR(32)"


def repair(
    tables: Sequence[IdTable],
    *,
    connection: BaseDatabaseWrapper,
    quarantine: Callable[[str], str],
    new_id: Callable[[], str],
    say: Say,
) -> tuple[IdRepair, ...]:
    """See ``integrity.backends.idstorage.repair_ids``."""
    rows, catalogue = SQLiteRows(connection), SQLiteCatalogue(connection)
    faulty = {table.name: _numeric(table, catalogue) for table in tables}
    if not any(faulty.values()):
        return ()
    renamed: dict[str, list[tuple[Number, str]]] = {}
    repairs = []
    with _names_kept(rows), rows.batch(lock_timeout=conf.lock_timeout()):
        for table in tables:
            if faulty[table.name]:
                say(f"{table.name}: {', '.join(faulty[table.name])} turn ids into numbers; rebuilding the table")
                one = _Repair(table, rows, quarantine=quarantine, renamed=renamed)
                repairs.append(one.carry_out(faulty[table.name], new_id))
    return tuple(repairs)


def _numeric(table: IdTable, catalogue: SQLiteCatalogue) -> tuple[str, ...]:
    """The id columns whose declared type makes numbers of ids."""
    types = {column.name: column.type for column in catalogue.columns(table.name)}
    return tuple(c for c in table.columns if c in types and affinity(types[c]) in ("NUMERIC", "INTEGER", "REAL"))


@contextmanager
def _names_kept(rows: SQLiteRows) -> Iterator[None]:
    """Let RENAME leave alone what other tables, views and triggers call the table."""
    before = rows.value(SQL("PRAGMA legacy_alter_table"))
    rows.execute(SQL("PRAGMA legacy_alter_table = ON"))
    try:
        yield
    finally:
        rows.execute(SQL(f"PRAGMA legacy_alter_table = {int(before)}"))


class _Repair:
    """The repair of one table, inside the caller's transaction."""

    def __init__(
        self,
        table: IdTable,
        rows: SQLiteRows,
        *,
        quarantine: Callable[[str], str],
        renamed: dict[str, list[tuple[Number, str]]],
    ) -> None:
        self.table, self.rows, self.quarantine, self.renamed = table, rows, quarantine, renamed
        self.nullable = {r.name for r in table.references if r.nullable}

    def carry_out(self, faulty: tuple[str, ...], new_id: Callable[[], str]) -> IdRepair:
        require_rowid(next(sql for kind, sql in self._statements() if kind == "table"))
        count = compose("SELECT COUNT(*) FROM {table}", table=self.table.name)
        before = int(self.rows.value(count))
        damaged = find_damage(self.table, self.rows)
        restored = Restorer(self.table, self.rows, self.renamed).restore(damaged)
        lost = [row for row in damaged if row.damaged - self.nullable - {self.table.pk}]
        kept = [row for row in damaged if row not in lost]
        new_ids, emptied = self._fill(kept, new_id)
        self._keep_copies([*lost, *(row for row in kept if row.reasons)])
        self._rebuild(faulty)
        self._write(kept, lost)
        if int(self.rows.value(count)) != before - len(lost) or find_damage(self.table, self.rows):
            raise UnrepairableTable(f"The rows of {self.table.name!r} did not all come through. Nothing was changed.")
        return IdRepair(
            table=self.table.name,
            columns=faulty,
            rows=before,
            new_ids=new_ids,
            restored=restored,
            emptied=emptied,
            lost=len(lost),
        )

    def _fill(self, kept: list[DamagedRow], new_id: Callable[[], str]) -> tuple[int, int]:
        """Give damaged primary keys new ids, and nothing to references that may be empty; count both."""
        new_ids = emptied = 0
        for row in kept:
            for name in row.damaged:
                if name == self.table.pk:
                    new_ids += 1
                    fresh = new_id()
                    self.renamed.setdefault(self.table.name, []).append((row.values[name], fresh))
                    row.values[name] = fresh
                else:
                    emptied += 1
                    row.values[name] = None
        return new_ids, emptied

    def _keep_copies(self, unrestored: list[DamagedRow]) -> None:
        if not unrestored:
            return
        names = [column.name for column in SQLiteCatalogue(self.rows.connection).columns(self.table.name)]
        side = self.quarantine(self.table.name)
        for row in unrestored:
            self.rows.execute(
                compose(
                    "INSERT INTO {side} ({names}, integrity_reason, integrity_at) "
                    "SELECT {names}, %s, CURRENT_TIMESTAMP FROM {table} WHERE rowid = %s",
                    side=side,
                    names=columns(names),
                    table=self.table.name,
                ),
                ("; ".join(row.reasons.values()), row.rowid),
            )

    def _rebuild(self, faulty: tuple[str, ...]) -> None:
        table, new = self.table.name, f"integrity_rebuilt_{self.table.name}"
        statements = self._statements()
        (statement,) = (sql for kind, sql in statements if kind == "table")
        written = [c.name for c in SQLiteCatalogue(self.rows.connection).columns(table) if not c.generated]
        text = with_types(statement, name=new, columns=faulty, kind=_SAFE)
        self.rows.execute(SQL(text.replace("%", "%%")))
        self.rows.execute(
            compose(
                "INSERT INTO {new} (rowid, {names}) SELECT rowid, {names} FROM {table} ORDER BY rowid",
                new=new,
                names=columns(written),
                table=table,
            )
        )
        self.rows.execute(compose("DROP TABLE {table}", table=table))
        self.rows.execute(compose("ALTER TABLE {new} RENAME TO {table}", new=new, table=table))
        for kind, sql in statements:
            if kind in ("index", "trigger"):
                self.rows.execute(SQL(sql.replace("%", "%%")))

    def _statements(self) -> list[tuple[str, str]]:
        """What makes the table, its indexes and its triggers, by kind."""
        made = SQL("SELECT type, sql FROM sqlite_master WHERE tbl_name = %s AND sql IS NOT NULL")
        return [(kind, sql) for kind, sql in self.rows.fetch(made, (self.table.name,))]

    def _write(self, kept: list[DamagedRow], lost: list[DamagedRow]) -> None:
        for row in lost:
            self.rows.execute(compose("DELETE FROM {table} WHERE rowid = %s", table=self.table.name), (row.rowid,))
        assignments = joined(", ", (compose("{c} = %s", c=name) for name in self.table.columns))
        update = compose("UPDATE {table} SET {a} WHERE rowid = %s", table=self.table.name, a=assignments)
        for row in kept:
            self.rows.execute(update, (*(row.values[name] for name in self.table.columns), row.rowid))
