"""Shell sessions in pages: blocks fenced as ``console``, with commands after ``$`` and what they print below.

A comment ``<!-- session: NAME -->`` says on which database a page's next blocks run, one after the other. In what
a command prints, ``…`` stands for anything or nothing; spaces, line ends and the length of ruled lines do not
matter. What begins with ``$ manage.py`` is printed by the demo: a shell has no such program.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SESSION_OR_BLOCK = re.compile(r"^<!-- session: (?P<session>.+?) -->$|^```console\n(?P<block>.*?)^```$", re.M | re.S)
_COMMAND = re.compile(r"^\$ (?!manage)(.+)\n((?:(?!\$ (?!manage)).*\n)*)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of a session and what the page shows below it."""

    session: str
    command: str
    shown: str

    @property
    def words(self) -> list[str]:
        """The command as a shell would split it, without its comment."""
        return shlex.split(self.command, comments=True)


def steps_of(page: Path) -> Iterator[Step]:
    """The page's commands in their order."""
    session = ""
    for found in _SESSION_OR_BLOCK.finditer(page.read_text()):
        session = found["session"] or session
        for command, shown in _COMMAND.findall(found["block"] or ""):
            yield Step(session=session, command=command, shown=shown)


def matches(shown: str, said: str) -> bool:
    """Whether a page shows what a command said."""
    pattern = ".*".join(re.escape(piece) for piece in _plain(shown).split("…"))
    return re.fullmatch(pattern, _plain(said), re.DOTALL) is not None


def _plain(text: str) -> str:
    return re.sub(r"\s*…\s*", "…", " ".join(re.sub("─+", "─", text).split()))
