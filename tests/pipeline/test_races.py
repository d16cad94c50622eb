"""Two things at once, in every order that matters. Waiting is for locks, never for time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from integrity.pipeline import Processed, cancel_jobs, delete_file, purge_orphans, reconcile, redrive, remove_old
from integrity.pipeline.jobs import JOB_TYPE
from tests.pipeline.library import Library, assert_complete, assert_sound, execute, fetch, words
from tests.pipeline.providers import Held, Scripted
from tests.pipeline.stage import Actor

BETWEEN = ["messages read", "vectors made"]
"""Steps of a worker at which it holds no lock."""
INSIDE = ["files locked", "vectors written"]
"""Steps at which its commit is under way."""
AT_ONCE = timedelta(0)


@pytest.mark.parametrize("step", BETWEEN)
def test_a_reupload_between_a_workers_steps_goes_first_and_the_worker_writes_nothing(
    library: Library, step: str
) -> None:
    processed = library.upload(*words("old", 5))

    with Actor(library.worker().step, at=step):
        library.upload(*words("new", 4), file=processed.file)

    assert library.embedded(processed.file, version=1) == 0
    assert library.work() == {"done": 4}
    assert_complete(library, processed.file, version=2, chunks=4)
    assert library.outcomes() == {"cancelled": 5, "done": 4}


def test_a_job_that_cannot_be_cancelled_is_stopped_by_its_version(library: Library) -> None:
    """A message of the original shape need not name its file: a re-upload cannot find it, and the lease holds."""
    processed = in_the_shape_of_the_original(library, "old")

    with Actor(lambda: library.work(), at="vectors made") as worker:
        library.upload("new", file=processed.file)

    assert worker.result == {"superseded": 1, "done": 1}
    assert library.embedded(processed.file, version=1) == 0
    assert_complete(library, processed.file, version=2, chunks=1)


def test_a_job_that_cannot_be_cancelled_is_not_buried_once_its_version_is_over(library: Library) -> None:
    processed = in_the_shape_of_the_original(library, "poison")
    provider = Held(poison="poison")

    with Actor(library.worker(provider=provider).step):
        assert provider.arrived.wait(30)
        library.upload("new", file=processed.file)
        provider.go_on.set()

    assert (library.letters(), library.outcomes()) == ([], {"superseded": 1})
    library.work()
    assert_complete(library, processed.file, version=2, chunks=1)


@pytest.mark.parametrize("step", INSIDE)
def test_a_reupload_during_a_workers_commit_waits_for_it(library: Library, step: str) -> None:
    processed = library.upload(*words("old", 5))

    with (
        Actor(library.worker().step, at=step) as worker,
        Actor(lambda: library.upload(*words("new", 4), file=processed.file)) as reupload,
    ):
        reupload.is_blocked()
        worker.let_go()

    assert library.embedded(processed.file, version=1) == 5
    assert reupload.result.cancelled == 0
    library.work()
    assert_complete(library, processed.file, version=2, chunks=4)


@pytest.mark.parametrize("step", ["file locked", "chunks inserted"])
def test_a_workers_commit_during_a_reupload_waits_and_then_writes_nothing(library: Library, step: str) -> None:
    processed = library.upload(*words("old", 5))

    with (
        Actor(library.worker().step, at="vectors made") as worker,
        Actor(lambda: library.upload(*words("new", 4), file=processed.file), at=step) as reupload,
    ):
        worker.go_on()
        worker.is_blocked()
        reupload.let_go()

    assert library.embedded(processed.file, version=1) == 0
    library.work()
    assert_complete(library, processed.file, version=2, chunks=4)


def test_of_two_reuploads_the_second_waits_and_wins(library: Library) -> None:
    processed = library.upload("first")

    with (
        Actor(lambda: library.upload(*words("second", 3), file=processed.file), at="chunks inserted") as second,
        Actor(lambda: library.upload(*words("third", 2), file=processed.file)) as third,
    ):
        third.is_blocked()
        second.let_go()

    assert (second.result.version, third.result.version, third.result.cancelled) == (2, 3, 3)
    assert library.work() == {"done": 2}
    assert_complete(library, processed.file, version=3, chunks=2)


def test_of_two_first_uploads_of_one_file_one_waits(library: Library) -> None:
    processed = library.upload("first")
    execute("TRUNCATE file_chunks, file_embeddings, integrity_file_state")

    with (
        Actor(lambda: library.upload("a", file=processed.file), at="chunks inserted") as one,
        Actor(lambda: library.upload("b", file=processed.file)) as other,
    ):
        other.is_blocked()
        one.let_go()

    library.work()
    assert_complete(library, processed.file, version=2, chunks=1)


@pytest.mark.parametrize("step", BETWEEN)
def test_a_file_deleted_between_a_workers_steps_stays_deleted(library: Library, step: str) -> None:
    processed = library.upload(*words("text", 5))

    with Actor(library.worker().step, at=step):
        deleted = delete_file(file=processed.file, queue=library.queue)

    assert deleted.cancelled == 5
    assert (library.embedded_anywhere(), library.waiting(), library.chunks(processed.file)) == (0, 0, [])


@pytest.mark.parametrize("step", INSIDE)
def test_a_deletion_during_a_workers_commit_waits_for_it(library: Library, step: str) -> None:
    processed = library.upload(*words("text", 5))

    with (
        Actor(library.worker().step, at=step) as worker,
        Actor(lambda: delete_file(file=processed.file, queue=library.queue)) as deletion,
    ):
        deletion.is_blocked()
        worker.let_go()

    assert (deletion.result.cancelled, library.chunks(processed.file)) == (0, [])
    assert_sound(library)


def test_two_workers_that_finish_one_file_together_neither_deadlock_nor_leave_it_unserved(library: Library) -> None:
    processed = library.upload(*words("text", 6))

    with (
        Actor(library.worker(batch_size=3).step, at="vectors written"),
        Actor(library.worker(batch_size=3).step, at="vectors written"),
    ):
        pass

    assert_complete(library, processed.file, version=1, chunks=6)


def test_two_workers_with_the_same_message_write_once_and_the_late_one_changes_nothing(library: Library) -> None:
    processed = library.upload(*words("text", 3))

    with Actor(lambda: library.work(), at="vectors made") as slow:
        library.let_leases_end()
        quick = library.worker().step()
        assert_complete(library, processed.file, version=1, chunks=3)

    assert (quick, slow.result) == (3, {"lost": 3})
    assert library.outcomes() == {"done": 3}


def test_a_message_that_somebody_else_has_read_again_is_theirs(library: Library) -> None:
    processed = library.upload(*words("text", 3))

    with Actor(lambda: library.work(), at="vectors made") as slow:
        library.let_leases_end()
        second = library.worker()
        with Actor(second.step, at="messages read"):
            slow.let_go()
            assert slow.result == {"lost": 3}
            assert library.embedded_anywhere() == 0

    assert_complete(library, processed.file, version=1, chunks=3)


def test_retention_during_a_reupload_touches_nothing_of_it(library: Library) -> None:
    processed = library.upload(*words("old", 3))
    library.work()

    with Actor(lambda: library.upload(*words("new", 2), file=processed.file), at="chunks inserted"):
        assert remove_old(queue=library.queue, chunks_after=AT_ONCE).chunks == 0
    assert remove_old(queue=library.queue, chunks_after=AT_ONCE).chunks == 0, "the old version is still served"

    library.work()
    assert remove_old(queue=library.queue, chunks_after=AT_ONCE).chunks == 3
    assert_complete(library, processed.file, version=2, chunks=2)


def test_a_reupload_during_retention_does_not_wait_and_makes_what_it_needs_anew(library: Library) -> None:
    processed = library.upload("a", "b")
    library.work()
    library.upload("c", file=processed.file)
    library.work()

    with Actor(lambda: remove_old(queue=library.queue, chunks_after=AT_ONCE), at="chunks removed"):
        third = library.upload("a", "b", file=processed.file)

    assert third.reused == 2, "the vectors were still there when it looked"
    library.work()
    assert_complete(library, processed.file, version=3, chunks=2)


def test_retention_and_a_worker_of_the_same_file_do_not_meet(library: Library) -> None:
    processed = library.upload(*words("old", 3))
    library.work()
    library.upload(*words("new", 2), file=processed.file)
    library.work()
    library.upload(*words("newest", 2), file=processed.file)

    with Actor(lambda: remove_old(queue=library.queue, chunks_after=AT_ONCE), at="chunks removed"):
        library.work()

    assert_complete(library, processed.file, version=3, chunks=2)


def test_a_reupload_during_a_redrive_waits_and_cancels_what_was_sent(library: Library) -> None:
    processed = library.upload("poison")
    library.work(provider=Scripted(poison="poison"))

    with (
        Actor(lambda: redrive(queue=library.queue), at="letters locked") as sending,
        Actor(lambda: library.upload("good", file=processed.file)) as reupload,
    ):
        reupload.is_blocked()
        sending.let_go()

    assert (sending.result.sent, reupload.result.cancelled, library.letters()) == (1, 1, [])
    library.work()
    assert_complete(library, processed.file, version=2, chunks=1)


def test_a_redrive_during_a_reupload_waits_and_sends_nothing(library: Library) -> None:
    processed = library.upload("poison")
    library.work(provider=Scripted(poison="poison"))

    with (
        Actor(lambda: library.upload("good", file=processed.file), at="chunks inserted") as reupload,
        Actor(lambda: redrive(queue=library.queue)) as sending,
    ):
        sending.is_blocked()
        reupload.let_go()

    assert sending.result.sent == 0
    assert library.work() == {"done": 1}
    assert_complete(library, processed.file, version=2, chunks=1)


def test_a_redrive_while_a_worker_commits_another_chunk_of_the_file_is_not_in_its_way(library: Library) -> None:
    processed = library.upload("poison", *words("good", 3))
    library.worker(provider=Scripted(poison="poison"), batch_size=1).step()

    with Actor(library.worker().step, at="vectors written"):
        assert redrive(queue=library.queue).sent == 1

    library.work()
    assert_complete(library, processed.file, version=1, chunks=4)


def test_a_worker_that_would_serve_a_file_during_a_redrive_passes_over_it(library: Library) -> None:
    """The first lock that they share is the file's, where the worker wants it alone: when it changes what is served."""
    processed = library.upload("poison", *words("good", 3))
    library.worker(provider=Scripted(poison="poison"), batch_size=1).step()

    with Actor(lambda: redrive(queue=library.queue), at="letters locked") as sending:
        assert library.worker().step() == 3
        sending.let_go()

    assert (sending.result.sent, library.state(processed.file).serving_version) == (1, None)
    assert library.work() == {"done": 1}
    assert_complete(library, processed.file, version=1, chunks=4)


