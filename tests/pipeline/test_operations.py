"""What those who look after the queue can do: orphans, dead letters, reconciling, retention."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError
from pytest_django import Settings

from integrity.backends import UnsupportedDatabase
from integrity.models import CourseFile
from integrity.pipeline import (
    Redriven,
    count_orphans,
    find_orphans,
    job_queue,
    measure,
    orphans,
    purge_orphans,
    reconcile,
    redrive,
    remove_old,
)
from integrity.pipeline.chores import Chores
from integrity.pipeline.serving import serve_finished, serve_overdue
from integrity.queue import QueueMissing, listen, wait_for_message
from tests.commands import CommandResult
from tests.databases import Database
from tests.pipeline.library import DIMENSIONS, Library, assert_complete, execute, fetch, new_file, words
from tests.pipeline.providers import Scripted

Call = Callable[..., CommandResult]
AT_ONCE = timedelta(0)


def send_orphans(library: Library) -> None:
    """Send two jobs for missing chunks, one for a replaced one, and two that are none of ours."""
    processed = library.upload("old")
    (old,) = library.chunks(processed.file)
    library.upload("new", file=processed.file)
    library.work()
    for chunk in (uuid4().hex, str(uuid4()).upper(), old):
        library.send(job_type="generate_embedding", chunk_id=str(chunk))
    library.send(job_type="generate_embedding", chunk_id="not-an-id")
    library.queue.send([1, 2])


def test_orphans_are_counted_listed_and_purged_with_their_outcome(library: Library) -> None:
    send_orphans(library)

    assert count_orphans(queue=library.queue) == {"missing": 2, "inactive": 1}
    assert [orphan.kind for orphan in find_orphans(queue=library.queue, limit=9)] == ["missing", "missing", "inactive"]
    assert purge_orphans(queue=library.queue) == 3

    assert (library.waiting(), purge_orphans(queue=library.queue)) == (2, 0)
    assert library.outcomes() == {"cancelled": 1, "done": 1, "orphaned": 2, "superseded": 1}


@pytest.mark.parametrize("locked", [0, 1])
def test_more_orphans_than_one_search_finds_are_purged_but_for_those_that_somebody_has_locked(
    library: Library, pgmq_database: Database, monkeypatch: pytest.MonkeyPatch, locked: int
) -> None:
    monkeypatch.setattr(orphans, "_PER_SEARCH", 2)
    monkeypatch.setattr(orphans, "_PER_BATCH", 1)
    for _ in range(7):
        library.send(job_type="generate_embedding", chunk_id=str(uuid4()))

    with closing(pgmq_database.connect()) as other:
        other.execute(f"SELECT 1 FROM {library.queue.table} ORDER BY msg_id LIMIT {locked} FOR UPDATE")
        assert purge_orphans(queue=library.queue) == 7 - locked
    assert library.waiting() == locked


@pytest.mark.parametrize(
    "chunk",
    [
        "-" * 36,
        "z" * 36,
        "0" * 36,
        "z" * 32,
        "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz",
        "-" * 32,
        "--------" + "-0000" * 4 + "00000000",
    ],
)
def test_what_only_looks_like_an_id_is_no_orphan_and_disturbs_nobody(library: Library, chunk: str) -> None:
    send_orphans(library)
    library.send(job_type="generate_embedding", chunk_id=chunk)

    assert purge_orphans(queue=library.queue) == 3


def test_an_orphan_that_a_worker_holds_is_purged_and_the_worker_finds_its_lease_gone(library: Library) -> None:
    send_orphans(library)
    held = library.queue.read(vt=timedelta(minutes=1), qty=9)

    assert purge_orphans(queue=library.queue) == 3
    assert len(library.queue.archive_leased([message.lease for message in held], outcome="done")) == 2


def test_a_purged_queue_is_filled_again_with_what_is_missing_and_nothing_else(library: Library) -> None:
    processed = library.upload(*words("text", 10))
    library.worker(batch_size=4).step()
    library.queue.purge_queue()

    assert reconcile(queue=library.queue, model=library.provider.model) == 6
    assert reconcile(queue=library.queue, model=library.provider.model) == 0

    assert library.work() == {"done": 6}
    assert_complete(library, processed.file, version=1, chunks=10)


def test_reconciling_leaves_dead_letters_alone(library: Library) -> None:
    library.upload("poison")
    library.work(provider=Scripted(poison="poison"))

    assert reconcile(queue=library.queue, model=library.provider.model) == 0


def file_of_others() -> UUID:
    """Let somebody else upload a file of five chunks, without a job for them; return it."""
    file = new_file()
    execute(
        "INSERT INTO file_chunks (id, file_id, chunk_index, content) "
        "SELECT gen_random_uuid(), %s, n, 'theirs ' || n FROM generate_series(0, 4) n",
        file,
    )
    return file


def test_reconciling_takes_on_what_somebody_else_made(library: Library) -> None:
    file = file_of_others()

    assert reconcile(queue=library.queue, model=library.provider.model) == 5

    library.work()
    assert_complete(library, file, version=1, chunks=5)


@pytest.mark.parametrize("sent", [2, 3, 4])
def test_reconciling_lets_a_queue_that_has_begun_to_count_anew_count_on(library: Library, sent: int) -> None:
    library.upload(*words("first", 3))
    library.work()
    execute(f"ALTER TABLE {library.queue.table} ALTER msg_id RESTART")
    processed = library.upload(*words("second", sent))
    with pytest.raises(IntegrityError):
        library.work()

    assert reconcile(queue=library.queue, model=library.provider.model) == 0

    library.let_leases_end()
    assert library.work() == {"done": sent}
    assert_complete(library, processed.file, version=1, chunks=sent)
    assert library.outcomes() == {"done": 3 + sent}


def buried_twice(library: Library) -> UUID:
    """Bury a chunk twice, since somebody had sent its job in the original's shape as well; return it."""
    (chunk,) = library.chunks(library.upload("poison").file)
    library.send(job_type="generate_embedding", chunk_id=str(chunk))
    library.work(provider=Scripted(poison="poison"))
    assert len(library.letters()) == 2
    return chunk


