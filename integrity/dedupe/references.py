"""The map of references: everything that points at rows of a table, known to Django, to the database, or declared.

Sources, and all of them count: foreign keys and one-to-ones of models (whatever their manager, ``related_name`` or
``db_constraint``; automatic through tables and unmanaged models included), foreign keys that only the catalogue
knows, generic foreign keys (with or without a GenericRelation), and what the rule itself declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.apps.registry import Apps
from django.db.models import ForeignKey as DjangoForeignKey
from django.db.models import UUIDField

from integrity.backends import (
    Catalogue,
    RememberedCatalogue,
    collations_of,
    get_catalogue,
    get_rows,
    has_index_on,
)
from integrity.backends.rows import Rows
from integrity.backends.sql import NOTHING, SQL
from integrity.dedupe.generickeys import generic_keys_to, names_type_of
from integrity.dedupe.rule import REPOINT, DedupeRule, InvalidRule, SoftReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Columns of a table that hold the key of a row of the target table."""

    table: str
    columns: tuple[str, ...]
    target_table: str
    target_columns: tuple[str, ...]
    indexed: bool = False
    """Whether looking up the rows that reference a given key is cheap."""
    declared: bool = False
    """Whether the database itself knows it, as a foreign key."""
    types: tuple[str, ...] = ()
    """The columns' types where they are not the target's own, so that values have to be converted."""
    compared: tuple[str, ...] = ()
    """How the database compares each column with the target's: SQL of ``{own}`` and ``{key}``, if not as converted."""
    dashed: bool = False
    """Whether ids are written as UUIDs with dashes, where the target holds 32 hexadecimal digits."""
    condition: SQL = NOTHING
    """Which rows of the table hold references to this target at all; ``c`` is the row."""
    typed_by: str = ""
    """The column that the condition begins with: a content type's."""
    policy: str = REPOINT
    soft: SoftReference | None = None
    """What the rule declared, where ids stand inside an array or a JSON document."""

    @property
    def label(self) -> str:
        """How a rule names it: ``table.column``."""
        return f"{self.table}.{','.join(self.columns)}"


def references_to(
    table: str, *, apps: Apps, using: str, rule: DedupeRule | None = None, catalogue: Catalogue | None = None
) -> tuple[Reference, ...]:
    """Return every reference to a table, ordered by table and columns, with the policies of the rule.

    A model that is ahead of its migrations has none by tables and columns that are not there yet. Who asks about many
    tables hands in a catalogue that remembers.

    Raises:
        InvalidRule: the rule declares a reference that is not there.
    """
    catalogue = catalogue or RememberedCatalogue(get_catalogue(using=using))
    rows = get_rows(using=using)
    found: dict[tuple[object, ...], Reference] = {}
    for named in _all(table, apps, using, rule, catalogue):
        reference = _as_spelt(named, catalogue, fold=str.lower if rows.folds_names else str)
        if reference is not None and (rows.hex_ids or not reference.dashed):
            key = (reference.table, reference.columns, reference.condition, reference.dashed)
            found.setdefault(key, reference)
    complete = [
        _completed(reference, catalogue, using=using)
        for _, reference in sorted(found.items(), key=lambda item: str(item[0]))
    ]
    return tuple(_with_policy(reference, rule) for reference in complete)


def _all(table: str, apps: Apps, using: str, rule: DedupeRule | None, catalogue: Catalogue) -> Iterator[Reference]:
    for key in catalogue.referencing(table):
        yield Reference(
            table=key.table,
            columns=key.columns,
            target_table=table,
            target_columns=key.target_columns,
            declared=True,
        )
    yield from _to_models(table, apps, catalogue)
    yield from _generic_foreign_keys(table, apps, catalogue, using=using)
    if rule is not None:
        yield from _declared(table, rule, apps, using, catalogue)


def _to_models(table: str, apps: Apps, catalogue: Catalogue) -> Iterator[Reference]:
    for field in foreign_keys_of_models(apps):
        if _is_of(field.remote_field.model, table, catalogue):
            yield Reference(
                table=field.model._meta.db_table,
                columns=(str(field.column),),
                target_table=table,
                target_columns=(str(field.target_field.column),),
            )


def foreign_keys_of_models(apps: Apps) -> Iterator[Any]:
    """Yield every foreign key and one-to-one field of every model."""
    for model in apps.get_models(include_auto_created=True):
        yield from (field for field in model._meta.local_concrete_fields if isinstance(field, DjangoForeignKey))


def _generic_foreign_keys(table: str, apps: Apps, catalogue: Catalogue, *, using: str) -> Iterator[Reference]:
    for ids, pk, typed_by, condition in generic_keys_to(
        _models_of(table, apps, catalogue), apps=apps, using=using, catalogue=catalogue
    ):
        reference = Reference(
            table=ids.model._meta.db_table,
            columns=(ids.column,),
            target_table=table,
            target_columns=(pk.column,),
            condition=condition,
            typed_by=typed_by,
        )
        yield reference
        if isinstance(pk, UUIDField):
            yield replace(reference, dashed=True)