def test_a_redrive_while_a_worker_serves_the_file_waits_and_then_sends(library: Library) -> None:
    processed = library.upload("poison", *words("good", 3))
    library.worker(provider=Scripted(poison="poison"), batch_size=1).step()

    with (
        Actor(library.worker().step, at="version locked") as worker,
        Actor(lambda: redrive(queue=library.queue)) as sending,
    ):
        sending.is_blocked()
        worker.let_go()

    assert (sending.result.sent, library.state(processed.file).serving_version) == (1, None)
    assert library.work() == {"done": 1}
    assert_complete(library, processed.file, version=1, chunks=4)


def test_a_redrive_waits_for_the_worker_that_is_archiving_the_same_job(library: Library) -> None:
    """The second lock that they share is the queue's unique key: somebody had sent the job again by hand."""
    processed = poisoned_and_sent_again(library)

    with (
        Actor(library.worker().step, at="vectors written") as worker,
        Actor(lambda: redrive(queue=library.queue)) as sending,
    ):
        sending.is_blocked()
        worker.let_go()

    library.work()
    assert_complete(library, processed.file, version=1, chunks=1)
    assert (library.embedded(processed.file), library.letters()) == (1, [])


def test_a_redrive_that_waits_for_a_worker_whose_commit_is_cut_finds_the_job_still_there(library: Library) -> None:
    processed = poisoned_and_sent_again(library)

    with (
        Actor(library.worker().step, at="vectors written") as worker,
        Actor(lambda: redrive(queue=library.queue)) as sending,
    ):
        sending.is_blocked()
        worker.loses_its_connection()
        sending.let_go()
        assert (library.waiting(), library.embedded(processed.file), library.letters()) == (1, 0, [])

    library.let_leases_end()
    library.work()
    assert_complete(library, processed.file, version=1, chunks=1)


