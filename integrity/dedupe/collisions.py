"""Follow a merge into the tables that reference it: which rows move, and which would then be duplicates.

Each table that references removed rows gets a stage: every referencing row with its old and new values. A row
whose new values meet another row under one of its own unique indexes is a *collision*: it is removed in favour
of the row that it meets, and the tables that reference *it* are followed in turn, until nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from django.apps.registry import Apps

from integrity.backends import Index, get_catalogue, get_rows
from integrity.backends.rows import Query, Rows
from integrity.backends.sql import SQL, coalesce, columns, compose, identifier, joined, on
from integrity.dedupe.references import Reference, references_to
from integrity.dedupe.stages import Stage, StagedReference
from integrity.dedupe.target import NoPrimaryKey
from integrity.exceptions import IntegrityAppError

_MOST_PASSES = 20


class EndlessMerge(IntegrityAppError):
    """Merging children kept causing new collisions."""


class Followed:
    """The stages of all tables that a plan touches, grown by ``follow``."""

    def __init__(self, *, root: Stage, apps: Apps, using: str, refusals: str) -> None:
        self.root = root
        self.stages: dict[str, Stage] = {}
        """Of the other tables, by table; a table that references itself has one beside the root."""
        self.refusals = refusals
        self._apps, self._using = apps, using
        self._rows: Rows = get_rows(using=using)
        self._made = 0
        self._known: dict[str, tuple[Reference, ...]] = {}

    def follow(self) -> None:
        """Stage every table that is reached.

        Raises:
            NoPrimaryKey: a referencing table has none.
            EndlessMerge: collisions kept causing collisions.
        """
        waiting = list(dict.fromkeys(r.table for r in self._references(self.root.table)))
        passes = 0
        while waiting:
            table = waiting.pop(0)
            passes += 1
            if passes > _MOST_PASSES * (len(self.stages) + 1):
                raise EndlessMerge(f"Merging rows of {table!r} keeps causing collisions in a ring of tables.")
            before = self._removed(self.stages[table]) if table in self.stages else 0
            self._stage(table)
            if self._removed(self.stages[table]) != before:
                waiting += [r.table for r in self._references(table) if r.table not in waiting]

    def _references(self, table: str) -> tuple[Reference, ...]:
        if table not in self._known:
            self._known[table] = references_to(table, apps=self._apps, using=self._using)
        return self._known[table]

    def _removed(self, stage: Stage) -> int:
        return int(self._rows.value(compose("SELECT COUNT(*) FROM {stage} WHERE action = 'remove'", stage=stage.name)))

    def _stage(self, table: str) -> None:
        """Make, or make again, the stage of one referencing table from all that is known by now."""
        stage, sources = self._describe(table)
        self._rows.drop(stage.name)
        self._rows.create_as(stage.name, self._select(stage, sources))
        self._rows.finish_stage(stage.name, pk_count=len(stage.pk))
        for index in self._touched_indexes(stage):
            self._collide(stage, index)
        old, self.stages[table] = self.stages.get(table), stage
        if old is not None:
            self._rows.drop(old.name)

    def _describe(self, table: str) -> tuple[Stage, list[Stage]]:
        """The stage to be, and for each of its references the stage of the rows it points at."""
        catalogue = get_catalogue(using=self._using)
        pk = catalogue.primary_key(table)
        pairs = [
            (reference, parent)
            for parent in (self.root, *filter(self._removed, self.stages.values()))
            for reference in self._references(parent.table)
            if reference.table == table
        ]
        if not pk:
            raise NoPrimaryKey(
                f"Table {table!r} references {pairs[0][0].target_table!r} and has no primary key, so its rows cannot "
                "be told apart. Add one first."
            )
        self._made += 1
        stage = Stage(
            name=f"{self.root.name}_{self._made}",
            table=table,
            pk=pk,
            columns=tuple(c.name for c in catalogue.columns(table) if not c.generated),
            references=tuple(
                StagedReference(
                    number=number,
                    columns=reference.columns,
                    target_table=reference.target_table,
                    target_columns=reference.target_columns,
                    indexed=reference.indexed,
                )
                for number, (reference, _) in enumerate(pairs, 1)
            ),
        )
        return stage, [parent for _, parent in pairs]

    def _select(self, stage: Stage, sources: Sequence[Stage]) -> Query:
        """Every row that references a removed row, with old and new values of each reference."""
        maps = [_map(reference, source) for reference, source in zip(stage.references, sources, strict=True)]
        affected = joined(
            " UNION ",
            (
                compose(
                    "SELECT {pk} FROM {map} AS m JOIN {table} AS c ON {same}",
                    pk=columns(stage.pk, of="c"),
                    map=a_map,
                    table=stage.table,
                    same=on("c", reference.columns, "m", reference.old),
                )
                for reference, a_map in zip(stage.references, maps, strict=True)
            ),
        )
        values = joined(
            ", ",
            (
                f"{identifier(f'm{r.number}')}.{identifier(name)}"
                for r in stage.references
                for name in (f"g{r.number}", *r.old, *r.new)
            ),
        )
        sides = joined(
            " ",
            (
                compose(
                    "LEFT JOIN {map} AS {m} ON {same}",
                    map=a_map,
                    m=f"m{reference.number}",
                    same=on("c", reference.columns, f"m{reference.number}", reference.old),
                )
                for reference, a_map in zip(stage.references, maps, strict=True)
            ),
        )
        first = {name: coalesce(*(f"m{r.number}.{name}{r.number}" for r in stage.references)) for name in ("g", "pos")}
        keys = joined(", ", (f"c.{identifier(c)} AS {p}" for c, p in zip(stage.pk, stage.p, strict=True)))
        heirs = joined(
            ", ",
            (f"CASE WHEN 1 = 0 THEN c.{identifier(c)} END AS {s}" for c, s in zip(stage.pk, stage.s, strict=True)),
        )
        return Query(
            sql=compose(
                """
                SELECT {groups} AS grp, {groups} AS unit, {positions} AS pos,
                       'repoint' AS action, 'reference' AS kind, {keys}, {heirs}, {values}, CAST(NULL AS bigint) AS fp
                FROM ({affected}) AS a JOIN {table} AS c ON {same} {sides} {staying}
                ORDER BY 1
                """,
                groups=first["g"],
                positions=first["pos"],
                keys=keys,
                heirs=heirs,
                values=values,
                affected=affected,
                table=stage.table,
                same=on("c", stage.pk, "a", stage.pk),
                sides=sides,
                staying=self._not_removed_by_root(stage, "c", word="WHERE"),
            )
        )

    def _not_removed_by_root(self, stage: Stage, alias: str, *, word: str) -> SQL:
        """In the rule's own table: leave out rows that go anyway."""
        if stage.table != self.root.table:
            return SQL("")
        return compose(
            "{word} NOT EXISTS (SELECT 1 FROM {root} AS x WHERE x.action = 'remove' AND {same})",
            word=SQL(word),
            root=self.root.name,
            same=on("x", self.root.p, alias, stage.pk),
        )

    def _touched_indexes(self, stage: Stage) -> list[Index]:
        """Unique indexes that a changed reference may violate; one that cannot be checked refuses its groups."""
        changing = {column for reference in stage.references for column in reference.columns}
        touched = []
        for index in get_catalogue(using=self._using).indexes(stage.table):
            if not index.unique or not index.valid:
                continue
            if None in index.columns or index.predicate is not None:
                self._refuse(stage, f"unique index {index.name} of {stage.table} is partial or on an expression")
            elif changing & set(index.columns):
                touched.append(index)
        return touched

    def _refuse(self, stage: Stage, reason: str) -> None:
        self._rows.execute(
            compose(
                "INSERT INTO {refusals} (unit, grp, reason) SELECT DISTINCT unit, grp, %s FROM {stage}",
                refusals=self.refusals,
                stage=stage.name,
            ),
            (reason,),
        )

    def _collide(self, stage: Stage, index: Index) -> None:
        """Mark as removed the staged rows that would not be unique under the index after the move."""
        key = tuple(column for column in index.columns if column is not None)
        k = tuple(f"k{n}" for n in range(1, len(key) + 1))
        new = [_new_value(stage, column) for column in key]
        changed = joined(
            " OR ",
            (f"st.{r.new[0]} IS NOT NULL" for r in stage.references if set(r.columns) & set(key)),
        )
        distinct = index.nulls_distinct
        self._rows.execute(
            compose(
                """
                UPDATE {stage} SET action = 'remove', kind = 'collision', {heirs}, fp = x.fp
                FROM (
                    SELECT z.*, {firsts}, ROW_NUMBER() OVER w AS place
                    FROM (
                        SELECT {st_p}, {new_keys}, CASE WHEN {changed} THEN 1 ELSE 0 END AS moved, st.pos, {fp} AS fp
                        FROM {stage} AS st JOIN {table} AS c ON {st_row}
                        WHERE st.action = 'repoint'
                        UNION ALL
                        SELECT {c_pk}, {c_keys}, 0, 0, 0
                        FROM (
                            SELECT DISTINCT {new_keys} FROM {stage} AS st JOIN {table} AS c ON {st_row}
                            WHERE st.action = 'repoint'
                        ) AS y JOIN {table} AS c ON {same_key} LEFT JOIN {stage} AS st ON {st_row}
                        WHERE st.{p1} IS NULL {staying}
                    ) AS z
                    {not_null}
                    WINDOW w AS (PARTITION BY {k} ORDER BY moved, pos, {p})
                ) AS x
                WHERE x.place > 1 AND {same_stage}
                """,
                stage=stage.name,
                table=stage.table,
                heirs=joined(", ", (f"{s} = x.w_{s}" for s in stage.s)),
                firsts=joined(
                    ", ", (f"FIRST_VALUE({p}) OVER w AS w_{s}" for p, s in zip(stage.p, stage.s, strict=True))
                ),
                st_p=columns(stage.p, of="st"),
                st_row=on("c", stage.pk, "st", stage.p),
                new_keys=joined(", ", (f"{value} AS {name}" for value, name in zip(new, k, strict=True))),
                changed=changed,
                fp=self._rows.fingerprint(stage.table, stage.columns, alias="c"),
                c_pk=columns(stage.pk, of="c"),
                c_keys=columns(key, of="c"),
                same_key=on("c", key, "y", k, same="=" if distinct else self._rows.same),
                p1=stage.p[0],
                staying=self._not_removed_by_root(stage, "c", word="AND"),
                not_null=SQL("WHERE " + " AND ".join(f"{name} IS NOT NULL" for name in k) if distinct else ""),
                k=columns(k),
                p=columns(stage.p),
                same_stage=on(stage.name, stage.p, "x", stage.p),
            )
        )
        self._follow_heirs(stage)

    def _follow_heirs(self, stage: Stage) -> None:
        """Where a row's heir was itself removed under another index, its heir's heir stands for it."""
        while self._rows.execute(
            compose(
                """
                UPDATE {stage} SET {heirs} FROM {stage} AS w
                WHERE {stage}.action = 'remove' AND w.action = 'remove' AND {is_heir}
                """,
                stage=stage.name,
                heirs=joined(", ", (f"{s} = w.{s}" for s in stage.s)),
                is_heir=on("w", stage.p, stage.name, stage.s),
            )
        ):
            pass


