"""Fields, indexes and defaults of the mirrored tables.

Migrations name everything here by this package (``integrity.models.fields.VectorField``), whichever file it
lives in: the files may move, these names may not.
"""

from __future__ import annotations

from integrity.models.fields.datetimes import NaiveDateTimeField, naive_utc_now
from integrity.models.fields.ids import RandomUUID, TimeOrderedUUID, uuid7
from integrity.models.fields.indexes import GinIndex, IvfflatIndex, LongNameIndex
from integrity.models.fields.pgvector import PgVectorField
from integrity.models.fields.references import ForeignKeyConstraint
from integrity.models.fields.text import SearchVectorField, TextArrayField
from integrity.models.fields.vector import InvalidVector, MalformedVector, Vector, VectorField

__all__ = [
    "ForeignKeyConstraint",
    "GinIndex",
    "InvalidVector",
    "IvfflatIndex",
    "LongNameIndex",
    "MalformedVector",
    "NaiveDateTimeField",
    "PgVectorField",
    "RandomUUID",
    "SearchVectorField",
    "TextArrayField",
    "TimeOrderedUUID",
    "Vector",
    "VectorField",
    "naive_utc_now",
    "uuid7",
]

for _name in __all__:
    if _name != "Vector":
        globals()[_name].__module__ = __name__
