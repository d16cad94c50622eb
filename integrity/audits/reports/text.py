"""Findings for people: the gravest first, each with what can be done about it, and a line that counts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from integrity.audits.finding import Finding, Level
from integrity.audits.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Text to print, and the level that gives it its colour; None where it needs none."""

    text: str
    level: Level | None = None


def text_report(*, findings: Sequence[Finding], using: str, width: int = 0) -> Iterator[Section]:
    """Yield the report; ``width`` is that of the terminal in columns, 0 where lines may be of any length."""
    for level in sorted({finding.level for finding in findings}, reverse=True):
        yield Section(text=f"{level.name}S:" if level is not Level.INFO else "INFO:", level=level)
        for finding in findings:
            if finding.level == level:
                yield Section(text=_entry(finding, width))
        yield Section(text="")
    yield Section(text=_total(findings, using))


def _entry(finding: Finding, width: int) -> str:
    lines = [_filled(f"{finding.object}: {finding.message} ({finding.id})", width, indent="  ")]
    if finding.hint:
        lines.append(_filled(finding.hint, width, indent="      "))
    return "\n".join(lines)


def _filled(text: str, width: int, *, indent: str) -> str:
    if not width:
        return indent + text
    # Names and commands are never cut: somebody will copy them.
    return textwrap.fill(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _total(findings: Sequence[Finding], using: str) -> str:
    if not findings:
        return f"Database {using!r}: nothing found."
    counts = (
        counted(number, level.name.lower() if level is not Level.INFO else "note")
        for level in sorted(Level, reverse=True)
        if (number := sum(finding.level == level for finding in findings))
    )
    return f"Database {using!r}: {', '.join(counts)}."
