"""The code of a guard's trigger; see Note [The guard]."""

from __future__ import annotations

from collections.abc import Sequence

from integrity.backends.postgresql.keys import KeyParts
from integrity.backends.sql import SQL, columns, compose, joined, literal, numbered

_BODY = """
#variable_conflict use_column
DECLARE
    integrity_new record;
    integrity_held record;
BEGIN
    SELECT {new_pk}, {selected} INTO integrity_new FROM (SELECT NEW.*) AS t WHERE {covered};
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        PERFORM 1 FROM (SELECT {old_pk}, {selected} FROM (SELECT OLD.*) AS t WHERE {covered}) AS s
        WHERE {unchanged};
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    LOOP
        IF current_setting('transaction_isolation') = 'read committed' THEN
            INSERT INTO {guard} VALUES ({values}, FALSE) ON CONFLICT DO NOTHING;
            IF FOUND THEN
                RETURN NULL;
            END IF;
        ELSE
            -- Here ON CONFLICT would call a key that the snapshot cannot see a serialization failure.
            BEGIN
                INSERT INTO {guard} VALUES ({values}, FALSE);
                RETURN NULL;
            EXCEPTION WHEN unique_violation THEN
                NULL;
            END;
        END IF;
        SELECT * INTO integrity_held FROM {guard} AS g WHERE {same_key} FOR UPDATE;
        EXIT WHEN NOT FOUND AND current_setting('transaction_isolation') <> 'read committed';
        CONTINUE WHEN NOT FOUND;
        IF {held_by_new} THEN
            RETURN NULL;
        END IF;
        PERFORM 1 FROM {table} AS t WHERE {is_holder} AND {covered} AND {has_key} FOR SHARE;
        EXIT WHEN FOUND;
        IF integrity_held.many THEN
            PERFORM 1 FROM {table} AS t
            WHERE ({pk}) IN (SELECT {member_pk} FROM {members} AS m WHERE {is_member})
              AND NOT ({is_new}) AND {covered} AND {has_key} LIMIT 1 FOR SHARE;
            EXIT WHEN FOUND;
        END IF;
        UPDATE {guard} AS g SET many = FALSE, {take_over} WHERE {same_key};
        RETURN NULL;
    END LOOP;
    RAISE unique_violation USING
        MESSAGE = format('duplicate key value violates unique constraint "%%s"', {constraint}),
        DETAIL = format('Key (%%s)=(%%s) already exists.', {key_text}, concat_ws(', ', {key_values})),
        CONSTRAINT = {constraint}, TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END
"""


def function_statement(
    *, guard: str, members: str, table: str, constraint: str, key: KeyParts, pk: Sequence[str], path: SQL
) -> SQL:
    """Return CREATE FUNCTION. It runs as its owner, because writers have no rights on the guard.

    It looks up by index whatever the statistics of a table that has just been made say.
    """
    p = numbered("p", len(pk))
    new_keys = tuple(f"integrity_new.{name}" for name in key.names)
    new_pks = tuple(f"integrity_new.{name}" for name in p)
    selected_pk = joined(", ", (compose("t.{c} AS {p}", c=c, p=name) for c, name in zip(pk, p, strict=True)))
    pairs = tuple(zip(pk, p, strict=True))
    body = compose(
        _BODY,
        guard=guard,
        members=members,
        table=table,
        constraint=literal(constraint),
        new_pk=selected_pk,
        old_pk=selected_pk,
        selected=key.selected,
        covered=SQL(f"({key.covered})"),
        unchanged=joined(" AND ", (f"s.{n} IS NOT DISTINCT FROM integrity_new.{n}" for n in (*p, *key.names))),
        values=joined(", ", (*new_pks, *new_keys)),
        same_key=key.same("g", "integrity_new"),
        pk=columns(pk, of="t"),
        member_pk=columns(p, of="m"),
        is_member=key.same("m", "integrity_new"),
        held_by_new=joined(" AND ", (f"integrity_held.{name} = integrity_new.{name}" for name in p)),
        is_holder=joined(" AND ", (compose("t.{c} = integrity_held.{p}", c=c, p=name) for c, name in pairs)),
        is_new=joined(" AND ", (compose("t.{c} = integrity_new.{p}", c=c, p=name) for c, name in pairs)),
        has_key=joined(
            " AND ",
            (
                f"({e}) {'=' if key.nulls_distinct else 'IS NOT DISTINCT FROM'} {new}"
                for e, new in zip(key.expressions, new_keys, strict=True)
            ),
        ),
        take_over=joined(", ", (f"{name} = integrity_new.{name}" for name in p)),
        key_text=literal(key.text.replace("%%", "%")),
        key_values=joined(", ", (f"COALESCE({new}::text, 'null')" for new in new_keys)),
    )
    return compose(
        """
        CREATE FUNCTION {guard}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = {path}, pg_temp SET enable_seqscan = off
        AS {body}
        """,
        guard=guard,
        path=path,
        body=SQL("$integrity$" + body + "$integrity$"),
    )