def _map(reference: StagedReference, source: Stage) -> SQL:
    """A subquery: for each removed row of the source, the values that referenced it and those that shall."""
    extra = f"{source.name}.grp AS g{reference.number}, {source.name}.pos AS pos{reference.number}"
    if reference.target_columns == source.pk:
        olds, news, joins = source.p, source.s, SQL("")
        old_of = new_of = source.name
    else:
        olds = news = reference.target_columns
        old_of, new_of = "before", "after"
        joins = compose(
            "JOIN {table} AS before ON {is_old} JOIN {table} AS after ON {is_new}",
            table=source.table,
            is_old=on("before", source.pk, source.name, source.p),
            is_new=on("after", source.pk, source.name, source.s),
        )
    named = [
        f"{identifier(of)}.{identifier(value)} AS {name}"
        for of, values, names in ((old_of, olds, reference.old), (new_of, news, reference.new))
        for value, name in zip(values, names, strict=True)
    ]
    return compose(
        "(SELECT {extra}, {named} FROM {source} {joins} WHERE {source}.action = 'remove')",
        extra=SQL(extra),
        named=joined(", ", named),
        source=source.name,
        joins=joins,
    )


def _new_value(stage: Stage, column: str) -> SQL:
    """SQL for the value a column will have: ``c`` is the row now, ``st`` its stage."""
    news = [
        f"st.{name}"
        for reference in stage.references
        for own, name in zip(reference.columns, reference.new, strict=True)
        if own == column
    ]
    now = compose("c.{column}", column=column)
    return coalesce(*news, now)


