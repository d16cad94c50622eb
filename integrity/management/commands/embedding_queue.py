"""``manage.py embedding_queue``: look after the queue of embedding jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from integrity import conf, pipeline
from integrity.management.base import CLEAN, FOUND, IntegrityCommand
from integrity.management.values import positive
from integrity.models import DeadLetter
from integrity.pipeline.doctor import examine
from integrity.queue import KeyedQueue

SHOWN = 20


class Command(IntegrityCommand):
    help = "Looks after the queue of embedding jobs: how it is, what is stuck, what was given up."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        default = conf.embedding_queue()
        parser.add_argument("--queue", default=default, help="The queue to look after. Default: %(default)s.")
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        actions.add_parser("status", help="Show messages, outcomes, dead letters and breakers.")
        orphans = actions.add_parser("orphans", help="Show messages whose chunk is missing or replaced.")
        orphans.add_argument("--purge", action="store_true", help="Archive them, with the outcome.")
        reasons = [str(reason) for reason in DeadLetter.Reason]
        dead = actions.add_parser("dead", help="Show what was given up, and why.")
        dead.add_argument("--reason", choices=reasons, help="Only these.")
        redrive = actions.add_parser("redrive", help="Send what was given up again.")
        redrive.add_argument("--reason", choices=reasons, help="Only these.")
        redrive.add_argument("--limit", type=positive, metavar="N", help="The oldest N only.")
        redrive.add_argument("--rate", type=positive, metavar="N", help="At most N a second.")
        redrive.add_argument("--dry-run", action="store_true", help="Show what would happen.")
        cancel = actions.add_parser("cancel", help="Archive all jobs of a file; its chunks stay.")
        cancel.add_argument("--file", type=UUID, required=True, metavar="ID", help="The file's id.")
        actions.add_parser("reconcile", help="Enqueue every live chunk without vector, message or dead letter.")
        retention = actions.add_parser("retention", help="Remove what is older than the settings say.")
        retention.add_argument("--dry-run", action="store_true", help="Show what would be removed.")
        actions.add_parser("doctor", help="Name the mistakes of a PGMQ database, its own or somebody else's.")

    def run(self, **options: Any) -> int:
        queue = pipeline.job_queue(name=options["queue"], using=options["database"])
        if options["action"] != "doctor":  # which looks at whatever queues there are
            queue.require()
        action: int = getattr(self, f"_{options['action']}")(queue, options)
        return action

    def _status(self, queue: KeyedQueue, _options: Mapping[str, Any]) -> int:
        status = pipeline.measure(queue=queue)
        self.stdout.write(f"Queue {status.queue}: {status.ready} ready, {status.hidden} hidden.")
        if status.oldest is not None:
            self.stdout.write(f"Oldest message: {status.oldest.total_seconds():.0f} s.")
        self.stdout.write(f"Files not served in their newest version: {status.waiting_files}.")
        self._table("Archived within the last hour", status.outcomes)
        self._table("Open dead letters", status.dead)
        self._table("Breakers that are not closed", status.breakers)
        return CLEAN

    def _orphans(self, queue: KeyedQueue, options: Mapping[str, Any]) -> int:
        if options["purge"]:
            self.stdout.write(f"Archived {pipeline.purge_orphans(queue=queue)} orphans.")
            return CLEAN
        counts = pipeline.count_orphans(queue=queue)
        self._table("Messages without a live chunk", counts)
        for orphan in pipeline.find_orphans(queue=queue, limit=SHOWN):
            self.stdout.write(f"  message {orphan.msg_id}: chunk {orphan.chunk_id} is {orphan.kind}")
        return FOUND if counts else CLEAN

    def _dead(self, queue: KeyedQueue, options: Mapping[str, Any]) -> int:
        letters = pipeline.open_letters(queue=queue, reason=options["reason"])
        self.stdout.write(f"{letters.count()} open dead letters.")
        for letter in letters[:SHOWN]:
            chunk = letter.chunk_id or "no chunk"
            self.stdout.write(
                f"  message {letter.msg_id} ({chunk}): {letter.reason} after {letter.attempts} attempts: {letter.error}"
            )
        return FOUND if letters.exists() else CLEAN

    def _redrive(self, queue: KeyedQueue, options: Mapping[str, Any]) -> int:
        done = pipeline.redrive(
            queue=queue,
            reason=options["reason"],
            limit=options["limit"],
            rate=options["rate"],
            dry_run=options["dry_run"],
        )
        verb = "Would send" if options["dry_run"] else "Sent"
        self.stdout.write(
            f"{verb} {done.sent} again; {done.superseded} are superseded; {done.impossible} never were a job."
        )
        return CLEAN

    def _cancel(self, queue: KeyedQueue, options: Mapping[str, Any]) -> int:
        cancelled = pipeline.cancel_jobs(file=options["file"], queue=queue, using=queue.using)
        self.stdout.write(f"Cancelled {cancelled} jobs.")
        if cancelled:
            self.stdout.write(
                "The file's chunks stay: within a minute, workers send jobs again for those without a vector. "
                "To take the file out for good, call integrity.pipeline.delete_file."
            )
        return CLEAN

    def _reconcile(self, queue: KeyedQueue, _options: Mapping[str, Any]) -> int:
        self.stdout.write(f"Enqueued {pipeline.reconcile(queue=queue)} chunks.")
        return CLEAN

    def _retention(self, queue: KeyedQueue, options: Mapping[str, Any]) -> int:
        removed = pipeline.remove_old(queue=queue, dry_run=options["dry_run"])
        self._table("Would remove" if options["dry_run"] else "Removed", asdict(removed))
        return FOUND if removed.blocked else CLEAN

    def _doctor(self, queue: KeyedQueue, _options: Mapping[str, Any]) -> int:
        mistakes = examine(using=queue.using)
        for mistake in mistakes:
            self.stdout.write(f"{mistake.id}: {mistake.message}")
            self.stdout.write(f"    {mistake.hint}")
        self.stdout.write(f"{len(mistakes)} mistakes.")
        return FOUND if mistakes else CLEAN

    def _table(self, title: str, counts: Mapping[str, Any]) -> None:
        self.stdout.write(
            f"{title}: " + (", ".join(f"{value} {name}" for name, value in counts.items()) or "none") + "."
        )
