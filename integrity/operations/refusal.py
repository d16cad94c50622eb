"""The one error of adoption, and its words."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.management.base import CommandError

from integrity.exceptions import IntegrityAppError
from integrity.operations.comparison import Difference


class AdoptionRefused(IntegrityAppError, CommandError):
    """A table cannot be adopted or created.

    It is a ``CommandError`` too, so that ``migrate`` prints its message without a traceback and ends with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


def refusal(*, table: str, differences: Iterable[Difference]) -> AdoptionRefused:
    """Return the error that lists every difference, those that stand in the way first."""
    ordered = sorted(differences, key=lambda difference: difference.level)
    fact = f'The table "{table}" cannot be adopted; nothing in it was changed.'
    lines = [f"  {difference.level}: {difference}" for difference in ordered]
    hint = "Correct the errors, or name in INTEGRITY_SYSTEMS only the systems whose tables this database holds."
    return AdoptionRefused("\n".join([fact, *lines, hint]))


def first_line(error: Exception) -> str:
    """Return what a database driver said, without its context lines."""
    return (str(error).splitlines() or [type(error).__name__])[0]