def test_a_worker_buries_beside_a_redrive_of_the_same_file_without_waiting(library: Library) -> None:
    processed = library.upload("poison one", "poison two")
    poisonous = Scripted(poison="poison")
    library.worker(provider=poisonous, batch_size=1).step()

    with Actor(lambda: redrive(queue=library.queue), at="letters locked") as sending:
        assert library.worker(provider=poisonous).step() == 1
        assert len(library.letters()) == 2
        sending.let_go()

    assert (sending.result.sent, len(library.letters()), library.waiting()) == (1, 1, 1)
    redrive(queue=library.queue)
    library.work()
    assert_complete(library, processed.file, version=1, chunks=2)


def test_two_redrives_at_once_send_each_letter_once(library: Library) -> None:
    library.upload(*(f"poison {number}" for number in range(3)))
    library.work(provider=Scripted(poison="poison"))

    with (
        Actor(lambda: redrive(queue=library.queue), at="letters locked") as one,
        Actor(lambda: redrive(queue=library.queue)) as other,
    ):
        one.let_go()
        other.let_go()

    assert one.result.sent + other.result.sent == 3
    assert library.waiting() == 3


def test_reconciling_during_a_reupload_passes_over_the_file_and_repairs_the_others(library: Library) -> None:
    processed, other = library.upload(*words("old", 3)), library.upload("other")
    library.queue.purge_queue()

    with Actor(lambda: library.upload(*words("new", 2), file=processed.file), at="chunks inserted"):
        assert reconcile(queue=library.queue, model=library.provider.model) == 1

    assert library.waiting() == 3
    library.work()
    assert_complete(library, other.file, version=1, chunks=1)
    library.work()
    assert_complete(library, processed.file, version=2, chunks=2)


