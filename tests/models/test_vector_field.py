"""VectorField: what is written is a vector of the right length and finite; what is read never crashes."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
import pytest
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from integrity.models import Embedding, ExperimentRun, Invocation
from integrity.models.fields import InvalidVector, MalformedVector, VectorField
from tests.databases import Database

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)


def small_field(**kwargs: Any) -> VectorField:
    field = VectorField(dimensions=4, **kwargs)
    field.set_attributes_from_name("vector")
    return field


def read(field: VectorField, stored: bytes | None) -> Any:
    return field.from_db_value(stored, None, connection)


def an_invocation() -> Invocation:
    run = ExperimentRun.objects.create(network=["a"], seed=1, max_length=2, initial_prompt="hello")
    return Invocation.objects.create(model="m", type="TEXT", seed=1, run=run, sequence_number=0)


@given(hnp.arrays(np.float32, 4, elements=float32s))
def test_what_was_written_is_read_back(vector: np.ndarray[Any, Any]) -> None:
    field = small_field()

    found = read(field, field.get_prep_value(vector))

    assert found.dtype == np.float32
    assert found.tobytes() == vector.tobytes()


@given(st.lists(float32s, min_size=4, max_size=4))
def test_the_bytes_are_little_endian_float32_without_a_header(numbers: list[float]) -> None:
    assert small_field().get_prep_value(numbers) == struct.pack("<4f", *numbers)


@given(hnp.arrays(st.sampled_from([">f4", ">f8", "<f8", "f2", "i2", "u1"]), 4, elements=st.integers(0, 200)))
def test_any_real_number_type_and_byte_order_is_taken(vector: np.ndarray[Any, Any]) -> None:
    found = read(small_field(), small_field().get_prep_value(vector))

    assert found.tolist() == vector.tolist()


@given(st.binary(max_size=40).filter(lambda stored: len(stored) != 16))
def test_a_stored_value_of_another_length_is_given_as_malformed(stored: bytes) -> None:
    found = read(small_field(), stored)

    assert isinstance(found, MalformedVector)
    assert found == stored


@given(st.binary(min_size=16, max_size=16))
def test_any_stored_value_of_the_right_length_is_read_even_nan(stored: bytes) -> None:
    assert read(small_field(), stored).shape == (4,)


def test_null_is_none() -> None:
    assert read(small_field(), None) is None
    assert small_field().get_prep_value(None) is None


def test_what_was_read_can_be_changed() -> None:
    found = read(small_field(), bytes(16))

    found += 1

    assert found.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([1, 2, 3], r"a vector of 4 numbers is wanted, this has the shape \(3,\)"),
        ([[1, 2], [3, 4]], r"has the shape \(2, 2\)"),
        ([1, 2, float("nan"), 4], "number 2 is nan"),
        ([1, float("-inf"), 3, 4], "number 1 is -inf"),
        ([1, 2, 3, 1e39], "number 3 is 1e[+]39"),
        (["1", "2", "3", "4"], "a vector is made of real numbers"),
        ([1j, 2, 3, 4], "a vector is made of real numbers"),
        ([[1], [2, 3]], "no vector can be made of this value"),
        (b"abc", "3 bytes are not 4 float32 numbers"),
        (MalformedVector(b"abc"), "3 bytes are not 4 float32 numbers"),
        (struct.pack("<4f", 1, 2, 3, float("nan")), "number 3 is nan"),
        (17, r"has the shape \(\)"),
    ],
)
def test_what_is_no_vector_is_refused_with_the_fields_name_and_the_problem(value: Any, problem: str) -> None:
    field = small_field()
    field.model = Embedding

    with pytest.raises(InvalidVector, match=rf"^integrity\.Embedding\.vector: .*{problem}"):
        field.get_prep_value(value)


def test_cleaning_takes_an_array_and_names_what_is_wrong() -> None:
    field = small_field(null=True, blank=True, editable=True)

    assert field.clean(np.ones(4), None).tolist() == [1, 1, 1, 1]
    assert field.clean(None, None) is None
    with pytest.raises(ValidationError, match="number 0 is nan"):
        field.clean([float("nan"), 0, 0, 0], None)


def test_migrations_name_the_field_by_its_package_and_its_dimensions() -> None:
    _, path, args, kwargs = VectorField(null=True).deconstruct()

    assert (path, args, kwargs) == ("integrity.models.fields.VectorField", [], {"null": True, "dimensions": 768})


def test_a_vector_goes_through_either_database_unchanged(database: Database) -> None:
    vector = np.random.default_rng(1).normal(size=768).astype(np.float32)
    invocation = an_invocation()

    Embedding.objects.bulk_create(
        [Embedding(invocation=invocation, embedding_model=str(n), vector=v) for n, v in enumerate([vector, None])]
    )

    found, none = Embedding.objects.order_by("embedding_model")
    assert found.vector.tobytes() == vector.tobytes()
    assert none.vector is None
    assert Embedding.objects.get(vector=vector) == found
    ((stored,),) = database.execute("SELECT vector FROM embedding WHERE vector IS NOT NULL")
    assert bytes(stored) == vector.astype("<f4").tobytes()


def test_a_vector_can_be_updated_in_bulk(database: Database) -> None:
    embedding = Embedding.objects.create(invocation=an_invocation(), embedding_model="m")
    embedding.vector = np.full(768, 0.5)

    Embedding.objects.bulk_update([embedding], ["vector"])

    embedding.refresh_from_db()
    assert set(embedding.vector.tolist()) == {0.5}


def test_a_malformed_row_is_listed_and_survives_a_fixture(database: Database) -> None:
    Embedding.objects.create(invocation=an_invocation(), embedding_model="m")
    literal = "'\\xdeadbe'" if database.vendor == "postgresql" else "X'deadbe'"
    database.execute(f"UPDATE embedding SET vector = {literal}")

    (found,) = Embedding.objects.all()

    assert found.vector == MalformedVector(bytes.fromhex("deadbe"))
    (fixture,) = json.loads(serializers.serialize("json", [found]))
    assert base64.b64decode(fixture["fields"]["vector"]) == bytes.fromhex("deadbe")
    with pytest.raises(InvalidVector, match=r"integrity\.Embedding\.vector: 3 bytes"):
        found.save()


def test_a_fixture_holds_the_vector_as_it_is(database: Database) -> None:
    vector = np.arange(768, dtype=np.float32)
    Embedding.objects.create(invocation=an_invocation(), embedding_model="m", vector=vector)
    fixture = serializers.serialize("json", Embedding.objects.all())
    Embedding.objects.all().delete()

    for loaded in serializers.deserialize("json", fixture):
        loaded.save()

    assert Embedding.objects.get().vector.tobytes() == vector.tobytes()


def test_a_model_with_a_vector_can_be_fully_cleaned(database: Database) -> None:
    Embedding(invocation=an_invocation(), embedding_model="m", vector=np.ones(768)).full_clean()
