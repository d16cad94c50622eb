"""Ids that only the rule knows to be references: inside arrays and documents, and beside a content type."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType

from integrity.dedupe import DedupeRule, InvalidRule, SoftReference, make_plan, revise_plan, undo_run
from integrity.models import SideTable
from tests.databases import Database
from tests.ponies.merging import merge, rows_of, twins
from tests.ponies.models import Pony, Toy
from tests.references.conftest import Merge
from tests.snapshots import snapshot


def herd(inside: str) -> DedupeRule:
    """A rule for ponies whose ids are inside ``herd.members``."""
    members = SoftReference(source="herd", field="members", inside=inside)
    return DedupeRule(model="ponies.Pony", fields=("name",), soft_references=(members,))


def test_an_id_in_an_array_follows(postgres_ponies: Database) -> None:
    twins()
    postgres_ponies.execute("CREATE TABLE herd (id int PRIMARY KEY, members bigint[])")
    postgres_ponies.execute("INSERT INTO herd VALUES (1, '{2,7}'), (2, '{}'), (3, NULL)")

    run = merge(herd("array"))

    assert (run.removed, run.refused) == (1, ())
    assert postgres_ponies.execute("SELECT members FROM herd ORDER BY id") == [([1, 7],), ([],), (None,)]


@pytest.mark.parametrize("members", ["{{2,7},{3,4}}", "[0:1]={2,7}"])
def test_an_array_whose_shape_would_be_lost_is_left_alone_with_its_group(
    postgres_ponies: Database, members: str
) -> None:
    twins()
    postgres_ponies.execute("CREATE TABLE herd (id int PRIMARY KEY, members bigint[])")
    postgres_ponies.execute("INSERT INTO herd VALUES (1, %s)", [members])

    run = merge(herd("array"))

    assert [refusal.reason for refusal in run.refused] == ["an array of herd.members has a shape that would be lost"]
    assert postgres_ponies.execute("SELECT members::text FROM herd") == [(members,)]
    assert Pony.all_objects.count() == 2


@pytest.mark.parametrize(("kind", "inside"), [("text[]", "array"), ("bigint", "array"), ("json", "json")])
def test_a_column_that_cannot_hold_ids_so_is_refused(postgres_ponies: Database, kind: str, inside: str) -> None:
    postgres_ponies.execute(f"CREATE TABLE herd (id int PRIMARY KEY, members {kind})")

    with pytest.raises(InvalidRule, match="asks for what the type of a column does not allow"):
        make_plan(herd(inside), apps=apps, using="default")


def test_ids_inside_a_column_are_those_of_the_primary_key(postgres_ponies: Database) -> None:
    postgres_ponies.execute("CREATE TABLE herd (id int PRIMARY KEY, members bigint[])")
    postgres_ponies.execute("ALTER TABLE ponies_pony DROP CONSTRAINT ponies_pony_pkey CASCADE")
    postgres_ponies.execute("ALTER TABLE ponies_pony ADD PRIMARY KEY (name, id)")

    with pytest.raises(InvalidRule, match="'ponies_pony' is not 'id' alone"):
        make_plan(herd("array"), apps=apps, using="default")


def test_an_id_beside_a_content_type_follows_where_it_is_of_the_rules_model(ponies: Database, merge: Merge) -> None:
    first, second = twins()
    pony, toy = (ContentType.objects.get_for_model(model).pk for model in (Pony, Toy))
    ponies.execute("CREATE TABLE visits (id int PRIMARY KEY, kind int, object_id varchar(50))")
    ponies.execute(f"INSERT INTO visits VALUES (1, {pony}, '{second.pk}'), (2, {toy}, '{second.pk}')")
    visits = SoftReference(source="visits", field="object_id", content_type="kind")

    run = merge(model="ponies.Pony", fields=("name",), soft_references=(visits,))

    assert (run.removed, run.repointed) == (1, 1)
    assert ponies.execute("SELECT id, object_id FROM visits ORDER BY id") == [(1, str(first.pk)), (2, str(second.pk))]


def test_where_the_rules_model_has_no_content_type_no_row_can_name_it(ponies: Database, merge: Merge) -> None:
    _, second = twins()
    ContentType.objects.filter(app_label="ponies").delete()
    ponies.execute("CREATE TABLE visits (id int PRIMARY KEY, kind int, object_id varchar(50))")
    ponies.execute(f"INSERT INTO visits VALUES (1, 1, '{second.pk}')")
    visits = SoftReference(source="visits", field="object_id", content_type="kind")

    assert merge(model="ponies.Pony", fields=("name",), soft_references=(visits,)).repointed == 0


def test_a_content_type_tells_nothing_of_ids_inside_a_value() -> None:
    with pytest.raises(InvalidRule, match="Leave `inside` or `content_type` out"):
        SoftReference(source="visits", field="ids", inside="json", content_type="kind")


def documents(ponies: Database, declaration: str, *rows: tuple[object, ...]) -> DedupeRule:
    """A rule for ponies whose ids are in documents of a table ``herd``, which is made."""
    ponies.execute(f"CREATE TABLE herd ({declaration}, members jsonb)")
    for *values, members in rows:
        ponies.execute(f"INSERT INTO herd VALUES ({', '.join(map(str, values))}, '{members}')")
    members = SoftReference(source="herd", field="members", inside="json", path=("ids",))
    return DedupeRule(model="ponies.Pony", fields=("name",), soft_references=(members,))


def test_a_row_that_goes_itself_keeps_the_ids_inside_it(ponies: Database) -> None:
    twins()
    for pk in (3, 4):
        Pony.all_objects.create(pk=pk, name="Star")
    rule = documents(
        ponies,
        "id int PRIMARY KEY, leader bigint UNIQUE REFERENCES ponies_pony",
        (1, 1, '{"ids": []}'),
        (2, 2, '{"ids": [2, 4]}'),
    )
    before = snapshot()

    run = merge(rule, batch_size=1)

    assert (run.removed, run.collisions, run.refused) == (2, 1, ())
    assert undo_run(run.id, apps=apps, using="default").refused == ()
    assert snapshot() == before


def test_a_redundant_row_that_holds_the_id_of_another_goes_with_it(ponies: Database) -> None:
    ponies.execute("ALTER TABLE ponies_pony ADD COLUMN friends jsonb")
    twins()
    for pk in (3, 4):
        Pony.all_objects.create(pk=pk, name="Star")
    ponies.execute("UPDATE ponies_pony SET friends = '{\"ids\": [2]}' WHERE id = 4")
    friends = SoftReference(source="ponies_pony", field="friends", inside="json", path=("ids",))
    rule = DedupeRule(model="ponies.Pony", fields=("name",), soft_references=(friends,))
    plan = make_plan(rule, apps=apps, using="default")

    plan = revise_plan(plan.id, rule, apps=apps, using="default", exclude=[2])

    assert {refusal.reason: refusal.groups for refusal in plan.refused} == {
        "excluded by hand": 1,
        "tied to a group that was excluded by hand: some row refers to both": 1,
    }


def test_ids_inside_a_row_with_a_primary_key_called_as_a_column_of_ours(ponies: Database) -> None:
    twins()

    run = merge(documents(ponies, "grp int PRIMARY KEY", (5, '{"ids": [2]}')))

    assert (run.removed, run.repointed, run.refused) == (1, 1, ())
    (kept,) = SideTable.objects.filter(kind="changes", table="herd")
    assert [row["integrity_group"] for row in rows_of(kept.name)] == [1]


def test_ids_inside_a_row_that_gets_another_primary_key_leave_its_group_alone(ponies: Database) -> None:
    twins()
    rule = documents(ponies, "leader bigint PRIMARY KEY REFERENCES ponies_pony", (2, '{"ids": [2]}'))

    run = merge(rule)

    assert [refusal.reason for refusal in run.refused] == [
        "a row of herd holds ids in herd.members and gets another key"
    ]
