"""One message, as it was read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from integrity.queue.leases import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message and the lease on it. ``body`` is None where the message is larger than the reader wanted."""

    msg_id: int
    read_ct: int
    body: Any
    size: int
    """Bytes of the message as JSON text."""
    headers: dict[str, Any] = field(default_factory=dict)

    @property
    def lease(self) -> Lease:
        """What allows this reader, and no later one, to change the message."""
        return Lease(msg_id=self.msg_id, read_ct=self.read_ct)

    def count(self, header: str) -> int:
        """A number that earlier readers left in the headers; 0 where there is none."""
        if not self.headers:
            return 0
        value = self.headers.get(header)
        return value if isinstance(value, int) else 0


def decoded(value: Any) -> Any:
    """Decode what the driver may have left as JSON text: on Django's connection it does."""
    return json.loads(value) if isinstance(value, str) else value
