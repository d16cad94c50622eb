"""Where scores come from: lines of JSON, CSV, or the payloads of a Qdrant collection."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from integrity.exceptions import IntegrityAppError

PAGE = 100


class SourceUnreadable(IntegrityAppError):
    """The source cannot be read, or is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One entry of a source: its place there, the pattern's id as it is written, and its other fields.

    ``error`` says why an entry is none.
    """

    place: str
    id: Any = None
    fields: Mapping[str, Any] | None = None
    error: str = ""


def read_jsonl(stream: TextIO) -> Iterator[Record]:
    """Yield a record for each line that is not empty: an object with ``pattern_id`` (or ``id``).

    Raises:
        SourceUnreadable: it is no text.
    """
    for number, line in _lines(stream):
        place = f"line {number}"
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Record(place=place, error=f"no JSON: {error}")
            continue
        if isinstance(data, dict):
            yield Record(place=place, id=data.get("pattern_id", data.get("id")), fields=data)
        else:
            yield Record(place=place, error="no JSON object")


def read_csv(stream: TextIO) -> Iterator[Record]:
    """Yield a record for each row below the header; empty cells count as absent, ``metadata`` is JSON.

    Raises:
        SourceUnreadable: it is no text, or its header is none or lacks ``pattern_id``.
    """
    reader = csv.DictReader(line for _, line in _lines(stream))
    try:
        header = reader.fieldnames or ()
    except csv.Error as error:
        raise SourceUnreadable(f"The CSV file's first line is no header: {error}. Correct it.") from error
    if "pattern_id" not in header:
        raise SourceUnreadable("The CSV file's first line names no column pattern_id. Add a header.")
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the next row begins on the next line
            yield Record(place=f"line {reader.reader.line_num}", error=f"no CSV: {error}")
            continue
        fields = {name: value for name, value in row.items() if isinstance(value, str) and value != ""}
        yield Record(place=f"line {reader.line_num}", id=fields.get("pattern_id"), fields=fields)


def read_qdrant(*, location: str, collection: str) -> Iterator[Record]:
    """Yield a record for each point of a collection, of a server (a URL) or of a local folder.

    Raises:
        SourceUnreadable: qdrant-client is not installed, there is no such server, folder or collection.
    """
    try:
        from qdrant_client import QdrantClient
        from qdrant_client.http.exceptions import ApiException
    except ImportError as error:
        raise SourceUnreadable("Reading Qdrant takes qdrant-client. Run: pip install qdrant-client.") from error
    try:
        where: dict[str, Any] = {"url": location} if "://" in location else {"path": _existing(location)}
        client = QdrantClient(check_compatibility=False, **where)
        try:
            offset: Any = None
            while True:
                points, offset = client.scroll(collection, limit=PAGE, offset=offset, with_payload=True)
                for point in points:
                    yield Record(place=f"point {point.id}", id=point.id, fields=point.payload or {})
                if offset is None:
                    return
        finally:
            client.close()
    except (ApiException, ValueError, RuntimeError, OSError) as error:
        raise SourceUnreadable(f"Qdrant at {location}, collection {collection!r}: {_first_line(error)}") from error


def _lines(stream: TextIO) -> Iterator[tuple[int, str]]:
    try:
        for number, line in enumerate(stream, 1):
            yield number, line.removeprefix("\ufeff") if number == 1 else line  # as some programs begin a file
    except UnicodeDecodeError as error:
        raise SourceUnreadable(f"The input is not UTF-8 text: {error}.") from error


def _existing(folder: str) -> str:
    """Refuse a folder that is not there, or not Qdrant's: the client would make one of it."""
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"there is no folder {folder} (a server's address begins with http:// or https://)")
    if not Path(folder, "meta.json").is_file():
        raise FileNotFoundError(f"the folder {folder} is none of Qdrant's, which has a file meta.json")
    return folder


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".") + "."