def test_dead_letters_are_sent_again_and_closed(library: Library) -> None:
    processed = library.upload("poison", "good")
    library.work(provider=Scripted(poison="poison"))

    dry = redrive(queue=library.queue, dry_run=True)
    assert (dry.sent, library.waiting(), len(library.letters())) == (1, 0, 1)
    done = redrive(queue=library.queue)

    assert (done.sent, done.superseded, library.letters()) == (1, 0, [])
    library.work()
    assert_complete(library, processed.file, version=1, chunks=2)


def test_a_dead_letter_of_a_replaced_version_is_not_sent_again(library: Library) -> None:
    processed = library.upload("poison")
    library.work(provider=Scripted(poison="poison"))
    execute("UPDATE file_chunks SET is_active = FALSE, archived_at = now()")

    assert redrive(queue=library.queue).superseded == 1
    assert (library.waiting(), library.letters()) == (0, [])
    assert library.state(processed.file).current_version == 1


def test_a_dead_letter_whose_chunk_has_its_vector_by_now_is_superseded(library: Library) -> None:
    chunk = buried_twice(library)
    library.send(job_type="generate_embedding", chunk_id=str(chunk))
    library.work()

    assert redrive(queue=library.queue) == Redriven(superseded=2)
    assert (library.waiting(), library.letters()) == (0, [])


def test_a_dead_letter_whose_file_has_no_state_is_sent_again_and_not_superseded(
    library: Library, settings: Settings
) -> None:
    settings.INTEGRITY_EMBEDDING_PROVIDER = {"name": "offline", "dimensions": DIMENSIONS}
    buried_twice(library)
    execute("DELETE FROM integrity_file_state")

    assert redrive(queue=library.queue, dry_run=True) == redrive(queue=library.queue) == Redriven(sent=1)

    assert fetch("SELECT DISTINCT resolution FROM integrity_dead_letter") == [("redriven",)]
    assert library.work() == {"done": 1}


def test_the_letters_of_one_chunk_are_closed_together_and_one_job_is_sent(library: Library) -> None:
    buried_twice(library)

    assert redrive(queue=library.queue, limit=1) == Redriven(sent=1)
    assert (library.waiting(), library.letters()) == (1, [])


