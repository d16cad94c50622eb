"""A rule: what must be unique in a table, and which row of a duplicate group survives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import F, Q, UniqueConstraint

from integrity.backends.expressions import bare
from integrity.dedupe.keep import Earliest, Keep
from integrity.exceptions import IntegrityAppError

REPOINT: Final = "repoint"
QUARANTINE: Final = "quarantine"
REFUSE: Final = "refuse"
POLICIES: Final = (REPOINT, QUARANTINE, REFUSE)
"""What may happen to rows that reference a redundant row: follow the survivor, go too, or keep the group as it is."""

KEEP: Final = "keep"
IDENTICAL_ONLY: Final = "identical-only"
CONFLICTS: Final = (KEEP, IDENTICAL_ONLY, REFUSE)
"""What may happen to redundant rows that say something else than the survivor."""

DISTINCT: Final = "distinct"
EQUAL: Final = "equal"
NULLS: Final = (DISTINCT, EQUAL)
"""Whether rows with NULL in their key are all different, as databases have it, or share it."""

_FIELD = re.compile(r"\bF\((\w+)\)")  # as Django prints it

MERGES: Final = ("first-not-null", "max", "min", "sum", "latest")
"""How a field of the survivor may be filled from the whole group."""


class InvalidRule(IntegrityAppError):
    """The rule does not fit its model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftReference:
    """Ids of the rule's rows in a column that is no foreign key.

    Args:
        source: ``app_label.Model``, or the name of a table that has no model.
        field: the field, or column, that holds the id or ids.
        inside: "" where the value is the id; ``array`` for an array of ids; ``json`` for ids in a JSON document.
        path: for ``json``, the object keys that lead to the id, or to an array of ids.
        content_type: the field, or column, that holds the content type of what the id is of, where that varies.
        policy: as for any reference.
    """

    source: str
    field: str
    inside: str = ""
    path: tuple[str, ...] = ()
    content_type: str = ""
    policy: str = REPOINT

    def __post_init__(self) -> None:
        if self.inside and self.content_type:
            raise InvalidRule(
                f"The reference in {self.source}.{self.field}: a content type tells whose the id is where the value is "
                "the id. Leave `inside` or `content_type` out."
            )


@dataclass(frozen=True, kw_only=True)
class DedupeRule:
    """One row for each key in a model's table.

    Args:
        model: ``app_label.Model``.
        fields: the key, as field names; or
        constraint: a ``UniqueConstraint`` of the model, itself or by name: fields, expressions, condition and
            ``nulls_distinct`` come from it, so that the finder treats NULL exactly as the constraint will.
        nulls: with ``fields``, whether NULLs in the key are ``distinct`` (the default) or ``equal``.
        keep: how the survivor is chosen, most important first; always ends in the primary key.
        complete: conditions that a finished row meets, the strictest first. Rows that meet an earlier one come
            before all others whatever ``keep`` says: an unfinished row never wins over a finished one.
        content: the fields that tell "identical" from "conflicting"; default: all but key, primary key, ``ignore``.
        ignore: fields that may differ between identical rows.
        clock: the field that tells a row's age, for ``--keep earliest`` and ``latest``.
        conflict: ``keep`` (the rest goes to quarantine), ``identical-only`` (only rows that equal the survivor in
            every column but primary key and ``ignore`` go), ``refuse`` (no group is touched: report only).
        merge: fields of the survivor to be filled from the group: ``{"seen_at": "max"}``; see ``MERGES``.
        references: policies other than repoint, by ``table.column``.
        soft_references: ids of this rule's rows in columns that are no foreign keys.
        vector: a field holding vectors, for the distance shown with conflicting rows.
        name: what commands and books call it; default: the model's label and its key.
    """

    model: str
    fields: tuple[str, ...] = ()
    constraint: UniqueConstraint | str | None = None
    nulls: str = ""
    keep: tuple[Keep, ...] = field(default_factory=lambda: (Earliest(),))
    complete: tuple[Q, ...] = ()
    content: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    conflict: str = KEEP
    merge: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    soft_references: tuple[SoftReference, ...] = ()
    vector: str | None = None
    clock: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if bool(self.fields) == bool(self.constraint):
            raise InvalidRule(f"Rule for {self.model}: give either `fields` or `constraint`.")
        if self.constraint and self.nulls:
            raise InvalidRule(f"Rule for {self.model}: the constraint says what NULLs are. Leave `nulls` out.")
        policies = (*self.references.values(), *(soft.policy for soft in self.soft_references))
        nulls = filter(None, (self.nulls,))
        for words, allowed in (
            ((self.conflict,), CONFLICTS),
            (nulls, NULLS),
            (self.merge.values(), MERGES),
            (policies, POLICIES),
        ):
            if unknown := sorted(set(words) - set(allowed)):
                raise InvalidRule(f"Rule for {self.model}: {unknown[0]!r} is none of {', '.join(allowed)}.")
        if not self.name:
            object.__setattr__(self, "name", f"{self.model}:{self._key_name()}")

    def _key_name(self) -> str:
        if isinstance(self.constraint, UniqueConstraint):
            return self.constraint.name
        return self.constraint or ",".join(self.fields)


