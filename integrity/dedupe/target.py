"""A rule brought to one database: the model from the registry, the table from the catalogue, both agreeing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps.registry import Apps
from django.core.exceptions import FieldError
from django.db.models import Case, ExpressionWrapper, F, Field, IntegerField, QuerySet, UniqueConstraint, Value, When
from django.db.models.expressions import Expression, OrderBy

from integrity.backends import Catalogue, RememberedCatalogue, get_catalogue
from integrity.backends.ranking import GroupQuery
from integrity.backends.sql import SQL, compose, identifier, joined, numbered
from integrity.backends.statements import Query
from integrity.dedupe.advice import command_for
from integrity.dedupe.expressions import Fingerprint, ReferenceCount, System
from integrity.dedupe.fields import require_fields
from integrity.dedupe.keep import Earliest
from integrity.dedupe.policies import check_policies
from integrity.dedupe.references import Reference, references_to
from integrity.dedupe.rule import IDENTICAL_ONLY, DedupeRule, InvalidRule, Key
from integrity.dedupe.tables import primary_key_of
from integrity.exceptions import IntegrityAppError


class MissingTable(IntegrityAppError):
    """The rule's table, or a column that its model names, is not in the database."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """All that the engine knows of a rule's own table."""

    rule: DedupeRule
    model: Any
    using: str
    table: str
    pk: tuple[str, ...]
    """Primary key columns, as the catalogue has them."""
    columns: tuple[str, ...]
    """Every column that can be written, those that the model does not know included."""
    key: Key
    references: tuple[Reference, ...]
    catalogue: Catalogue = field(repr=False, compare=False)
    """The database's, each answer as it was when it was first asked: for the making of a plan, not for a whole run."""

    @property
    def nullable_fields(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.model._meta.concrete_fields if f.null)

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The key's columns where it is made of plain columns; else empty."""
        return tuple(self.model._meta.get_field(name).column for name in self.key.fields)

    @property
    def orderings(self) -> tuple[OrderBy, ...]:
        """How the rows of a group are ordered, but for completeness before and the primary key after."""
        return tuple(order for keep in self.rule.keep for order in keep.order_by(self))

    @property
    def why(self) -> str:
        """The ordering in words."""
        first = ("complete first",) if self.rule.complete else ()
        return ", then ".join(dict.fromkeys((*first, *(keep.why for keep in (*self.rule.keep, Earliest())))))

    def reference_count(self) -> Expression:
        """An expression: how many rows reference the row."""
        return ReferenceCount(self.references)

    def keys(self) -> Query:
        """A query of the key of every row that the constraint covers, as ``k1..kn``."""
        return self._select(self._base(), self._key())

    def keyed_rows(self) -> Query:
        """The same with the primary key, as ``p1..pn``."""
        return self._select(self._base(), self._pk_and_key())

    def shown(self) -> Query | None:
        """A query of the primary keys of the rows that the default manager shows; None where it hides no row."""
        every: QuerySet[Any] = QuerySet(self.model, using=self.using).order_by()
        try:
            rows = self._select(self.model._default_manager.using(self.using).order_by(), self._pk_and_key())
        except Exception:  # a stranger's manager may need a tenant, a request, anything
            return None
        return rows if rows != self._select(every, self._pk_and_key()) else None

    def groups(self, *, limit: int | None = None) -> GroupQuery:
        """All that ``Rows.stage_groups`` needs to find, number and order the duplicate groups."""
        orders = self.orderings
        tier = Case(
            *(When(condition, then=Value(n)) for n, condition in enumerate(self.rule.complete)),
            default=Value(len(self.rule.complete)),
            output_field=IntegerField(),
        )
        expressions = self._pk_and_key() | {
            "o1": tier,
            "tier": tier,
            **{f"o{n}": order.expression for n, order in enumerate(orders, 2)},
            "content": Fingerprint(self.table, self.content_columns),
            "fp": Fingerprint(self.table, self.columns),
            "place": System(lambda rows, alias: rows.place(alias)),
            "version": System(lambda rows, alias: rows.version(alias)),
        }
        return GroupQuery(
            rows=self._select(self._base(), expressions),
            keys=self.keys(),
            pk_count=len(self.pk),
            key_count=len(self.key.expressions),
            directions=("ASC", *map(_direction, orders)),
            nulls_distinct=self.key.nulls_distinct,
            limit=limit,
        )

    @property
    def content_columns(self) -> tuple[str, ...]:
        """The columns whose equality makes two rows of a group identical: none where there is only a key."""
        meta = self.model._meta
        if self.rule.content and self.rule.conflict != IDENTICAL_ONLY:
            return tuple(meta.get_field(name).column for name in self.rule.content)
        outside = {meta.get_field(name).column for name in self.rule.ignore} | set(self.pk) | set(self.key_columns)
        return tuple(name for name in self.columns if name not in outside)

    def _pk_and_key(self) -> dict[str, Any]:
        meta = self.model._meta
        names = {field.column: field.name for field in meta.concrete_fields}
        pk = {p: F(names[column]) for p, column in zip(numbered("p", len(self.pk)), self.pk, strict=True)}
        return pk | self._key()

    def _key(self) -> dict[str, Any]:
        # Django need not know the type of what a constraint is on, but asks for that of what is selected.
        parts = (e if isinstance(e, F) else ExpressionWrapper(e, output_field=Field()) for e in self.key.expressions)
        return {f"k{n}": part for n, part in enumerate(parts, 1)}

    def _base(self) -> QuerySet[Any]:
        # A base manager may hide rows too (Meta.base_manager_name).
        rows: QuerySet[Any] = QuerySet(self.model, using=self.using).order_by()
        return rows.filter(self.key.condition) if self.key.condition is not None else rows

    def _select(self, rows: QuerySet[Any], expressions: dict[str, Any]) -> Query:
        """Compile; annotations get a prefix inside, so that they cannot meet a field of that name."""
        named = {f"integrity_{name}": expression for name, expression in expressions.items()}
        try:
            compiled = rows.annotate(**named).values_list(*named).query.get_compiler(using=self.using)
        except FieldError as error:
            raise InvalidRule(
                f"The rule {self.rule.name!r} does not fit {self.rule.model}: {error}. Correct the rule."
            ) from error
        sql, params = compiled.as_sql()
        names = joined(", ", (f"{identifier(f'integrity_{name}')} AS {identifier(name)}" for name in expressions))
        keys = [name for name in expressions if name.startswith("k")]
        known = joined(" AND ", (f"{identifier(f'integrity_{name}')} IS NOT NULL" for name in keys))
        where = compose("WHERE {known}", known=known) if self.key.nulls_distinct else SQL("")
        wrapped = compose("SELECT {names} FROM ({inner}) AS i {where}", names=names, inner=self._safe(sql), where=where)
        return Query(sql=wrapped, params=tuple(params))

    def _safe(self, sql: str) -> SQL:
        """Double the percent signs of names: Django leaves them as they are, and they would count as parameters."""
        for name in {self.table, *(f.column for f in self.model._meta.concrete_fields)}:
            sql = sql.replace(f'"{name}"', identifier(name))
        return SQL(sql)


