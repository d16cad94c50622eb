"""Vectors as bytes: little-endian float32, one after the other, no header."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from integrity.exceptions import IntegrityAppError

if TYPE_CHECKING:
    _BinaryField = models.BinaryField[Any, Any]
else:
    _BinaryField = models.BinaryField

Vector: TypeAlias = NDArray[np.float32]

STORED = np.dtype("<f4")


class InvalidVector(IntegrityAppError, ValueError):
    """A value that was to be stored is no vector of the field's dimensions."""


class MalformedVector(bytes):
    """A stored value of the wrong length: given as it is, so that a page can show it and an audit report it."""


class NoneOnly(list[Any]):
    """The empty values of a vector: asking ``array in [None]`` would compare number by number, and raise."""

    def __contains__(self, value: object) -> bool:
        return value is None


def checked(value: Any, *, dimensions: int, field: str) -> Vector:
    """Return ``value`` as a float32 array of ``dimensions`` numbers.

    Raises:
        InvalidVector: it is not made of numbers, has another shape, or holds NaN, infinity or a number too
            large for float32.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        if len(bytes(value)) != dimensions * STORED.itemsize:
            raise InvalidVector(
                f"{field}: {len(bytes(value))} bytes are not {dimensions} float32 numbers "
                f"({dimensions * STORED.itemsize} bytes)."
            )
        value = np.frombuffer(bytes(value), STORED)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidVector(f"{field}: no vector can be made of this value: {error}.") from None
    if array.dtype.kind not in "fiu":
        raise InvalidVector(f"{field}: a vector is made of real numbers, not of {array.dtype}.")
    if array.shape != (dimensions,):
        raise InvalidVector(f"{field}: a vector of {dimensions} numbers is wanted, this has the shape {array.shape}.")
    with np.errstate(over="ignore"):
        vector = array.astype(np.float32)
    if not np.isfinite(vector).all():
        position = int(np.argmin(np.isfinite(vector)))
        raise InvalidVector(f"{field}: number {position} is {array[position]}; only finite float32 can be stored.")
    return vector


def decoded(value: bytes | bytearray | memoryview, *, dimensions: int) -> Vector | MalformedVector:
    """Return the array that these bytes hold, writable and independent of them, or the bytes marked malformed."""
    stored = bytes(value)
    if len(stored) != dimensions * STORED.itemsize:
        return MalformedVector(stored)
    return np.frombuffer(stored, STORED).astype(np.float32)


class VectorField(_BinaryField):
    """A vector of ``dimensions`` float32 numbers in a bytea or BLOB; gives and takes numpy arrays.

    What is written is checked; what is read is not, beyond its length: NaN is given as it was stored, and a
    value of the wrong length as ``MalformedVector``.
    """

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any  # Vector | MalformedVector; most readers know that theirs is a Vector
    description = "Vector of %(dimensions)s float32 numbers"
    empty_values = NoneOnly()
    empty_strings_allowed = False

    def __init__(self, *args: Any, dimensions: int = 768, **kwargs: Any) -> None:
        self.dimensions = dimensions
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """Return what a migration writes; ``dimensions`` always, since the default may change."""
        name, path, args, kwargs = super().deconstruct()
        return name, path, list(args), {**kwargs, "dimensions": self.dimensions}

    def from_db_value(
        self, value: bytes | memoryview | None, _expression: Any, _connection: BaseDatabaseWrapper
    ) -> Vector | MalformedVector | None:
        """Return the stored vector."""
        return None if value is None else decoded(value, dimensions=self.dimensions)

    def to_python(self, value: Any) -> Vector | MalformedVector | None:
        """Return an array for an array, a list, stored bytes, or the base64 text of a fixture.

        Raises:
            ValidationError: it is none of these, or no vector of this field.
        """
        if isinstance(value, str):
            value = b64decode(value.encode("ascii"))
        if value is None or isinstance(value, bytes | bytearray | memoryview):
            return None if value is None else decoded(value, dimensions=self.dimensions)
        try:
            return checked(value, dimensions=self.dimensions, field=str(self))
        except InvalidVector as error:
            raise ValidationError(str(error), code="invalid") from error

    def get_prep_value(self, value: Any) -> bytes | None:
        """Return the bytes to be stored.

        Raises:
            InvalidVector: the value is no vector of this field; a ``MalformedVector`` is not stored again.
        """
        value = super().get_prep_value(value)
        if value is None:
            return None
        return checked(value, dimensions=self.dimensions, field=str(self)).astype(STORED).tobytes()

    def value_to_string(self, obj: models.Model) -> str:
        """Return the bytes as base64, for fixtures."""
        value = self.value_from_object(obj)
        stored = value if isinstance(value, bytes) else self.get_prep_value(value)
        return b64encode(stored or b"").decode("ascii")