def test_a_chunk_whose_job_is_waiting_is_not_sent_again(library: Library) -> None:
    file = library.upload("poison").file
    library.work(provider=Scripted(poison="poison"))
    (chunk,) = library.chunks(file)
    names = {"file_id": str(file), "chunk_id": str(chunk), "model": library.provider.model}
    library.send(job_type="generate_embedding", **names)

    assert redrive(queue=library.queue) == Redriven()
    assert (library.waiting(), library.letters()) == (1, [])


def test_a_redrive_wakes_the_workers_and_its_dry_run_does_not(library: Library) -> None:
    library.upload("poison")
    library.work(provider=Scripted(poison="poison"))
    listen(library.queue)

    redrive(queue=library.queue, dry_run=True)
    woken = [wait_for_message(library.queue, patience=AT_ONCE)]
    redrive(queue=library.queue)
    woken.append(wait_for_message(library.queue, patience=timedelta(seconds=20)))

    assert woken == [False, True]


def test_a_queue_named_in_another_case_is_the_same_queue(library: Library) -> None:
    library.upload("poison")
    library.work(provider=Scripted(poison="poison"))

    assert redrive(queue=job_queue(name="Embeddings")).sent == 1


def test_a_dry_run_takes_no_time_between_its_batches(library: Library) -> None:
    library.upload("poison one", "poison two")
    library.work(provider=Scripted(poison="poison"))
    stop = threading.Event()
    stop.set()  # who waits is stopped

    assert redrive(queue=library.queue, rate=1, dry_run=True, stop=stop).sent == 2
    assert redrive(queue=library.queue, rate=1, stop=stop).sent == 1


def test_a_limit_may_be_larger_than_any_number_of_the_database(library: Library) -> None:
    assert redrive(queue=library.queue, limit=10**20) == Redriven()


def test_a_new_version_closes_the_dead_letters_of_the_old_one(library: Library) -> None:
    processed = library.upload("poison")
    library.work(provider=Scripted(poison="poison"))

    library.upload("good", file=processed.file)

    assert library.letters() == []
    assert fetch("SELECT resolution FROM integrity_dead_letter") == [("superseded",)]


def test_redriving_is_limited_filtered_and_leaves_what_never_was_a_job(library: Library) -> None:
    library.queue.send("nonsense")
    library.upload(*(f"poison {number}" for number in range(5)))
    library.work(provider=Scripted(poison="poison"))

    assert redrive(queue=library.queue, reason="malformed").impossible == 1
    assert redrive(queue=library.queue, reason="rejected", limit=2, rate=1000).sent == 2
    assert redrive(queue=library.queue, rate=1000).sent == 3
    assert [reason for reason, _ in library.letters()] == ["malformed"]


def test_retention_removes_replaced_chunks_and_neither_current_nor_served_ones(library: Library) -> None:
    processed = library.upload(*words("first", 2))
    library.work()
    library.upload(*words("second", 3), file=processed.file)
    library.work()
    library.upload(*words("third", 4), file=processed.file)

    planned = remove_old(queue=library.queue, chunks_after=AT_ONCE, dry_run=True)
    removed = remove_old(queue=library.queue, chunks_after=AT_ONCE)

    assert (planned.chunks, planned.embeddings) == (removed.chunks, removed.embeddings) == (2, 2)
    assert fetch("SELECT version, COUNT(*) FROM file_chunks GROUP BY 1 ORDER BY 1") == [(2, 3), (3, 4)]
    library.work()
    assert remove_old(queue=library.queue, chunks_after=AT_ONCE).chunks == 3
    assert_complete(library, processed.file, version=3, chunks=4)


def test_retention_keeps_what_is_young(library: Library) -> None:
    processed = library.upload("old")
    library.work()
    library.upload("new", file=processed.file)
    library.work()

    assert remove_old(queue=library.queue) == remove_old(queue=library.queue, dry_run=True)
    assert remove_old(queue=library.queue).chunks == 0


