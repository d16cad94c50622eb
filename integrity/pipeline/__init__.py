"""File → chunks → embeddings over PGMQ: at-least-once delivery, exactly-once effect.

Who takes part: ``process_file`` makes a file's new version and sends a job per chunk; any number of *workers*, on any
number of machines, read jobs, call a provider and store vectors; *chores*, done by whichever worker finds one due,
repair what was lost.

What is authoritative: ``integrity_file_state.current_version`` says which chunks are wanted, the row's lock who may
change that; ``(msg_id, read_ct)`` says who holds a message; the database's clock says what time it is.

States of a chunk: *waiting* (active, a message names it) → *done* (active, has its vector) or *dead* (active, an open
dead letter) → *replaced* (inactive) → removed. States of a version: current → complete → served → replaced.

What happens when something fails:

* a file is processed again while its jobs wait or run: they are archived as ``cancelled``; a worker in the middle of
  one finds its lease gone;
* a worker dies: its messages are read again once the lease is over; a message that ends several workers is then done
  alone, and buried;
* a worker is slow: its heartbeat extends the lease; if that fails, too, somebody else does the work, and the first
  to commit wins;
* the provider fails: back-off, with a circuit breaker that all workers share; one bad text is found by halving;
* the server crashes, or a COMMIT's outcome is unknown: the worker goes on; a job that was done is not there any more;
* the queue is purged: reconciling sends what is missing.

Every transaction is short, takes its locks in one order (Note [Lock order] in ``states``) and none is open while a
provider is called.
"""

from __future__ import annotations

from integrity.pipeline.breaker import BreakerOpen
from integrity.pipeline.chunking import Chunker, InvalidChunker, Paragraphs
from integrity.pipeline.content import InvalidText
from integrity.pipeline.dead import Redriven, open_letters, redrive
from integrity.pipeline.dimensions import WrongDimensions
from integrity.pipeline.jobs import QueueElsewhere, job_queue
from integrity.pipeline.orphans import Orphan, count_orphans, find_orphans, purge_orphans
from integrity.pipeline.process import Processed, UnknownFile, cancel_jobs, delete_file, process_file
from integrity.pipeline.reconcile import reconcile
from integrity.pipeline.retention import Removed, remove_old
from integrity.pipeline.search import Hit, InvalidSearch, SearchUnavailable, search
from integrity.pipeline.status import Status, measure
from integrity.pipeline.workers import run_workers

__all__ = [
    "BreakerOpen",
    "Chunker",
    "Hit",
    "InvalidChunker",
    "InvalidSearch",
    "InvalidText",
    "Orphan",
    "Paragraphs",
    "Processed",
    "QueueElsewhere",
    "Redriven",
    "Removed",
    "SearchUnavailable",
    "Status",
    "UnknownFile",
    "WrongDimensions",
    "cancel_jobs",
    "count_orphans",
    "delete_file",
    "find_orphans",
    "job_queue",
    "measure",
    "open_letters",
    "process_file",
    "purge_orphans",
    "reconcile",
    "redrive",
    "remove_old",
    "run_workers",
    "search",
]
