"""Follow a merge into the tables that reference it: which rows move, which go, which groups must be left alone.

Each table that references removed rows gets a stage: every referencing row with its old and new values. Rows that
would then not be unique are collisions (``collisions.py``): they are removed in favour of the row they meet, and the
tables that reference *them* are followed in turn, until nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.apps.registry import Apps

from integrity.backends import get_rows
from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, coalesce, compose, joined, on
from integrity.dedupe.collisions import mark_collisions
from integrity.dedupe.embedded_ids import select_embedded
from integrity.dedupe.heldkeys import refuse_held_keys
from integrity.dedupe.kinds import changes_kind, kind_of_parent
from integrity.dedupe.latekeys import refuse_late_keys
from integrity.dedupe.maps import key_changes
from integrity.dedupe.mismatches import require_keys
from integrity.dedupe.references import Reference, references_to
from integrity.dedupe.referencing import select_referencing
from integrity.dedupe.rings import refuse_rings
from integrity.dedupe.rule import QUARANTINE, REFUSE
from integrity.dedupe.stages import Stage, StagedReference
from integrity.dedupe.tables import primary_key_of
from integrity.dedupe.target import Target
from integrity.dedupe.types import types_allow
from integrity.exceptions import IntegrityAppError

_MOST_PASSES = 20


class EndlessMerge(IntegrityAppError):
    """Merging children kept causing new collisions."""


class Following:
    """The stages of all tables that a plan touches, grown by ``follow``."""

    def __init__(self, target: Target, root: Stage, *, apps: Apps, refusals: str) -> None:
        self.root = root
        self.stages: dict[str, Stage] = {}
        """Of the other tables, by table; a table that references itself has one beside the root."""
        self._rule, self._using, self._catalogue = target.rule, target.using, target.catalogue
        self._apps, self._refusals = apps, refusals
        self._rows: Rows = get_rows(using=target.using)
        self._made = 0
        self._known: dict[str, tuple[Reference, ...]] = {}

    def follow(self) -> None:
        """Stage every table that is reached.

        Raises:
            UntreatableTable: the rows of a referencing table are not its own, or not all in sight.
            NoPrimaryKey: a referencing table has none.
            InvalidRule: ids are said to be inside a column whose type cannot hold them, or a reference has another
                collation than what it references.
            MismatchedKey: a foreign key points at no key.
            EndlessMerge: collisions kept causing collisions.
        """
        waiting = list(dict.fromkeys(r.table for r in self._plain(self.root.table)))
        passes = 0
        while waiting:
            table = waiting.pop(0)
            passes += 1
            if passes > _MOST_PASSES * (len(self.stages) + 1):
                raise EndlessMerge(f"Merging rows of {table!r} keeps causing collisions in a ring of tables.")
            before = self._reach(self.stages[table]) if table in self.stages else 0
            self._stage(table)
            if self._reach(self.stages[table]) != before:
                waiting += [r.table for r in self._plain(table) if r.table not in waiting]
        for reference in self._references(self.root.table):
            if reference.soft is not None:
                self._stage_embedded(reference)
        if self.root.table in self.stages:
            refuse_held_keys(self.root, self.stages[self.root.table], using=self._using)
        refuse_rings(self.root, self.stages.values(), using=self._using)
        refuse_late_keys(self.root, self.stages, catalogue=self._catalogue, using=self._using)

    def _references(self, table: str) -> tuple[Reference, ...]:
        if table not in self._known:
            self._known[table] = references_to(
                table, apps=self._apps, using=self._using, rule=self._rule, catalogue=self._catalogue
            )
            require_keys(self._known[table], self._catalogue)
        return self._known[table]

    def _plain(self, table: str) -> tuple[Reference, ...]:
        return tuple(reference for reference in self._references(table) if reference.soft is None)

    def _reach(self, stage: Stage) -> int:
        """How many rows of a stage go, or get another key: rows that reference them are to be followed."""
        news = {new for r in self._plain(stage.table) for new in key_changes(stage, r.target_columns)}
        moved = joined("", (compose(" OR {new} IS NOT NULL", new=new) for new in sorted(news)))
        query = "SELECT COUNT(*) FROM {stage} WHERE action = 'remove' OR (action = 'repoint' AND (1 = 0{moved}))"
        return int(self._rows.value(compose(query, stage=stage.name, moved=moved)))

    def _stage(self, table: str) -> None:
        """Make, or make again, the stage of one referencing table from all that is known by now."""
        stage, sources = self._describe(table)
        self._rows.drop(stage.name)
        with types_allow(self._rule):
            self._rows.create_as(stage.name, select_referencing(stage, sources, root=self.root, rows=self._rows))
        self._rows.finish_stage(stage.name, pk_count=len(stage.pk))
        self._follow_policies(stage)
        mark_collisions(stage, self._catalogue, root=self.root, rows=self._rows)
        self._refuse_other_kinds(stage)
        if table == self.root.table:
            self._refuse_own_collisions(stage)
        old, self.stages[table] = self.stages.get(table), stage
        if old is not None:
            self._rows.drop(old.name)

    def _describe(self, table: str) -> tuple[Stage, list[Stage]]:
        """The stage to be, and for each of its references the stage of the rows it points at."""
        pairs = [
            (reference, parent)
            for parent in (self.root, *filter(self._reach, self.stages.values()))
            for reference in self._plain(parent.table)
            if reference.table == table
        ]
        return self._named(table, [reference for reference, _ in pairs]), [parent for _, parent in pairs]

    def _named(self, table: str, references: Sequence[Reference]) -> Stage:
        pk = primary_key_of(table, catalogue=self._catalogue, references=references[0].target_table)
        self._made += 1
        return Stage(
            name=f"{self.root.name}_{self._made}",
            table=table,
            pk=pk,
            columns=tuple(c.name for c in self._catalogue.columns(table) if not c.generated),
            references=tuple(_staged(number, reference) for number, reference in enumerate(references, 1)),
        )

    def _follow_policies(self, stage: Stage) -> None:
        """Let rows go that go with what they reference; refuse the groups whose references may not move."""
        for reference in stage.plain:
            if reference.policy == REFUSE:
                label = f"{stage.table}.{', '.join(reference.columns)}"
                self._refuse(stage, f"{reference.grp} IS NOT NULL", f"the rule refuses to move references of {label}")
            # No new value although the target goes: it went without an heir, or the heir's key does not fit.
            lost = f"{reference.grp} IS NOT NULL AND {reference.new[0]} IS NULL"
            if reference.policy == QUARANTINE:
                self._quarantine(stage, f"{reference.grp} IS NOT NULL")
            else:
                self._refuse(stage, lost, _why_lost(stage, reference))

    def _quarantine(self, stage: Stage, condition: str) -> None:
        self._rows.execute(
            compose(
                """
                UPDATE {stage} SET action = 'remove', kind = 'policy',
                    fp = (SELECT {fp} FROM {table} AS c WHERE {same})
                WHERE {condition}
                """,
                stage=stage.name,
                table=stage.table,
                fp=self._rows.fingerprint(stage.table, stage.columns, alias="c"),
                same=on("c", stage.pk, stage.name, stage.p),
                condition=SQL(condition),
            )
        )

    def _refuse_other_kinds(self, stage: Stage) -> None:
        """Leave groups alone where a child's row would complete a row that says it is of another class."""
        for reference in stage.plain:
            if kind := kind_of_parent(reference, stage.table, apps=self._apps, catalogue=self._catalogue):
                reason = (
                    f"a row of {stage.table} completes a row that goes, and the one that stays is of another class by "
                    f"{kind.model._meta.db_table}.{kind.column}; with {kind.name!r} in the key, both stay"
                )
                self._refuse(stage, changes_kind(reference, stage, kind), reason)

    def _refuse_own_collisions(self, stage: Stage) -> None:
        """Leave groups alone that would make rows of the rule's own table meet: by the rule, they are no duplicates."""
        reason = f"rows of {stage.table} that are no duplicates would break another uniqueness of it"
        self._refuse(stage, "kind = 'collision'", reason)
        self._rows.execute(
            compose(
                "UPDATE {stage} SET action = 'repoint', kind = 'reference', fp = NULL, {heirs} "
                "WHERE kind = 'collision'",
                stage=stage.name,
                heirs=joined(", ", (f"{s} = NULL" for s in stage.s)),
            )
        )

    def _refuse(self, stage: Stage, condition: str, reason: str) -> None:
        self._rows.execute(
            compose(
                "INSERT INTO {refusals} (unit, grp, reason) "
                "SELECT DISTINCT unit, grp, %s FROM {stage} WHERE {condition}",
                refusals=self._refusals,
                stage=stage.name,
                condition=SQL(condition),
            ),
            (reason,),
        )

    def _stage_embedded(self, reference: Reference) -> None:
        """Stage the rows of one column that holds ids inside an array or a document."""
        stage = self._named(reference.table, [reference])
        self._rows.drop(stage.name)
        beside = self.stages.get(stage.table)
        query = select_embedded(stage, self.root, beside=beside, rows=self._rows)
        with types_allow(self._rule):
            self._rows.create_as(stage.name, query)
        self._rows.finish_stage(stage.name, pk_count=len(stage.pk))
        if stage.references[0].policy == REFUSE:
            self._refuse(stage, "1 = 1", f"the rule refuses to change {reference.label}")
        shapeless = f"{stage.references[0].new[0]} IS NULL"
        self._refuse(stage, shapeless, f"an array of {reference.label} has a shape that would be lost")
        if beside is not None and (news := key_changes(beside, stage.pk)):
            rekeyed = compose(
                "EXISTS (SELECT 1 FROM {beside} AS b WHERE {same} AND {new} IS NOT NULL)",
                beside=beside.name,
                same=on("b", beside.p, stage.name, stage.p),
                new=coalesce(*(compose("b.{new}", new=new) for new in news)),
            )
            self._refuse(stage, rekeyed, f"a row of {stage.table} holds ids in {reference.label} and gets another key")
        self.stages[f"{reference.table}.{reference.columns[0]}"] = stage


def _why_lost(stage: Stage, reference: StagedReference) -> str:
    if reference.types:
        return f"{stage.table}.{', '.join(reference.columns)} cannot hold the key of the row that stays as it is"
    return f"a row of {stage.table} references a row that goes without an heir"


def _staged(number: int, reference: Reference) -> StagedReference:
    return StagedReference(
        number=number,
        columns=reference.columns,
        target_table=reference.target_table,
        target_columns=reference.target_columns,
        indexed=reference.indexed,
        types=reference.types,
        compared=reference.compared,
        dashed=reference.dashed,
        condition=str(reference.condition),
        policy=reference.policy,
        inside=reference.soft.inside if reference.soft else "",
        path=reference.soft.path if reference.soft else (),
    )
