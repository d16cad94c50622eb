"""Fields of the survivor that are filled from its group: by the first value, the largest, the latest, the sum."""

from __future__ import annotations

from django.db.models import DecimalField, DurationField, FloatField, IntegerField

from integrity.backends import get_rows
from integrity.backends.sql import SQL, columns, compose, joined, on
from integrity.backends.statements import Query
from integrity.dedupe.rule import InvalidRule
from integrity.dedupe.stages import Stage, StagedReference
from integrity.dedupe.target import Target
from integrity.dedupe.types import types_allow

_SUMMABLE = (IntegerField, FloatField, DecimalField, DurationField)
_AGGREGATES = {"max": "MAX", "min": "MIN", "sum": "SUM"}


def stage_fills(target: Target, root: Stage, *, name: str) -> Stage | None:
    """Stage the survivors whose fields will change, with old and new values; None where the rule fills none.

    Raises:
        InvalidRule: the rule names a field that the table does not have or that holds the row's identity, a way that
            its type does not allow, or ``latest`` without a clock.
    """
    if not target.rule.merge:
        return None
    names = {_fillable(target, field, how): how for field, how in target.rule.merge.items()}
    stage = Stage(
        name=name,
        table=root.table,
        pk=root.pk,
        columns=root.columns,
        references=tuple(StagedReference(number=n, columns=(column,)) for n, column in enumerate(names, 1)),
    )
    rows = get_rows(using=target.using)
    values = []
    for reference, (column, how) in zip(stage.references, names.items(), strict=True):
        new = compose("({value})", value=_value(target, root, column, how))
        values.append(
            compose(
                "r.grp AS {g}, s.{column} AS {old}, CASE WHEN {new} {differs} s.{column} THEN {new} END AS {n}",
                g=reference.grp,
                column=column,
                old=reference.old[0],
                n=reference.new[0],
                new=new,
                differs=SQL(rows.differs),
            )
        )
    query = Query(
        sql=compose(
            """
            SELECT r.grp, r.unit, r.pos, 'repoint' AS action, 'fill' AS kind, {p}, {s}, {values}, r.fp
            FROM {root} AS r JOIN {table} AS s ON {same} WHERE r.pos = 1
            """,
            p=columns(root.p, of="r"),
            s=columns(root.s, of="r"),
            values=joined(", ", values),
            root=root.name,
            table=root.table,
            same=on("s", root.pk, "r", root.p),
        )
    )
    with types_allow(target.rule):
        rows.create_as(name, query)
    unchanged = joined(" AND ", (compose("{new} IS NULL", new=r.new[0]) for r in stage.references))
    rows.execute(compose("DELETE FROM {name} WHERE {unchanged}", name=name, unchanged=unchanged))
    rows.finish_stage(name, pk_count=len(root.pk))
    return stage


def _fillable(target: Target, field: str, how: str) -> str:
    """The column of a field that may take another row's value."""
    column = _column(target, field)
    reason = ""
    if how == "sum" and not isinstance(target.model._meta.get_field(field), _SUMMABLE):
        reason = "only numbers and durations have a sum"
    elif column in target.key_columns:
        reason = "it is part of the key"
    for reference in target.references:
        if column in reference.target_columns:
            reason = f"{reference.label} references it, and would lose its row"
        elif reference.table == target.table and column in reference.columns:
            reason = f"it references {target.table} itself, and could name a row that goes"
    if reason:
        raise InvalidRule(f"Rule {target.rule.name}: {field!r} cannot be filled with {how!r}: {reason}.")
    return column


def _column(target: Target, field: str) -> str:
    known = {f.name: str(f.column) for f in target.model._meta.concrete_fields}
    if field not in known or known[field] not in target.columns or known[field] in target.pk:
        raise InvalidRule(f"{target.rule.model}: there is no field {field!r} of table {target.table!r} to be filled.")
    return known[field]


def _value(target: Target, root: Stage, column: str, how: str) -> SQL:
    """A subquery: the value that a field of the survivor ``s`` gets from the rows of its group."""
    members = compose(
        "FROM {root} AS g JOIN {table} AS v ON {same} WHERE g.grp = r.grp AND g.unit = r.unit AND g.action <> 'stay'",
        root=root.name,
        table=root.table,
        same=on("v", root.pk, "g", root.p),
    )
    if how in _AGGREGATES:
        return compose(
            "SELECT {aggregate}(v.{column}) {members}", aggregate=SQL(_AGGREGATES[how]), column=column, members=members
        )
    order = SQL("g.pos")
    if how == "latest":
        if not target.rule.clock:
            raise InvalidRule(
                f"Rule {target.rule.name}: to fill with the latest value, name the field that tells a row's age: "
                "--clock FIELD, or `clock` in a registered rule."
            )
        order = compose("v.{clock} DESC NULLS LAST, g.pos", clock=_column(target, target.rule.clock))
    return compose(
        "SELECT v.{column} {members} AND v.{column} IS NOT NULL ORDER BY {order} LIMIT 1",
        column=column,
        members=members,
        order=order,
    )
