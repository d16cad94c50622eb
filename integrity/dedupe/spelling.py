"""The ways in which one id is written."""

from __future__ import annotations

import re

_HEX = re.compile(r"[0-9a-f]{32}")


def spellings(text: str) -> tuple[str, ...]:
    """The id as it was given, and a UUID also with dashes and without; each once."""
    text = text.strip()
    digits = text.lower().replace("-", "")
    if not _HEX.fullmatch(digits):
        return (text,)
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return tuple(dict.fromkeys((text, "-".join(parts), digits)))
