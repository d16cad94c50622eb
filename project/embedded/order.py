"""What a client asks of a keeper, and what the keeper answers: JSON both ways."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from project.embedded.folders import Folders
from project.embedded.server import Address


@dataclass(frozen=True, kw_only=True)
class Order:
    """All that a keeper must know, as one command-line argument."""

    folders: Folders
    binaries: Path
    durable: bool
    linger: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        given: dict[str, Any] = json.loads(text)
        folders = {name: Path(path) for name, path in given["folders"].items()}
        return cls(
            folders=Folders(**folders),
            binaries=Path(given["binaries"]),
            durable=given["durable"],
            linger=given["linger"],
        )


def greeting(address: Address) -> bytes:
    """Return the line that tells a client where the server is."""
    return json.dumps(asdict(address)).encode() + b"\n"


def refusal(reason: str) -> bytes:
    """Return the line that tells a client why there is no server."""
    return json.dumps({"error": reason}).encode() + b"\n"
