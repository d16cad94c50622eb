"""``manage.py embedding_worker``: read jobs, make vectors, store them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from integrity import conf
from integrity.management.base import CLEAN, IntegrityCommand
from integrity.management.stopping import stopping
from integrity.management.values import up_to
from integrity.pipeline import job_queue, run_workers


class Command(IntegrityCommand):
    if_interrupted = "Nothing is lost: what was not done is read again."
    help = (
        "Works on the queue of embedding jobs until SIGTERM or Ctrl-C, then ends after the batch in hand. "
        "Any number of workers may run, on any number of machines."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        default = conf.embedding_queue()
        parser.add_argument("--queue", default=default, help="The queue to work on. Default: %(default)s.")
        parser.add_argument("--concurrency", type=up_to(1000), default=1, metavar="N", help="Workers. Default: 1.")
        parser.add_argument(
            "--batch-size", type=up_to(10_000), default=100, metavar="N", help="Messages. Default: 100."
        )
        until = parser.add_mutually_exclusive_group()
        until.add_argument("--once", action="store_true", help="Handle one batch per worker, then end.")
        until.add_argument(
            "--until-empty",
            action="store_true",
            help="End when the queue holds no message at all, or with exit code 2 when the provider stays broken.",
        )

    def run(self, **options: Any) -> int:
        with stopping() as stop:
            counts = run_workers(
                queue=job_queue(name=options["queue"], using=options["database"]),
                concurrency=options["concurrency"],
                batch_size=options["batch_size"],
                once=options["once"],
                until_empty=options["until_empty"],
                stop=stop.wanted,
            )
        done = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()) if number)
        self.stdout.write(f"{done or 'Nothing to do'}.")
        if stop.received and (options["once"] or options["until_empty"]):  # else it ran until it was told to stop
            self.stderr.write(f"Interrupted. {self.if_interrupted}")
            return stop.exit_code
        return CLEAN