def test_what_a_foreign_key_still_needs_stays_and_is_counted(library: Library) -> None:
    for text in ("one", "two"):
        processed = library.upload(text)
        library.upload(f"{text} again", file=processed.file)
    execute("CREATE TABLE annotations (chunk_id uuid REFERENCES file_chunks)")
    execute("INSERT INTO annotations SELECT id FROM file_chunks WHERE content = 'one'")

    removed = remove_old(queue=library.queue, chunks_after=AT_ONCE)

    execute("DROP TABLE annotations")
    assert (removed.chunks, removed.blocked) == (1, 1)


def test_retention_removes_old_messages_and_closed_letters(library: Library) -> None:
    library.upload("poison", "good")
    library.work(provider=Scripted(poison="poison"))
    redrive(queue=library.queue)
    library.work()

    removed = remove_old(queue=library.queue, messages_after=AT_ONCE)

    assert (removed.messages, removed.letters, library.outcomes()) == (3, 1, {})


def test_a_chore_that_is_due_is_done_once_by_whoever_asks_first(library: Library) -> None:
    chores = [Chores(queue=library.queue, model=library.provider.model) for _ in range(2)]

    assert chores[0].do_due() == ["serve", "reconcile", "orphans", "retention"]
    assert chores[1].do_due() == []


def test_a_chore_that_fails_keeps_no_other_from_being_done(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    processed = library.upload(*words("text", 3))
    library.queue.purge_queue()
    execute("ALTER TABLE course_files RENAME TO mislaid")
    try:
        assert Chores(queue=library.queue, model=library.provider.model).do_due()[0] == "reconcile"
    finally:
        execute("ALTER TABLE mislaid RENAME TO course_files")

    assert "The chore serve failed" in caplog.text
    library.work()
    assert_complete(library, processed.file, version=1, chunks=3)


def test_workers_repair_a_purged_queue_by_themselves(library: Library) -> None:
    processed = library.upload(*words("text", 3))
    library.queue.purge_queue()

    library.work(chores=Chores(queue=library.queue, model=library.provider.model))

    assert_complete(library, processed.file, version=1, chunks=3)


def test_a_version_whose_worker_died_before_it_was_served_is_served_by_a_chore(library: Library) -> None:
    processed = library.upload("text")
    library.work()
    execute("UPDATE integrity_file_state SET serving_version = NULL")

    Chores(queue=library.queue, model=library.provider.model).do_due()

    assert_complete(library, processed.file, version=1, chunks=1)


def test_a_complete_file_is_served_by_a_chore_although_a_message_for_it_waits(library: Library) -> None:
    processed = library.upload("text")
    library.queue.send({"file_id": str(processed.file)}, delay=timedelta(hours=1))
    library.work()

    Chores(queue=library.queue, model=library.provider.model).do_due()

    assert library.state(processed.file).serving_version == 1


@pytest.mark.parametrize("held", ["integrity_file_state WHERE file_id", "course_files WHERE id"])
def test_files_that_somebody_holds_keep_no_other_from_being_served(
    library: Library, pgmq_database: Database, held: str
) -> None:
    files = [library.upload(text).file for text in ("one", "two")]
    library.work()
    execute("UPDATE integrity_file_state SET serving_version = NULL")

    with pgmq_database.connect() as holder:
        holder.execute(f"SELECT 1 FROM {held} = %s FOR UPDATE", [files[0]])
        assert serve_overdue(limit=10, queue=library.queue) == [files[1]]

    assert serve_overdue(limit=10, queue=library.queue) == [files[0]]


def test_files_that_cannot_be_served_stand_in_nobodys_way_and_are_marked_as_failed_once(library: Library) -> None:
    failed = library.upload("poison", "good").file
    processed = library.upload("text").file
    library.work(provider=Scripted(poison="poison"))
    execute("UPDATE integrity_file_state SET serving_version = NULL")
    execute("UPDATE course_files SET embedding_status = 'processing'")

    assert [serve_overdue(limit=1, queue=library.queue) for _ in range(3)] == [[], [processed], []]
    assert CourseFile.objects.get(pk=failed).embedding_status == "failed"


def test_a_file_with_waiting_messages_is_not_served(library: Library) -> None:
    processed = library.upload("text")
    library.work()
    execute("UPDATE integrity_file_state SET serving_version = NULL")
    library.send(file_id=str(processed.file))

    assert serve_finished([processed.file], queue=library.queue) == []


def test_the_status_tells_what_is_where(library: Library) -> None:
    library.upload("poison", "good")
    library.upload("waiting")
    library.queue.set_vt(3, vt=timedelta(minutes=1))
    library.work(provider=Scripted(poison="poison"))

    status = measure(queue=library.queue)

    assert (status.ready, status.hidden, status.waiting_files) == (0, 1, 2)
    assert (status.outcomes, status.dead, status.breakers) == ({"dead": 1, "done": 1}, {"rejected": 1}, {})
    assert status.oldest is not None


def test_the_status_counts_files_of_others_before_a_worker_has_taken_them_on(library: Library) -> None:
    new_file()
    file_of_others()
    assert measure(queue=library.queue).waiting_files == 1

    reconcile(queue=library.queue, model=library.provider.model)
    assert measure(queue=library.queue).waiting_files == 1
    library.work()

    assert measure(queue=library.queue).waiting_files == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["status"], 0, "Queue embeddings: 0 ready, 2 hidden."),
        (["orphans"], 1, "Messages without a live chunk: 1 inactive, 2 missing."),
        (["orphans", "--purge"], 0, "Archived 3 orphans."),
        (["dead"], 0, "0 open dead letters."),
        (["dead", "--reason", "rejected"], 0, "0 open dead letters."),
        (["redrive", "--dry-run"], 0, "Would send 0 again; 0 are superseded; 0 never were a job."),
        (["cancel", "--file", "6f2c1a52-0000-4000-8000-000000000000"], 2, ""),
        (["cancel", "--file", "x"], 2, ""),
        (["reconcile"], 0, "Enqueued 0 chunks."),
        (["retention", "--dry-run"], 0, "Would remove: 0 chunks, 0 embeddings, 0 messages, 0 letters, 0 blocked."),
        (["retention"], 0, "Removed: 0 chunks"),
        (["doctor"], 1, "queue.dead_jobs: Queue embeddings: 4 jobs name a chunk that is missing or replaced."),
        (["nonsense"], 2, ""),
        ([], 2, ""),
    ],
)
def test_the_command_does_and_says(library: Library, call: Call, arguments: list[str], code: int, said: str) -> None:
    send_orphans(library)
    if arguments == ["status"]:
        execute(f"UPDATE {library.queue.table} SET vt = vt + interval '1 h'")
        said = said.replace("2 hidden", f"{library.waiting()} hidden")

    result = call("embedding_queue", *arguments)

    assert (result.code, said in result.out) == (code, True), result


