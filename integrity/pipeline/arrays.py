"""numpy arrays of float32 as binary parameters of PostgreSQL, several times faster than as text."""

from __future__ import annotations

import struct
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

_FLOAT4, _FLOAT4_ARRAY = 700, 1021  # pg_type.oid of both, fixed for ever
_NUMBER: Final = np.dtype([("length", ">i4"), ("value", ">f4")])
_Array: TypeAlias = NDArray[np.float32]


class NumbersDumper(Dumper):
    """Writes an array of any shape as one flat ``real[]``."""

    format = Format.BINARY
    oid = _FLOAT4_ARRAY

    def dump(self, obj: _Array) -> bytes:
        """Elements: their length, then the number, big-endian."""
        elements = np.empty(obj.size, dtype=_NUMBER)
        elements["length"] = 4
        elements["value"] = obj.ravel()
        return _header(_FLOAT4, obj.size) + elements.tobytes()


class VectorsDumper(Dumper):
    """Writes the rows of a matrix as a ``vector[]``, in half the bytes and without a cast; see ``vectors_dumper``."""

    format = Format.BINARY
    element: int

    def dump(self, obj: _Array) -> bytes:
        """Elements: their length, then the vector."""
        count, width = obj.shape
        elements = np.empty(count, dtype=[("length", ">i4"), ("vector", vector_layout(width))])
        elements["length"], elements["vector"] = 4 + 4 * width, vectors_as(obj)
        return _header(self.element, count) + elements.tobytes()


def vector_layout(width: int) -> np.dtype[np.void]:
    """One vector as pgvector's ``vector_send`` makes it: how many numbers, zero, then the numbers."""
    return np.dtype([("dimensions", ">i2"), ("zero", ">i2"), ("numbers", ">f4", (width,))])


def vectors_as(rows: _Array) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """The rows of a matrix in this layout."""
    count, width = rows.shape
    vectors = np.zeros(count, dtype=vector_layout(width))
    vectors["dimensions"], vectors["numbers"] = width, rows
    return vectors


def vectors_dumper(connection: Connection[Any]) -> type[VectorsDumper] | None:
    """Return the dumper for this connection's database; None where pgvector is not installed.

    The type's numbers differ from database to database: each connection asks for them once, and remembers them.
    """
    info = connection.adapters.types.get("vector")
    if info is None:
        info = TypeInfo.fetch(connection, "vector")
        if info is None:
            return None
        info.register(connection)
    return type("VectorsDumper", (VectorsDumper,), {"oid": info.array_oid, "element": info.oid})


def _header(element: int, count: int) -> bytes:
    """One dimension, no NULLs, the elements' type, how many, counted from 1."""
    return struct.pack(">iiIii", 1, 0, element, count, 1)