def _declared(table: str, rule: DedupeRule, apps: Apps, using: str, catalogue: Catalogue) -> Iterator[Reference]:
    """References that only the rule knows; they point at the rule's own table."""
    model: Any = apps.get_model(rule.model)
    if not _is_of(model, table, catalogue):
        return
    for soft in rule.soft_references:
        source, column = soft_column(soft, apps, using)
        if soft.inside and catalogue.primary_key(table) != (model._meta.pk.column,):
            raise InvalidRule(
                f"The rule for {rule.model} declares ids inside {soft.source}.{soft.field}, but the primary key of "
                f"table {table!r} is not {model._meta.pk.name!r} alone, so an id may not be that of one row."
            )
        typed_by, condition = _typed(soft, table, apps, using, catalogue)
        if condition is None:
            continue
        reference = Reference(
            table=source,
            columns=(column,),
            target_table=table,
            target_columns=(model._meta.pk.column,),
            condition=condition,
            typed_by=typed_by,
            policy=soft.policy,
            soft=soft if soft.inside else None,
        )
        yield reference
        if isinstance(model._meta.pk, UUIDField) and not soft.inside:
            yield replace(reference, dashed=True)


def _typed(soft: SoftReference, table: str, apps: Apps, using: str, catalogue: Catalogue) -> tuple[str, SQL | None]:
    """The type's column and the condition of a declaration that names one; None where no row can have the table's."""
    if not soft.content_type:
        return "", NOTHING
    _, column = soft_column(replace(soft, field=soft.content_type), apps, using)
    return column, names_type_of(
        _models_of(table, apps, catalogue), column, apps=apps, using=using, catalogue=catalogue
    )


def soft_column(soft: SoftReference, apps: Apps, using: str) -> tuple[str, str]:
    """The table and column that a declaration names, by ``app.Model`` and field or by table and column.

    Raises:
        InvalidRule: neither is there.
    """
    try:
        model: Any = apps.get_model(soft.source)
        source, column = model._meta.db_table, model._meta.get_field(soft.field).column
    except Exception:
        source, column = soft.source, soft.field
    if column not in {c.name for c in get_catalogue(using=using).columns(source)}:
        raise InvalidRule(f"The rule declares a reference in {soft.source}.{soft.field}, but there is no such column.")
    return source, column


def _as_spelt(reference: Reference, catalogue: Catalogue, *, fold: Callable[[str], str]) -> Reference | None:
    """The same with names spelt as the database does; None where its table lacks one of them.

    A table that references itself keeps the name that it was asked about by.
    """
    name = catalogue.name_of(reference.table)
    own = {fold(c.name): c.name for c in catalogue.columns(reference.table)}
    target = {fold(c.name): c.name for c in catalogue.columns(reference.target_table)}
    if not own.keys() >= set(map(fold, reference.columns)):
        return None
    return replace(
        reference,
        table=reference.target_table if name == catalogue.name_of(reference.target_table) else name,
        columns=tuple(own[fold(c)] for c in reference.columns),
        # SQLite lets a key point at a column that is gone.
        target_columns=tuple(target.get(fold(c), c) for c in reference.target_columns),
    )


def _completed(reference: Reference, catalogue: Catalogue, *, using: str) -> Reference:
    """Add what the catalogue knows: an index to look rows up by, and types that differ."""
    rows = get_rows(using=using)
    own = {c.name: c.type for c in catalogue.columns(reference.table)}
    target = {c.name: c.type for c in catalogue.columns(reference.target_table)}
    # A key may point at a table, a column or a primary key that is gone: SQLite allows it; nothing is converted then.
    pairs = [(own[c], target.get(t, own[c])) for c, t in zip(reference.columns, reference.target_columns, strict=False)]
    differ = reference.dashed or any(rows.must_convert(theirs, ours) for ours, theirs in pairs)
    collations = collations_of(catalogue.indexes(reference.target_table), reference.target_columns)
    compared = [rows.comparison(*types, collation=known) for types, known in zip(pairs, collations, strict=False)]
    indexes = catalogue.indexes(reference.table)
    indexed = has_index_on(indexes, reference.columns) or (
        bool(reference.typed_by) and has_index_on(indexes, (reference.typed_by, *reference.columns))
    )
    return replace(
        reference,
        indexed=indexed,
        # SQLite would take an index on the type alone, and read all of it for each row.
        condition=reference.condition if indexed else _without_index(reference.condition, rows),
        types=tuple(ours for ours, _ in pairs) if differ else (),
        compared=tuple(filter(None, compared)) if reference.declared or not differ else (),
    )


def _without_index(condition: SQL, rows: Rows) -> SQL:
    return SQL(f"{rows.unindexed}{condition}") if condition else condition


def _with_policy(reference: Reference, rule: DedupeRule | None) -> Reference:
    if rule is None:
        return reference
    return replace(reference, policy=rule.references.get(reference.label, reference.policy))


def _models_of(table: str, apps: Apps, catalogue: Catalogue) -> list[Any]:
    return [model for model in apps.get_models() if _is_of(model, table, catalogue)]


def _is_of(model: Any, table: str, catalogue: Catalogue) -> bool:
    return catalogue.name_of(model._meta.concrete_model._meta.db_table) == catalogue.name_of(table)