def resolve(rule: DedupeRule, *, apps: Apps, using: str) -> Target:
    """Bring a rule to a database.

    Raises:
        InvalidRule: the registry has no such model, the rule does not fit it, or it lacks the table's primary key.
        MissingTable: the table, or one of the model's columns, is absent.
        UntreatableTable: its rows are not its own, or not all in sight.
        NoPrimaryKey: the table has none.
    """
    model = _model(rule, apps)
    require_fields(rule, model)
    key = Key.of_rule(rule, model)
    table = model._meta.db_table
    catalogue = RememberedCatalogue(get_catalogue(using=using))
    found = catalogue.columns(table)
    if not found:
        raise MissingTable(
            f"Database {using!r} has no table {table!r} ({rule.model}). "
            f"Check that it is the right one; `{command_for('migrate', using=using)}` makes or adopts the tables."
        )
    _check_columns(rule, model, {column.name for column in found})
    pk = primary_key_of(table, catalogue=catalogue)
    _require_fields_of_key(rule, model, pk)
    check_policies(rule, apps=apps, using=using)
    return Target(
        rule=rule,
        model=model,
        using=using,
        table=table,
        pk=pk,
        columns=tuple(column.name for column in found if not column.generated),
        key=key,
        references=references_to(table, apps=apps, using=using, rule=rule, catalogue=catalogue),
        catalogue=catalogue,
    )


def _model(rule: DedupeRule, apps: Apps) -> Any:
    try:
        return apps.get_model(rule.model)
    except (LookupError, ValueError) as error:
        raise InvalidRule(f"There is no model {rule.model!r} ({error}). Write it as app_label.Model.") from None


def _check_columns(rule: DedupeRule, model: Any, have: Collection[str]) -> None:
    # Only what the rule reads: an adopted table may lack columns that its model has and can do without.
    key = rule.constraint.fields if isinstance(rule.constraint, UniqueConstraint) else rule.fields
    ordering = (getattr(keep, "field", "") for keep in rule.keep)
    named = {*key, *rule.content, *ordering, rule.vector, rule.clock, model._meta.pk.name}
    missing = sorted({f.column for f in model._meta.local_concrete_fields if f.name in named} - set(have))
    folded = {name.lower(): name for name in have}
    if missing and all(name.lower() in folded for name in missing):
        raise MissingTable(
            f"Table {model._meta.db_table!r} has column {', '.join(repr(folded[name.lower()]) for name in missing)}, "
            f"which {rule.model} names in another case. Let the fields say so (db_column), or rename the columns."
        )
    if missing:
        raise MissingTable(
            f"Table {model._meta.db_table!r} lacks column {', '.join(map(repr, missing))} that {rule.model} names. "
            "Add it, or run `manage.py migrate integrity` to see all that differs."
        )


def _require_fields_of_key(rule: DedupeRule, model: Any, pk: Sequence[str]) -> None:
    own = {field.column for field in model._meta.concrete_fields}
    if unknown := [column for column in pk if column not in own]:
        raise InvalidRule(
            f"The primary key of table {model._meta.db_table!r} is ({', '.join(pk)}), and {rule.model} has no field "
            f"for {unknown[0]!r}, so it cannot tell rows apart as the database does. Add the field to the model."
        )


def _direction(order: OrderBy) -> str:
    # NULLs come last unless the ordering says otherwise: the two databases disagree on their default.
    return f"{'DESC' if order.descending else 'ASC'} NULLS {'FIRST' if order.nulls_first else 'LAST'}"