def couplings(root: Stage, others: Sequence[Stage]) -> SQL:
    """A query of pairs (a, b) of groups that one row ties together: they must be treated in one transaction."""
    pairs = []
    for stage in others:
        for one, two in combinations([f"g{r.number}" for r in stage.references], 2):
            pairs.append(
                compose(
                    "SELECT {one} AS a, {two} AS b FROM {stage} WHERE {one} <> {two}",
                    one=one,
                    two=two,
                    stage=stage.name,
                )
            )
        pairs.append(
            compose(
                "SELECT l.grp AS a, w.grp AS b FROM {stage} AS l JOIN {stage} AS w ON {is_heir} "
                "WHERE l.action = 'remove' AND l.grp <> w.grp",
                stage=stage.name,
                is_heir=on("w", stage.p, "l", stage.s),
            )
        )
        if stage.table == root.table:
            pairs.append(_tied_in_own_table(root, stage))
    return joined(" UNION ", pairs)


def _tied_in_own_table(root: Stage, stage: Stage) -> SQL:
    """A row of one group that references a removed row of another, in a table that references itself."""
    parts = [
        compose(
            "SELECT r.grp AS a, t.grp AS b FROM {root} AS r JOIN {stage} AS t ON {same} WHERE r.grp <> t.grp",
            root=root.name,
            stage=stage.name,
            same=on("r", root.p, "t", stage.p),
        )
    ]
    for reference in stage.references:
        if reference.target_table == root.table:
            parts.append(
                compose(
                    """
                    SELECT r.grp AS a, m.{grp} AS b FROM {root} AS r JOIN {table} AS c ON {same}
                    JOIN {map} AS m ON {points} WHERE r.action = 'remove' AND r.grp <> m.{grp}
                    """,
                    grp=f"g{reference.number}",
                    root=root.name,
                    table=root.table,
                    same=on("c", root.pk, "r", root.p),
                    map=_map(reference, root),
                    points=on("c", reference.columns, "m", reference.old),
                )
            )
    return joined(" UNION ", parts)
