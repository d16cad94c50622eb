"""Random rows for the hostile tables: small numbers everywhere, so that they collide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from hypothesis import strategies as st

from tests.ponies.models import Pony, Toy

Rows = list[dict[str, Any]]
Herd = dict[str, Rows]
"""Rows by table, parents before children."""


def rows(*, at_most: int = 6, unique: Sequence[str] = (), **columns: st.SearchStrategy[Any]) -> st.SearchStrategy[Rows]:
    """Rows numbered from 1 in ``id``; those that would not be ``unique`` (a NULL never is) are left out."""

    def key(row: dict[str, Any]) -> object:
        values = tuple(row[name] for name in unique)
        return object() if None in values or not values else values

    found = st.lists(st.fixed_dictionaries(columns), max_size=at_most, unique_by=key)
    return found.map(lambda many: [{"id": number, **row} for number, row in enumerate(many, 1)])


@st.composite
def herds(draw: st.DrawFn, *, friends: bool = False) -> Herd:
    """Ponies with names that repeat, and everything that can reference them.

    ``friends`` lets ponies be friends one to one, so that ponies of different names may collide.
    """
    count = draw(st.integers(2, 7))
    pony = st.integers(1, count)
    maybe = st.none() | pony
    number = st.none() | st.integers(1, 2)
    text = st.sampled_from(["x", "y"])
    herd: Herd = {"ponies_pony": draw(_ponies(count, friends=friends))}
    codes = [row["code"] for row in herd["ponies_pony"] if row["code"]]
    herd["ponies_show"] = [{"id": 1, "name": "spring"}, {"id": 2, "name": "autumn"}]
    herd["ponies_toy"] = [{"id": 1, "name": "ball"}, {"id": 2, "name": "rope"}]
    some = st.integers(1, 2)
    herd["ponies_ribbon"] = draw(rows(unique=["pony_id", "show_id"], pony_id=pony, show_id=some, place=number))
    ribbons = len(herd["ponies_ribbon"])
    if ribbons:
        ribbon = st.integers(1, ribbons)
        herd["ponies_score"] = draw(
            rows(unique=["ribbon_id", "judge"], at_most=8, ribbon_id=ribbon, judge=number, points=some)
        )
    herd["ponies_passport"] = draw(rows(unique=["pony_id"], pony_id=pony, number=text))
    brains = draw(rows(unique=["pony_id"], pony_id=pony, thoughts=text))
    herd["ponies_brain"] = [{name: row[name] for name in ("pony_id", "thoughts")} for row in brains]
    herd["ponies_bridle"] = draw(rows(unique=["left_id", "right_id"], left_id=pony, right_id=maybe))
    herd["ponies_softnote"] = draw(rows(pony_id=pony, text=text, deleted=st.booleans()))
    herd["ponies_loosenote"] = draw(rows(pony_id=maybe | st.just(99), text=text))
    if codes:
        herd["ponies_stall"] = draw(rows(pony_id=st.sampled_from(codes), number=some))
    herd["ponies_pony_companions"] = draw(
        rows(unique=["from_pony_id", "to_pony_id"], from_pony_id=pony, to_pony_id=pony)
    )
    herd["ponies_pony_toys"] = draw(rows(unique=["pony_id", "toy_id"], pony_id=pony, toy_id=some))
    herd["ponies_trace"] = draw(rows(unique=["pony", "limit"], pony=maybe, limit=number))
    herd["ponies_oldnote"] = draw(rows(pony_id=pony, text=text))
    types = st.sampled_from([ContentType.objects.get_for_model(model).pk for model in (Pony, Toy)])
    herd["ponies_label"] = draw(
        rows(unique=["content_type_id", "object_id", "text"], content_type_id=types, object_id=pony, text=text)
    )
    herd["ponies_remark"] = draw(rows(about_type_id=types, about_id=pony.map(str), text=text))
    return herd


@st.composite
def _ponies(draw: st.DrawFn, count: int, *, friends: bool) -> Rows:
    """Ponies that descend from each other in any way, rings included."""
    friend = draw(st.permutations(range(1, count + 1))) if friends else [None] * count
    return [
        {
            "id": number,
            "name": draw(st.sampled_from("ab")),
            "foaled": draw(st.none() | st.integers(1, 3)),
            "sire_id": draw(st.none() | st.integers(1, count)),
            "gone": draw(st.booleans()),
            "friend_id": friend[number - 1],
            "code": draw(st.sampled_from([None, f"c{number}"])),
        }
        for number in range(1, count + 1)
    ]


@st.composite
def clubs(draw: st.DrawFn) -> Herd:
    """Contacts that are the same but for their letters' case, under every odd kind of uniqueness."""
    count = draw(st.integers(2, 6))
    contact = st.integers(1, count)
    address = st.none() | st.sampled_from(["a", "A", "b", "B"])
    names = draw(st.lists(address, min_size=count, max_size=count))
    herd: Herd = {"ponies_contact": [{"id": n, "address": name} for n, name in enumerate(names, 1)]}
    clubs = draw(rows(at_most=8, contact_id=contact, club=st.none() | st.sampled_from("xy"), active=st.booleans()))
    active: set[object] = set()
    herd["ponies_membership"] = [
        row for row in clubs if not row["active"] or _is_new((row["contact_id"], row["club"]), active)
    ]
    slots = draw(rows(contact_id=st.none() | contact, hour=st.none() | st.integers(1, 2)))
    taken: set[object] = set()
    herd["ponies_slot"] = [row for row in slots if _is_new((row["contact_id"], row["hour"]), taken)]
    starts = draw(rows(unique=["contact_id", "race"], contact_id=contact, race=st.sampled_from("xy"), bet=contact))
    herd["ponies_start"] = [{name: row[name] for name in ("contact_id", "race", "bet")} for row in starts]
    return herd


def _is_new(value: object, known: set[object]) -> bool:
    if value in known:
        return False
    known.add(value)
    return True


def fill(herd: Herd) -> None:
    """Let the database hold these rows and nothing else of ours or of the ponies'."""
    _wipe()
    with transaction.atomic(), connection.cursor() as cursor:
        for table, many in ((table, many) for table, many in herd.items() if many):
            names = list(many[0])
            statement = 'INSERT INTO "{}" ({}) VALUES ({})'.format(
                table, ", ".join(f'"{name}"' for name in names), ", ".join(["%s"] * len(names))
            )
            cursor.executemany(statement, [[row[name] for name in names] for row in many])


def _wipe() -> None:
    """Empty the tables: much faster than a new database for each example."""
    emptied, dropped = [], []
    for name in connection.introspection.table_names():
        if name.startswith("integrity_plan_"):
            dropped.append(f'DROP TABLE "{name}"')
        elif name.startswith(("ponies", "integrity_quarantine_", "integrity_changes_", "integrity_run")):
            emptied.append(f'DELETE FROM "{name}"')
    emptied.append("DELETE FROM integrity_plan")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("; ".join(["SET session_replication_role = replica", *emptied, *dropped]))
            cursor.execute("SET session_replication_role = origin")
            return
        with connection.constraint_checks_disabled():
            for statement in (*emptied, *dropped):
                cursor.execute(statement)
