"""Where operations say what they do: on the output of the ``migrate`` that runs them, as loud as it was asked to be."""

from __future__ import annotations

from typing import Any

from django.core.management.base import OutputWrapper
from django.db.models.signals import post_migrate, pre_migrate

_outputs: dict[str, OutputWrapper] = {}


def say(line: str, /, *, using: str) -> None:
    """Print a line under the migration that is being applied; silent outside ``migrate`` and with ``-v 0``."""
    if output := _outputs.get(using):
        output.write(f"\n    {line}", ending="")
        output.flush()


def _open(*, using: str, verbosity: int = 1, stdout: OutputWrapper | None = None, **_: Any) -> None:
    if verbosity > 0 and stdout is not None:
        _outputs[using] = stdout


def _close(*, using: str, **_: Any) -> None:
    _outputs.pop(using, None)


pre_migrate.connect(_open, dispatch_uid="integrity.operations.output")
post_migrate.connect(_close, dispatch_uid="integrity.operations.output")