def test_who_cancels_is_told_that_the_chunks_stay_and_what_becomes_of_them(library: Library, call: Call) -> None:
    processed = library.upload("one", "two")

    result = call("embedding_queue", "cancel", "--file", str(processed.file))

    assert result.out.startswith("Cancelled 2 jobs.\nThe file's chunks stay")
    assert call("embedding_queue", "reconcile").out == "Enqueued 2 chunks.\n"


@pytest.mark.parametrize(
    "look_after",
    [
        partial(find_orphans, limit=1),
        count_orphans,
        purge_orphans,
        measure,
        partial(reconcile, model="m"),
        redrive,
        remove_old,
    ],
)
def test_a_database_of_another_kind_is_told_by_the_functions_too(
    sqlite_database: Database, look_after: Callable[..., object]
) -> None:
    with pytest.raises(UnsupportedDatabase, match="The queue needs PostgreSQL"):
        look_after(queue=job_queue())


@pytest.mark.parametrize("look_at", [measure, redrive])
def test_a_queue_that_is_not_there_is_told_by_the_functions_too(
    library: Library, look_at: Callable[..., object]
) -> None:
    with pytest.raises(QueueMissing, match="install_pgmq --queue none"):
        look_at(queue=job_queue(name="none"))


def test_the_command_without_a_queue_says_what_to_do_in_one_line(library: Library, call: Call) -> None:
    for command in (
        ["embedding_queue", "--queue", "none", "status"],
        ["embedding_worker", "--queue", "none", "--once"],
    ):
        result = call(*command)

        assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
        assert "install_pgmq --queue none" in result.err
