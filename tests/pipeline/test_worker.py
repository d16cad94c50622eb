"""What a worker does with messages, good and bad."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest
from django.db import DatabaseError
from django.db.models.functions import Now
from pytest_django import Settings

from integrity.models import CircuitBreaker, DeadLetter
from integrity.pipeline import commit
from integrity.pipeline.breaker import Breaker, BreakerOpen
from integrity.pipeline.failures import CONDEMNED
from integrity.pipeline.providers import InputRejected, ProviderMisconfigured, ProviderUnavailable, RateLimited
from integrity.signals import pipeline_step
from tests.databases import Database
from tests.pipeline.library import DIMENSIONS, Library, assert_complete, execute, fetch, new_file, words
from tests.pipeline.providers import Scripted

ORIGINAL = {"job_type": "generate_embedding", "user_id": "u1", "metadata": {"page": 1}, "content": "whatever"}


def test_a_batch_is_embedded_archived_and_served(library: Library) -> None:
    processed = library.upload(*words("text", 7))

    assert library.work(batch_size=3) == {"done": 7}

    assert_complete(library, processed.file, version=1, chunks=7)
    assert library.outcomes() == {"done": 7}


def test_a_project_without_time_zones_has_workers_too(library: Library, settings: Settings) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "America/Chicago"
    ((before,),) = fetch("SELECT clock_timestamp()")
    library.upload("one")

    assert library.work() == {"done": 1}

    assert fetch("SELECT created_at BETWEEN %s AND clock_timestamp() FROM file_embeddings", before) == [(True,)]


AS_IT_IS = ""
AS_NUMBERS = "ALTER TABLE file_embeddings ALTER embedding TYPE real[] USING embedding::real[]"
WITHOUT_PGVECTOR = f"{AS_NUMBERS}; DROP EXTENSION IF EXISTS vector"


@pytest.mark.parametrize("change", [AS_IT_IS, AS_NUMBERS, WITHOUT_PGVECTOR])
def test_stored_vectors_are_those_of_their_chunks_whatever_the_column(own_library: Library, change: str) -> None:
    execute(change or "SELECT 1")
    own_library.upload(*words("text", 5))
    own_library.work()

    for content, stored in fetch(
        "SELECT content, embedding::real[] FROM file_chunks c JOIN file_embeddings e ON e.chunk_id = c.id"
    ):
        np.testing.assert_array_equal(np.float32(stored), own_library.provider.embed([content])[0])


def test_a_chunk_that_got_its_vector_meanwhile_keeps_it_and_the_others_get_theirs(library: Library) -> None:
    processed = library.upload(*words("text", 3))
    provider = Scripted()
    other = [0.25] * DIMENSIONS

    def store_one(texts: Sequence[str]) -> object:
        execute(
            "INSERT INTO file_embeddings (id, chunk_id, embedding, model_version) "
            "SELECT gen_random_uuid(), id, %s::real[], %s FROM file_chunks WHERE content = %s",
            other,
            provider.model,
            texts[0],
        )
        return provider.embed(texts)

    provider.answers.append(store_one)

    assert library.work(provider=provider) == {"done": 3}
    assert_complete(library, processed.file, version=1, chunks=3)
    assert fetch("SELECT COUNT(*) FROM file_embeddings WHERE embedding::real[] = %s::real[]", other) == [(1,)]


def test_a_chunk_that_somebody_deletes_in_the_very_commit_is_superseded_and_the_others_are_done(
    library: Library, pgmq_database: Database
) -> None:
    library.upload(*words("text", 3))

    def delete_one(*, step: str, **_: object) -> None:
        if step == "files locked":
            pgmq_database.execute("DELETE FROM file_chunks WHERE starts_with(content, 'text number 1:')")

    pipeline_step.connect(delete_one)
    try:
        assert library.work() == {"done": 2, "superseded": 1}
    finally:
        pipeline_step.disconnect(delete_one)
    assert (library.embedded_anywhere(), library.outcomes()) == (2, {"done": 2, "superseded": 1})


def test_rows_are_dated_by_the_database(library: Library) -> None:
    ((before,),) = fetch("SELECT clock_timestamp()")
    library.upload("one")
    library.work()

    assert fetch(
        "SELECT COUNT(*) FROM file_embeddings "
        "WHERE created_at = updated_at AND created_at BETWEEN %s AND clock_timestamp()",
        before,
    ) == [(1,)]


@pytest.mark.parametrize("first", [2, 3, 4])
def test_each_file_of_many_batches_is_served_when_its_last_message_is_done(library: Library, first: int) -> None:
    files = [library.upload(*words("one", first)).file, library.upload(*words("two", 5)).file]

    library.worker(batch_size=2).run(until_empty=True)

    for file, chunks in zip(files, (first, 5), strict=True):
        assert_complete(library, file, version=1, chunks=chunks)


def test_a_file_that_is_done_with_a_workers_last_batch_is_served(library: Library) -> None:
    processed = library.upload("one", "two")
    library.upload("three", "four")
    provider = Scripted()

    def stop(texts: Sequence[str]) -> object:
        library.stop.set()
        return provider.embed(texts)

    provider.answers.append(stop)
    library.worker(provider=provider, batch_size=2).run()

    assert (library.state(processed.file).serving_version, library.waiting()) == (1, 2)


def test_a_version_that_changed_during_the_call_stops_the_commit_even_if_the_chunk_is_still_active(
    library: Library,
) -> None:
    processed = library.upload("one", "two")
    provider = Scripted()

    def change_the_version(texts: Sequence[str]) -> object:
        execute("UPDATE integrity_file_state SET current_version = 2 WHERE file_id = %s", processed.file)
        return provider.embed(texts)

    provider.answers.append(change_the_version)

    assert library.work(provider=provider) == {"superseded": 2}
    assert (library.embedded_anywhere(), library.outcomes()) == (0, {"superseded": 2})


def test_a_message_of_the_original_shape_is_understood(library: Library) -> None:
    processed = library.upload("one", "two")
    chunk, other = library.chunks(processed.file)
    library.queue.purge_queue()

    library.send(**ORIGINAL, chunk_id=str(chunk), file_id=str(processed.file))
    library.send(**ORIGINAL, chunk_id=str(other).upper())
    library.send(**ORIGINAL, chunk_id=str(other))

    assert library.work() == {"done": 3}
    assert (library.embedded(processed.file), library.outcomes()) == (2, {"done": 3})


def test_a_job_for_another_version_or_file_or_no_chunk_is_archived_with_its_outcome(library: Library) -> None:
    processed = library.upload("old")
    (old,) = library.chunks(processed.file)
    library.upload("new", file=processed.file)
    (new,) = library.chunks(processed.file)
    library.work()

    library.send(**ORIGINAL, chunk_id=str(old))
    library.send(**ORIGINAL, chunk_id=str(new), version=1)
    library.send(**ORIGINAL, chunk_id=str(new), file_id=str(uuid4()))
    library.send(**ORIGINAL, chunk_id=str(uuid4()))

    assert library.work() == {"superseded": 2, "orphaned": 2}
    assert library.waiting() == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (["a", "list"], "malformed"),
        ("text", "malformed"),
        (None, "malformed"),
        (12, "malformed"),
        ({}, "unknown_job_type"),
        ({"job_type": "resize_image"}, "unknown_job_type"),
        ({"job_type": ["generate_embedding"]}, "unknown_job_type"),
        (ORIGINAL, "malformed"),
        (ORIGINAL | {"chunk_id": None}, "malformed"),
        (ORIGINAL | {"chunk_id": 7}, "malformed"),
        (ORIGINAL | {"chunk_id": "not-an-id"}, "malformed"),
        (ORIGINAL | {"chunk_id": r"\u0000"}, "malformed"),
        (ORIGINAL | {"chunk_id": str(uuid4()), "file_id": {}}, "malformed"),
        (ORIGINAL | {"chunk_id": str(uuid4()), "version": "1"}, "malformed"),
        (ORIGINAL | {"chunk_id": str(uuid4()), "version": True}, "malformed"),
        (ORIGINAL | {"chunk_id": str(uuid4()), "version": 1 << 31}, "malformed"),
        (ORIGINAL | {"chunk_id": str(uuid4()), "version": -1}, "malformed"),
        (ORIGINAL | {"chunk_id": str(uuid4()), "model": 3}, "malformed"),
        (ORIGINAL | {"chunk_id": str(uuid4()), "content": "x" * 10_000_000}, "too_large"),
    ],
)
def test_a_bad_message_is_buried_with_its_reason_and_does_not_stop_the_worker(
    library: Library, body: object, reason: str
) -> None:
    library.queue.send(body)
    processed = library.upload("good")

    assert library.work() == {"dead": 1, "done": 1}

    ((found, error),) = library.letters()
    assert (found, bool(error)) == (reason, True)
    assert library.outcomes() == {"dead": 1, "done": 1}
    assert_complete(library, processed.file, version=1, chunks=1)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 2000 + "]" * 2000,
        '{"job_type": ' + "[" * 900 + "]" * 900 + "}",
        '{"version": ' + "9" * 6000 + "}",
        '{"n": ' + "9" * 400 + ".5}",
    ],
)
def test_a_message_that_python_cannot_read_is_buried_and_does_not_stop_the_worker(library: Library, body: str) -> None:
    execute(f"INSERT INTO {library.queue.table} (vt, message) VALUES (clock_timestamp(), %s::jsonb)", body)
    processed = library.upload("good")

    assert library.work() == {"dead": 1, "done": 1}

    ((reason, error),) = library.letters()
    assert (reason, error[:27]) == ("malformed", "The message cannot be read:")
    assert_complete(library, processed.file, version=1, chunks=1)


def test_a_message_that_cannot_be_buried_keeps_nobody_from_being_buried_or_done(own_library: Library) -> None:
    execute("ALTER TABLE integrity_dead_letter ALTER message TYPE varchar(20)")
    own_library.queue.send("x" * 20)
    own_library.queue.send("short")
    own_library.upload("good")

    assert own_library.work() == {"dead": 1, "done": 1}

    assert (own_library.waiting(), own_library.outcomes()) == (1, {"dead": 1, "done": 1})


@pytest.mark.parametrize(
    "headers", ['{"attempts": "many", "snoozes": null}', '{"attempts": 1e300, "snoozes": -9}', '["attempts"]', "7"]
)
def test_headers_of_a_strange_shape_do_no_harm(library: Library, headers: str) -> None:
    library.queue.send("no job")
    library.upload("text")
    execute(f"UPDATE {library.queue.table} SET headers = %s::jsonb", headers)

    assert library.work() == {"dead": 1, "done": 1}
    assert library.outcomes() == {"dead": 1, "done": 1}


def test_one_rejected_text_is_found_by_halving_and_buried_alone(library: Library) -> None:
    processed = library.upload(*words("good", 10), "this one is poison", *words("fine", 9))
    provider = Scripted(poison="poison")

    outcomes = library.work(provider=provider)

    assert outcomes == {"done": 19, "dead": 1}
    assert library.letters() == [("rejected", "one of these texts is not welcome")]
    assert (library.embedded(processed.file), len(provider.calls)) == (19, 9)


def test_a_file_with_a_dead_chunk_is_marked_as_failed_and_its_old_version_stays(library: Library) -> None:
    processed = library.upload("good")
    library.work()
    library.upload("good", "poison", file=processed.file)
    library.work(provider=Scripted(poison="poison"))

    assert library.state(processed.file).serving_version == 1
    assert fetch("SELECT status, embedding_status, processing_error FROM course_files") == [
        ("failed", "failed", "1 chunks could not be embedded: rejected")
    ]


def test_an_outage_is_counted_and_backed_off_and_buried_in_the_end(library: Library) -> None:
    library.upload("text")
    library.queue.set_vt(1, vt=timedelta(0))
    for _ in range(5):
        breaker_closed(library)
        library.let_leases_end()
        library.work(provider=Scripted(answers=[ProviderUnavailable("down")]))

    assert library.letters() == [("failed", "down")]
    assert DeadLetter.objects.get().attempts == 5
    assert library.outcomes() == {"dead": 1}


def test_a_failed_message_waits_longer_each_time(library: Library) -> None:
    library.upload("text")

    library.work(provider=Scripted(answers=[ProviderUnavailable("down")]))

    assert fetch(f"SELECT headers, vt > clock_timestamp() + interval '0.5 s' FROM {library.queue.table}") == [
        ('{"attempts": 1}', True)
    ]


def test_too_many_requests_count_against_no_message_and_stop_all_workers(library: Library) -> None:
    library.upload(*words("text", 4))
    limited = RateLimited("slow down", retry_after=timedelta(minutes=7))

    assert library.work(provider=Scripted(answers=[limited])) == {"given back": 4}

    assert fetch(f"SELECT DISTINCT headers, vt > clock_timestamp() + interval '6 min' FROM {library.queue.table}") == [
        ('{"snoozes": 1}', True)
    ]
    assert Breaker(name=library.provider.model).permit() is None


@pytest.mark.parametrize("asked", [timedelta.max, timedelta(days=10_000_000)])
def test_nobody_is_asked_to_wait_for_more_than_ten_minutes(library: Library, asked: timedelta) -> None:
    library.upload("text")

    library.work(provider=Scripted(answers=[RateLimited("slow down", retry_after=asked)]))

    in_time = "BETWEEN clock_timestamp() + interval '9 min' AND clock_timestamp() + interval '10 min'"
    assert fetch(f"SELECT vt {in_time} FROM {library.queue.table}") == [(True,)]
    assert fetch(f"SELECT until {in_time} FROM integrity_breaker") == [(True,)]


def test_a_refused_key_stops_all_workers_and_counts_against_no_message(library: Library) -> None:
    library.upload("text")

    library.work(provider=Scripted(answers=[ProviderMisconfigured("no such key")]))

    assert library.letters() == []
    assert Breaker(name=library.provider.model).permit() is None


def test_a_worker_that_is_to_empty_the_queue_waits_for_the_first_probe(library: Library) -> None:
    processed = library.upload(*words("text", 4))
    breaker_probes(library)

    library.worker().run(until_empty=True)

    assert_complete(library, processed.file, version=1, chunks=4)


def test_a_worker_that_is_to_empty_the_queue_gives_up_when_the_probe_fails(library: Library) -> None:
    library.upload(*words("text", 4))
    breaker_probes(library)
    provider = Scripted(answers=[ProviderMisconfigured("no such key")])

    with pytest.raises(BreakerOpen, match="no such key"):
        library.worker(provider=provider).run(until_empty=True)

    assert (provider.calls, library.waiting(), library.letters()) == ([1], 4, [])


def test_an_open_breaker_does_not_matter_to_who_finds_the_queue_empty(library: Library) -> None:
    breaker_probes(library)
    breaker = Breaker(name=library.provider.model)
    permit = breaker.permit()
    assert permit is not None
    breaker.failed(permit, reason="down")

    library.worker().run(until_empty=True)


def test_vectors_of_other_dimensions_stop_all_workers(library: Library) -> None:
    library.upload("text")

    library.work(provider=Scripted(answers=[lambda texts: np.ones((len(texts), DIMENSIONS + 1))]))

    assert (library.letters(), library.embedded_anywhere()) == ([], 0)
    assert Breaker(name=library.provider.model).permit() is None


@pytest.mark.parametrize(
    "answer",
    [
        lambda texts: np.ones((len(texts) - 1, DIMENSIONS)),
        lambda texts: np.full((len(texts), DIMENSIONS), np.nan),
        lambda texts: np.full((len(texts), DIMENSIONS), np.inf),
        lambda texts: np.zeros((len(texts), DIMENSIONS)),
        lambda texts: np.full((len(texts), DIMENSIONS), 1e-25),
        lambda texts: np.full((len(texts), DIMENSIONS), 1e25),
        lambda _texts: None,
        lambda _texts: [["a"]],
        lambda texts: [[1.0]] * (len(texts) - 1) + [[1.0, 2.0]],
    ],
)
def test_an_unusable_answer_is_never_stored_and_asked_for_again(library: Library, answer: object) -> None:
    processed = library.upload(*words("text", 4))
    provider = Scripted(answers=[answer])  # type: ignore[list-item]

    assert library.work(provider=provider) == {"done": 4}

    assert provider.calls == [4, 2, 2]
    assert_complete(library, processed.file, version=1, chunks=4)


def test_one_text_with_an_unusable_vector_fails_alone(library: Library) -> None:
    library.upload(*words("text", 3), "cursed")

    def nan_for_the_cursed(texts: object) -> object:
        return [[np.nan if text == "cursed" else 1.0] * DIMENSIONS for text in texts]  # type: ignore[attr-defined]

    outcomes = library.work(provider=Scripted(answers=[nan_for_the_cursed] * 5))

    assert outcomes == {"done": 3, "retry": 1}


def test_an_unforeseen_error_of_a_provider_does_not_end_the_worker(library: Library) -> None:
    library.upload("text")

    assert library.work(provider=Scripted(answers=[ZeroDivisionError("a bug")])) == {"retry": 1}


@pytest.mark.parametrize("error", [InputRejected, ProviderMisconfigured, ProviderUnavailable])
def test_whatever_a_provider_says_of_its_failure_is_kept(library: Library, error: type[Exception]) -> None:
    library.upload("text")
    provider = Scripted(answers=[error("\ud83d is half a character, \0 is none") for _ in range(5)])

    for _ in range(5):
        library.let_leases_end()
        CircuitBreaker.objects.update(until=Now())
        library.work(provider=provider)

    kept = [said for _, said in library.letters()] + list(CircuitBreaker.objects.values_list("reason", flat=True))
    assert "? is half a character,  is none" in " ".join(kept)


def test_a_job_for_a_model_that_nobody_has_is_given_back_and_then_buried(library: Library) -> None:
    library.upload("text")
    another = Scripted(dimensions=DIMENSIONS + 1)

    for _ in range(5):
        library.let_leases_end()
        library.work(provider=another)

    assert [reason for reason, _ in library.letters()] == ["wrong_model"]


def test_after_a_stop_what_was_read_is_given_back_uncounted(library: Library) -> None:
    library.upload(*words("text", 3))
    library.stop.set()

    library.worker().step()

    assert fetch(f"SELECT DISTINCT headers FROM {library.queue.table}") == [('{"snoozes": 1}',)]


def test_a_message_that_ends_workers_is_done_alone_and_then_buried(library: Library) -> None:
    library.upload("killer", *words("innocent", 3))
    killer = fetch(f"SELECT MIN(msg_id) FROM {library.queue.table}")[0][0]
    execute(f"UPDATE {library.queue.table} SET read_ct = 2 WHERE msg_id = %s", killer)
    provider = Scripted()

    assert library.worker(provider=provider).step() == 4
    assert provider.calls == [3, 1]

    library.upload("killer again")
    execute(f"UPDATE {library.queue.table} SET read_ct = 4")
    assert library.work() == {"dead": 1}
    assert library.letters()[0][0] == "crash_loop"


def test_a_file_that_somebody_holds_keeps_no_other_from_being_done(
    library: Library, pgmq_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "PATIENCE", timedelta(milliseconds=10))
    held, other = (library.upload(*words(name, 2)).file for name in ("held", "other"))

    with pgmq_database.connect() as holder:
        holder.execute("SELECT 1 FROM integrity_file_state WHERE file_id = %s FOR UPDATE", [held])
        assert library.work() == {"done": 2, "given back": 2}
        assert library.state(other).serving_version == 1

    library.let_leases_end()
    assert library.work() == {"done": 2}
    assert_complete(library, held, version=1, chunks=2)


def test_a_file_that_somebody_holds_keeps_nothing_of_another_from_being_buried(
    library: Library, pgmq_database: Database
) -> None:
    held = library.upload("held").file
    library.upload("other")
    execute(f"UPDATE {library.queue.table} SET read_ct = 4")

    with pgmq_database.connect() as holder:
        holder.execute("SELECT 1 FROM integrity_file_state WHERE file_id = %s FOR UPDATE", [held])
        assert library.work() == {"dead": 1}

    assert fetch(f"SELECT message->>'file_id', headers FROM {library.queue.table}") == [(str(held), '{"snoozes": 1}')]


@pytest.mark.parametrize("lacking", ["disk_full", "lock_not_available", "insufficient_privilege"])
def test_what_the_server_lacks_for_a_while_is_no_messages_fault(own_library: Library, lacking: str) -> None:
    processed = own_library.upload(*words("text", 3))
    execute(f"""
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{lacking}'; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON file_embeddings EXECUTE FUNCTION fail();
    """)
    for _ in range(CONDEMNED):
        with pytest.raises(DatabaseError, match="not now"):
            own_library.worker().step()
        own_library.let_leases_end()
    execute("DROP TRIGGER fail ON file_embeddings")

    assert own_library.work() == {"done": 3}
    assert_complete(own_library, processed.file, version=1, chunks=3)


def test_a_message_without_a_model_means_that_of_the_files_vectors(library: Library) -> None:
    file = new_file()
    execute(
        "INSERT INTO file_chunks (id, file_id, chunk_index, content) "
        "SELECT gen_random_uuid(), %s, n, 'theirs ' || n FROM generate_series(0, 1) n",
        file,
    )
    execute(
        "INSERT INTO file_embeddings (id, chunk_id, embedding, model_version) "
        "SELECT gen_random_uuid(), id, array_fill(0.5::real, ARRAY[48]), 'theirs' "
        "FROM file_chunks WHERE chunk_index = 0"
    )
    library.send(**ORIGINAL, chunk_id=str(library.chunks(file)[1]), file_id=str(file))

    assert library.work() == {"retry": 1}
    assert library.embedded(file) == 1


@pytest.mark.parametrize("reads", [50, 2_000_000])
def test_what_another_program_has_read_for_ever_is_done_and_not_taken_for_a_crash_loop(
    library: Library, reads: int
) -> None:
    processed = library.upload("one")
    (chunk,) = library.chunks(processed.file)
    library.queue.purge_queue()
    library.send(**ORIGINAL, chunk_id=str(chunk), file_id=str(processed.file))
    library.send(**ORIGINAL, chunk_id=str(uuid4()))
    execute(f"UPDATE {library.queue.table} SET read_ct = %s", reads)

    assert library.work() == {"given back": 2, "done": 1, "orphaned": 1}
    assert (library.embedded(processed.file), library.letters()) == (1, [])


def test_what_ends_our_workers_after_another_programs_is_buried_all_the_same(library: Library) -> None:
    library.send(**ORIGINAL, chunk_id=str(uuid4()))
    execute(f"UPDATE {library.queue.table} SET read_ct = 50")
    library.worker().step()

    execute(f"UPDATE {library.queue.table} SET read_ct = read_ct + 4")

    assert library.work() == {"dead": 1}
    assert library.letters()[0][0] == "crash_loop"


def test_of_several_suspects_one_is_tried_and_the_others_are_given_back(library: Library) -> None:
    library.upload("one", "two", "three")
    execute(f"UPDATE {library.queue.table} SET read_ct = 2")
    provider = Scripted()

    library.worker(provider=provider).step()

    assert provider.calls == [1]
    assert fetch(f"SELECT headers->>'snoozes' FROM {library.queue.table}") == [("1",), ("1",)]


def breaker_probes(library: Library) -> None:
    """Open the breaker, and let the time until its first probe pass."""
    breaker = Breaker(name=library.provider.model)
    permit = breaker.permit()
    assert permit is not None
    breaker.trip(permit, reason="down")
    CircuitBreaker.objects.update(until=Now())


def breaker_closed(library: Library) -> None:
    """Let the breaker be as if nothing had happened."""
    execute("DELETE FROM integrity_breaker")
