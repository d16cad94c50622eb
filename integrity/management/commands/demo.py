"""``manage.py demo``: the main job from beginning to end, on a small database of its own."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from integrity.demo.story import Story
from integrity.management.base import CLEAN, IntegrityCommand


class Command(IntegrityCommand):
    """Tells the story on the database ``integrity_demo`` of the embedded server, which it empties first."""

    help = "Show the main job on a small database of its own: find, preview, apply, constrain, refuse, undo, redo."

    def run(self, **options: Any) -> int:
        Story(using=options["database"], console=self.console(), run=self._call).tell()
        return CLEAN

    def _call(self, *arguments: str) -> int:
        """Run another command with our output, and return the exit code that a shell would see."""
        self.stdout.flush()
        try:
            call_command(
                *arguments,
                database=self.options["database"],
                stdout=self.stdout._out,  # a wrapper in a wrapper would end every piece of a line
                stderr=self.stderr._out,
                no_color=self.options["no_color"],
            )
        except CommandError as error:
            self.stderr.write(str(error))
            return int(error.returncode)
        except SystemExit as end:
            return int(end.code or 0)
        return CLEAN
