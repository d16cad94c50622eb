"""``manage.py demo``: the main job, or the pipeline's, from beginning to end, on a small database of its own."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from integrity.demo.pipeline import PipelineStory
from integrity.demo.story import Story
from integrity.management.base import CLEAN, FOUND, IntegrityCommand


class Command(IntegrityCommand):
    """Tells a story on the database ``integrity_demo`` of the embedded server, which it empties first."""

    if_interrupted = "The same command begins anew."
    help = "Show the main job on a small database of its own: find, preview, apply, constrain, refuse, undo, redo."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--pipeline",
            action="store_true",
            help="Show the pipeline instead: upload again, kill a worker, lose the queue, redrive; with a search.",
        )

    def run(self, **options: Any) -> int:
        if options["pipeline"]:
            answers = PipelineStory(using=options["database"], say=self._say).tell()
            return CLEAN if answers.keys() == {"answered"} else FOUND
        Story(using=options["database"], console=self.console(), run=self._call).tell()
        return CLEAN

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

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