def test_a_reupload_during_reconciling_waits_and_cancels_what_was_enqueued(library: Library) -> None:
    processed = library.upload(*words("old", 3))
    library.queue.purge_queue()

    with (
        Actor(lambda: reconcile(queue=library.queue, model=library.provider.model), at="gaps locked") as repair,
        Actor(lambda: library.upload(*words("new", 2), file=processed.file)) as reupload,
    ):
        reupload.is_blocked()
        repair.let_go()

    assert (repair.result, reupload.result.cancelled) == (3, 3)
    library.work()
    assert_complete(library, processed.file, version=2, chunks=2)


def test_reconciling_while_a_worker_commits_enqueues_at_most_what_ends_as_done(library: Library) -> None:
    processed = library.upload(*words("text", 3))

    with Actor(library.worker().step, at="vectors written"):
        reconcile(queue=library.queue, model=library.provider.model)

    library.work()
    assert_complete(library, processed.file, version=1, chunks=3)


@pytest.mark.parametrize("step", [*BETWEEN, "files locked"])
def test_a_purge_of_the_queue_at_any_step_of_a_worker_is_repaired(library: Library, step: str) -> None:
    processed = library.upload(*words("text", 3))

    with Actor(library.worker().step, at=step):
        library.queue.delete([1, 2, 3])

    assert library.embedded_anywhere() == 0, "a vector without a message would be an effect without a record"
    reconcile(queue=library.queue, model=library.provider.model)
    library.work()
    assert_complete(library, processed.file, version=1, chunks=3)


def test_orphans_are_purged_beside_a_workers_commit_without_waiting(library: Library) -> None:
    processed = library.upload(*words("text", 3))

    with Actor(library.worker().step, at="vectors written"):
        assert purge_orphans(queue=library.queue) == 0

    assert_complete(library, processed.file, version=1, chunks=3)


def test_cancelling_while_a_worker_is_at_it_leaves_it_nothing_to_write(library: Library) -> None:
    processed = library.upload(*words("text", 3))

    with Actor(lambda: library.work(), at="vectors made") as worker:
        assert cancel_jobs(file=processed.file, queue=library.queue) == 3

    assert worker.result == {"lost": 3}
    assert fetch("SELECT 1 FROM file_embeddings") == []


def in_the_shape_of_the_original(library: Library, text: str) -> Processed:
    """Upload one chunk; its job is the original's, which names neither file nor version."""
    processed = library.upload(text)
    (chunk,) = library.chunks(processed.file)
    library.queue.purge_queue()
    library.send(job_type=JOB_TYPE, chunk_id=str(chunk))
    return processed


def poisoned_and_sent_again(library: Library) -> Processed:
    """Upload one chunk, let it be buried, and send its job again without asking the dead letter."""
    processed = library.upload("poison")
    library.work(provider=Scripted(poison="poison"))
    (chunk,) = library.chunks(processed.file)
    job = {"job_type": JOB_TYPE, "file_id": str(processed.file), "chunk_id": str(chunk), "version": 1}
    library.send(**job, model=library.provider.model)
    return processed
