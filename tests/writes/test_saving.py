"""Fields of packages that hash, compute or set another column when they are saved; on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from django.core.files.base import ContentFile
from django.db import models

from integrity.writes import RowRejected, upsert
from tests.databases import Database
from tests.writes.books import a_model_of_books

if TYPE_CHECKING:
    Text = models.CharField[Any, Any]
    Number = models.IntegerField[Any, Any]
else:
    Text, Number = models.CharField, models.IntegerField

BY_ISBN = models.UniqueConstraint(fields=["isbn"], name="one_isbn")
MANY = 600
"""More values than travel in one statement on PostgreSQL."""


class Hashed(Text):
    """Keeps its text backwards, once, as fields of packages hash a secret."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = getattr(model_instance, self.attname)
        if value and not value.startswith("hash:"):
            setattr(model_instance, self.attname, f"hash:{value[::-1]}")
        return super().pre_save(model_instance, add)


class Slug(Text):
    """Is made of the title."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        return getattr(model_instance, self.attname) or model_instance.title.lower()  # type: ignore[attr-defined]


class Excerpt(Text):
    """Sets another column."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        text = super().pre_save(model_instance, add)
        model_instance.excerpt = text[:3]  # type: ignore[attr-defined]
        return text


class Amount(NamedTuple):
    number: int
    currency: str


class _Setting:
    def __init__(self, field: models.Field[Any, Any]) -> None:
        self.field = field

    def __set__(self, instance: models.Model, value: Any) -> None:
        if isinstance(value, Amount):
            instance.currency = value.currency  # type: ignore[attr-defined]
            value = value.number
        vars(instance)[self.field.attname] = value

    def __get__(self, instance: models.Model | None, owner: Any) -> Any:
        return self if instance is None else vars(instance)[self.field.attname]


class Price(Number):
    """Sets another column as soon as it is set."""

    descriptor_class = _Setting


@pytest.mark.parametrize("many", [1, MANY])
def test_a_field_that_hashes_stores_the_hash_and_the_same_again_is_unchanged(database: Database, many: int) -> None:
    book = a_model_of_books(BY_ISBN, secret=Hashed(max_length=20, default="none"))
    rows = [{"isbn": str(n), "secret": "abc"} for n in range(many)]

    first = upsert(model=book, rows=rows, constraint="one_isbn")
    again = upsert(model=book, rows=rows, constraint="one_isbn")

    assert set(book.objects.values_list("secret", flat=True)) == {"hash:cba"}
    assert (len(first.inserted), len(again.unchanged)) == (many, many)


def test_a_default_and_a_touched_value_are_hashed_as_well(database: Database) -> None:
    book = a_model_of_books(BY_ISBN, secret=Hashed(max_length=20, default="none"))

    upsert(model=book, rows=[{"isbn": "a"}], constraint="one_isbn")
    upsert(model=book, rows=[{"isbn": "b", "title": "B"}], constraint="one_isbn", touch={"secret": "xyz"})

    assert dict(book.objects.values_list("isbn", "secret")) == {"a": "hash:enon", "b": "hash:zyx"}


def test_a_field_that_is_computed_from_others_is_so_for_new_rows(database: Database) -> None:
    book = a_model_of_books(BY_ISBN, slug=Slug(max_length=20))

    upsert(model=book, rows=[{"isbn": "a", "title": "First"}], constraint="one_isbn")
    upsert(model=book, rows=[{"isbn": "a", "title": "Second"}, {"isbn": "b", "title": "New"}], constraint="one_isbn")

    assert dict(book.objects.values_list("title", "slug")) == {"Second": "first", "New": "new"}


@pytest.mark.parametrize(
    ("name", "fields", "value", "stored"),
    [
        ("text", {"text": Excerpt(max_length=9), "excerpt": models.CharField(max_length=3)}, "abcdef", "abc"),
        (
            "price",
            {"currency": models.CharField(max_length=3, default="EUR"), "price": Price()},
            Amount(3, "EUR"),
            "EUR",
        ),
    ],
)
def test_a_field_that_sets_another_column_wants_that_brought(
    database: Database, name: str, fields: dict[str, Any], value: Any, stored: str
) -> None:
    book = a_model_of_books(BY_ISBN, **fields)
    other = next(other for other in fields if other != name)

    with pytest.raises(RowRejected, match=rf"row 0 \(isbn=a\): .* sets {other} as well, which it does not bring"):
        upsert(model=book, rows=[{"isbn": "a", name: value}], constraint="one_isbn")
    upsert(model=book, rows=[{"isbn": "a", name: value, other: "?"}], constraint="one_isbn")

    assert list(book.objects.values_list(other, flat=True)) == [stored]


def test_the_row_whose_field_cannot_be_saved_is_named_and_left_out(database: Database) -> None:
    class Picky(Text):
        def pre_save(self, model_instance: models.Model, add: bool) -> Any:
            return int(getattr(model_instance, self.attname))

    book = a_model_of_books(BY_ISBN, number=Picky(max_length=9))
    rows = [{"isbn": "a", "number": "one"}, {"isbn": "b", "number": "2"}]

    result = upsert(model=book, rows=rows, constraint="one_isbn", on_error="isolate")

    assert [failed.position for failed in result.failed] == [0]
    assert list(book.objects.values_list("isbn", "number")) == [("b", "2")]


def test_objects_for_foreign_keys_and_columns_attributes_serve_beside_such_a_field(database: Database) -> None:
    book = a_model_of_books(BY_ISBN, secret=Hashed(max_length=20))
    shelf = book._meta.get_field("shelf").related_model.objects.create(name="top")

    upsert(model=book, rows=[{"isbn": "a", "secret": "x", "shelf": shelf}], constraint="one_isbn")
    upsert(model=book, rows=[{"isbn": "b", "secret": "x", "shelf_id": shelf.pk}], constraint="one_isbn")

    assert set(book.objects.values_list("shelf", flat=True)) == {shelf.pk}


def test_a_new_file_is_to_be_saved_first_and_its_name_is_stored(database: Database) -> None:
    book = a_model_of_books(BY_ISBN, cover=models.FileField(null=True))

    with pytest.raises(RowRejected, match=r"'c\.png' is in no storage yet"):
        upsert(model=book, rows=[{"isbn": "a", "cover": ContentFile(b"", name="c.png")}], constraint="one_isbn")
    upsert(model=book, rows=[{"isbn": "a", "cover": "c.png"}], constraint="one_isbn")
    upsert(model=book, rows=[{"isbn": "b", "cover": book.objects.get().cover}], constraint="one_isbn")

    assert list(book.objects.values_list("cover", flat=True)) == ["c.png", "c.png"]
