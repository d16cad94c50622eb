"""Insert rows that are missing, change those that differ, and tell which was which: any model, any constraint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Literal, get_args

from django.db import DEFAULT_DB_ALIAS, models

from integrity.backends.writing import get_upserts
from integrity.writes.asynchronous import asynchronous
from integrity.writes.results import UpsertResult
from integrity.writes.rows import Check, InvalidUpsert, shape_of
from integrity.writes.target import find_target, make_plan, require_safe_ids
from integrity.writes.values import Row
from integrity.writes.writer import Writer

CHUNK = 20_000
OnError = Literal["raise", "isolate"]


def upsert(
    *,
    model: type[models.Model],
    rows: Iterable[Row],
    constraint: models.UniqueConstraint | str | None = None,
    unique_fields: Sequence[str] | None = None,
    update: Sequence[str] | None = None,
    coalesce: Sequence[str] = (),
    touch: Mapping[str, Any] | None = None,
    newer_wins: str | None = None,
    overwrite: models.Q | None = None,
    check: Check | None = None,
    on_error: OnError = "raise",
    chunk_size: int = CHUNK,
    using: str = DEFAULT_DB_ALIAS,
) -> UpsertResult:
    """Bring rows to a table, one for each key, however often and by however many callers at once.

    Rows are read and written in chunks; each chunk is a transaction of its own, written in key order, and run again
    when it lost against another writer. Inside a caller's transaction all of it is part of that one. The table gets
    what it would get from the rows one after another.

    Args:
        model: whose table; ``auto_now`` and ``auto_now_add`` fields that no row brings are maintained, as in
            ``save()``.
        rows: mappings from field name (or column attribute) to value, all with the same names.
        constraint: the UniqueConstraint that tells which row is meant, itself or by the name that the model has; or
        unique_fields: the fields of one.
        update: which fields an existing row gets; default: all that the rows bring. ``()`` leaves it as it is.
        coalesce: those in which None says nothing: what an existing row has there, it keeps.
        touch: values that an existing row gets only if something else is changed, and a new row always; of fields
            that the rows do not bring.
        newer_wins: a field. An existing row is overwritten by a newer one only; NULL is older than anything.
        overwrite: a condition on the existing row without which it is left as it is.
        check: called with each row; raises ValueError or ValidationError for one that must not be written.
        on_error: ``isolate`` leaves out the rows that the database rejects, and reports them in ``failed``.
        chunk_size: rows in memory, and in one transaction; at least 1.
        using: the database alias.

    Raises:
        InvalidUpsert: the arguments do not fit the model.
        MissingConstraint: the database lacks the constraint.
        UnsafeIdStorage: the table would store some ids as other values (SQLite).
        RowRejected: a row cannot be written as it is. Chunks before it are written.
        ConstraintViolated: the database rejected a row by another constraint. Chunks before it are written.
        DataError: a column cannot hold a value: Django's own error. Chunks before it are written.
    """
    chunks = upsert_chunks(
        model=model,
        rows=rows,
        constraint=constraint,
        unique_fields=unique_fields,
        update=update,
        coalesce=coalesce,
        touch=touch,
        newer_wins=newer_wins,
        overwrite=overwrite,
        check=check,
        on_error=on_error,
        chunk_size=chunk_size,
        using=using,
    )
    return UpsertResult.sum(list(chunks))


def upsert_chunks(
    *,
    model: type[models.Model],
    rows: Iterable[Row],
    constraint: models.UniqueConstraint | str | None = None,
    unique_fields: Sequence[str] | None = None,
    update: Sequence[str] | None = None,
    coalesce: Sequence[str] = (),
    touch: Mapping[str, Any] | None = None,
    newer_wins: str | None = None,
    overwrite: models.Q | None = None,
    check: Check | None = None,
    on_error: OnError = "raise",
    chunk_size: int = CHUNK,
    using: str = DEFAULT_DB_ALIAS,
) -> Iterator[UpsertResult]:
    """Do the same, and yield each chunk's result once it is written: memory stays flat, whatever comes.

    Raises:
        IntegrityAppError: as ``upsert``.
    """
    if chunk_size < 1:
        raise InvalidUpsert(f"A chunk of {chunk_size} rows writes nothing. Give a chunk_size from 1.")
    if on_error not in get_args(OnError):
        raise InvalidUpsert(f"There is no on_error={on_error!r}. Choose from: {', '.join(get_args(OnError))}.")
    model = model._meta.concrete_model or model  # a proxy's fields and constraints are those of the model behind it
    target = find_target(model, constraint=constraint, unique_fields=unique_fields)
    if not isinstance(rows, Iterable):
        raise InvalidUpsert(f"{model._meta.label}: `rows` is a {type(rows).__name__}. Give mappings, in a list or so.")
    incoming = iter(rows)
    head = list(islice(incoming, 1))
    if not head:
        return
    get_upserts(using=using).take_turn(model._meta.db_table)
    require_safe_ids(model, using=using)
    shape = shape_of(head[0], model=model, touch=touch or {}, needed=target.needed, check=check, using=using)
    plan = make_plan(
        target, shape=shape, update=update, coalesce=coalesce, newer_wins=newer_wins, overwrite=overwrite, using=using
    )
    writer = Writer(target=target, shape=shape, plan=plan, isolate=on_error == "isolate", using=using)
    numbered = enumerate(chain(head, incoming))
    while chunk := list(islice(numbered, chunk_size)):
        yield writer.write(chunk)


aupsert = asynchronous(upsert)
