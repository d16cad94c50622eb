"""``manage.py install_pgmq``: put PGMQ and the queue of embedding jobs into the database."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from integrity import conf
from integrity.management.base import CLEAN, IntegrityCommand
from integrity.pipeline import job_queue
from integrity.queue import install


class Command(IntegrityCommand):
    help = "Installs PGMQ where it is missing, and creates the queue of embedding jobs. Running it again does nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--queue", default=conf.embedding_queue(), help="The queue to create. Default: %(default)s."
        )

    def run(self, **options: Any) -> int:
        queue = job_queue(name=options["queue"], using=options["database"])
        found = install(using=options["database"])
        queue.create()
        kind = "extension" if found.extension else "SQL"
        verb = "Installed" if found.created else "Found"
        self.stdout.write(f"{verb} PGMQ {found.version or 'of an unknown version'} ({kind}). Queue: {queue.name}.")
        return CLEAN