@dataclass(frozen=True, kw_only=True)
class Key:
    """What must be unique, in Django's expressions, with the constraint's own treatment of NULL."""

    expressions: tuple[Any, ...]
    fields: tuple[str, ...]
    """The field names, where the key is made of plain fields only; else empty."""
    condition: Q | None
    nulls_distinct: bool

    @property
    def parts(self) -> tuple[str, ...]:
        """Each part in words: a field's name, or an expression such as ``Lower(email)``."""
        return tuple(_FIELD.sub(r"\1", str(expression)) for expression in self.expressions)

    @classmethod
    def of_rule(cls, rule: DedupeRule, model: Any) -> Key:
        """Read the key from the rule, or from the constraint that it names on the model.

        Raises:
            InvalidRule: the model has no such field or no such constraint.
        """
        if rule.fields:
            require_own_fields(rule.fields, label=rule.model, model=model)
            return cls(
                expressions=tuple(F(name) for name in rule.fields),
                fields=tuple(rule.fields),
                condition=None,
                nulls_distinct=rule.nulls != EQUAL,
            )
        constraint = rule.constraint
        if not isinstance(constraint, UniqueConstraint):
            constraint = _constraint_named(str(constraint), rule.model, model)
        require_own_fields(constraint.fields, label=rule.model, model=model)
        return cls(
            expressions=tuple(map(bare, constraint.expressions)) or tuple(F(name) for name in constraint.fields),
            fields=tuple(constraint.fields),
            condition=constraint.condition,
            nulls_distinct=constraint.nulls_distinct is not False,
        )

    def is_that_of(self, constraint: UniqueConstraint, model: Any) -> bool:
        """Whether a constraint makes just this unique: fields in any order, or expressions; the same rows and NULLs."""
        own = Key.of_rule(DedupeRule(model=model._meta.label, constraint=constraint), model)
        if (own.condition, own.nulls_distinct) != (self.condition, self.nulls_distinct):
            return False
        if own.fields and self.fields:
            return field_names(model, own.fields) == field_names(model, self.fields)
        return own.expressions == self.expressions


def field_names(model: Any, names: Iterable[str]) -> frozenset[str]:
    """Field names without ``_id``: both spellings are allowed."""
    return frozenset(model._meta.get_field(name).name for name in names)


def require_own_fields(names: Iterable[str], *, label: str, model: Any) -> None:
    """See that each name is that of a column of the model's own table.

    Raises:
        InvalidRule: it is that of no field, of a relation that is kept elsewhere, or of a column of a parent's table.
    """
    meta = model._meta.concrete_model._meta
    own = {name for field in meta.local_concrete_fields for name in (field.name, field.attname)}
    inherited = {field.name: field.model._meta.label for field in meta.concrete_fields if field.name not in own}
    for name in names:
        if name in inherited:
            raise InvalidRule(
                f"The field {name!r} of {label} is in the table of {inherited[name]}. Give the rule that model."
            )
        if name not in own:
            raise InvalidRule(
                f"{label} has no field {name!r} that is a column. "
                f"Choose from: {', '.join(sorted(f.name for f in meta.local_concrete_fields))}."
            )


def _constraint_named(name: str, label: str, model: Any) -> UniqueConstraint:
    declared = model._meta.concrete_model._meta.constraints  # a proxy's are those of the model behind it
    unique = [c for c in declared if isinstance(c, UniqueConstraint)]
    for constraint in unique:
        if constraint.name == name:
            return constraint
    have = ", ".join(c.name for c in unique) or "none"
    raise InvalidRule(f"{label} has no UniqueConstraint {name!r} (it has: {have}). Name one of them, or give a key.")
