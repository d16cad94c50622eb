"""A file's life: uploaded, uploaded again, deleted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from pytest_django import Settings

from integrity.backends import UnsupportedDatabase
from integrity.models import CourseFile
from integrity.models.fields import uuid7
from integrity.pipeline import (
    InvalidText,
    QueueElsewhere,
    UnknownFile,
    cancel_jobs,
    delete_file,
    job_queue,
    measure,
    process_file,
    reconcile,
)
from integrity.pipeline.jobs import JOB_TYPE
from integrity.pipeline.providers import ProviderMisconfigured
from tests.commands import CommandResult
from tests.databases import Database
from tests.pipeline.library import DIMENSIONS, Library, assert_complete, execute, fetch, new_file, words


def test_upload_and_upload_again_at_once_ends_complete_without_a_foreign_key_error(library: Library) -> None:
    first = library.upload(*words("old", 30))
    second = library.upload(*words("new", 20), file=first.file)

    outcomes = library.work()

    assert second.cancelled == 30
    assert outcomes == {"done": 20}
    assert_complete(library, first.file, version=2, chunks=20)
    assert library.outcomes() == {"cancelled": 30, "done": 20}


def test_the_same_content_again_does_nothing(library: Library) -> None:
    first = library.upload(*words("same", 5))
    library.work()

    again = library.upload(*words("same", 5), file=first.file)

    assert (again.unchanged, again.version, again.enqueued) == (True, 1, 0)
    assert library.outcomes() == {"done": 5}


def test_the_same_content_again_is_told_to_an_owner_who_has_reset_the_status(library: Library) -> None:
    processed = library.upload("text")
    library.work()
    execute("UPDATE course_files SET status = 'pending', embedding_status = NULL")

    assert library.upload("text", file=processed.file).unchanged

    assert CourseFile.objects.get(pk=processed.file).status == "completed"
    assert_complete(library, processed.file, version=1, chunks=1)


def test_the_same_content_again_is_a_new_version_where_somebody_has_removed_the_chunks(library: Library) -> None:
    processed = library.upload("one", "two")
    library.work()
    execute("DELETE FROM file_embeddings")
    execute("DELETE FROM file_chunks WHERE chunk_index = 0")

    assert library.upload("one", "two", file=processed.file).version == 2

    library.work()
    assert_complete(library, processed.file, version=2, chunks=2)


def test_another_model_is_another_version(library: Library) -> None:
    first = library.upload("one text")

    again = process_file(file=first.file, chunks=["one text"], model="another", queue=library.queue)

    assert (again.version, again.enqueued, again.reused) == (2, 1, 0)


def test_chunks_that_did_not_change_keep_their_vectors_and_cost_nothing(library: Library) -> None:
    first = library.upload("a", "b", "c", "b")
    library.work()

    second = library.upload("c", "new", "b", "a", file=first.file)

    assert (second.reused, second.enqueued) == (3, 1)
    assert library.work() == {"done": 1}
    assert_complete(library, first.file, version=2, chunks=4)
    same = fetch(
        "SELECT COUNT(*) FROM file_chunks o JOIN file_embeddings x ON x.chunk_id = o.id "
        "JOIN file_chunks n ON n.content = o.content AND n.version = 2 JOIN file_embeddings y ON y.chunk_id = n.id "
        "WHERE o.version = 1 AND x.embedding::text = y.embedding::text"
    )
    assert same == [(4,)]


def test_a_version_made_of_known_chunks_is_served_at_once(library: Library) -> None:
    first = library.upload("a", "b")
    library.work()

    library.upload("b", "a", file=first.file)

    assert_complete(library, first.file, version=2, chunks=2)


def test_the_old_version_is_served_until_the_new_one_is_complete(library: Library) -> None:
    first = library.upload(*words("old", 3))
    library.work()
    library.upload(*words("new", 3), file=first.file)

    assert library.state(first.file).serving_version == 1
    library.worker(batch_size=2).step()
    assert library.state(first.file).serving_version == 1
    library.work()

    assert library.state(first.file).serving_version == 2


def test_an_empty_text_is_a_complete_version(library: Library) -> None:
    processed = process_file(file=new_file(), text="  \n\n ", model=library.provider.model, queue=library.queue)

    assert_complete(library, processed.file, version=1, chunks=0)


def test_text_is_split_by_paragraphs(library: Library) -> None:
    text = "\n\n".join(["short", "word " * 400, "end"])

    processed = process_file(file=new_file(), text=text, model=library.provider.model, queue=library.queue)

    assert processed.chunks == 3
    assert fetch("SELECT chunk_index, content_length <= 1200 FROM file_chunks ORDER BY 1") == [
        (0, True),
        (1, True),
        (2, True),
    ]


def test_nothing_is_left_of_a_version_whose_transaction_rolled_back(library: Library) -> None:
    file = new_file()

    with transaction.atomic():
        library.upload(*words("gone", 3), file=file)
        transaction.set_rollback(True)

    assert library.waiting() == 0
    assert fetch("SELECT 1 FROM file_chunks") == fetch("SELECT 1 FROM integrity_file_state") == []


def test_a_deleted_file_is_out_of_search_at_once_and_can_come_back(library: Library) -> None:
    first = library.upload(*words("text", 3))
    library.work()
    library.upload(*words("newer", 3), file=first.file)

    deleted = delete_file(file=first.file, queue=library.queue)

    assert (deleted.version, deleted.cancelled, library.waiting()) == (3, 3, 0)
    assert (library.state(first.file).serving_version, library.chunks(first.file)) == (3, [])
    assert CourseFile.objects.get(pk=first.file).embedding_status is None
    back = library.upload(*words("text", 3), file=first.file)
    assert (back.version, back.reused) == (4, 3)
    assert_complete(library, first.file, version=4, chunks=3)


def test_chunks_that_somebody_else_made_are_taken_over(library: Library) -> None:
    file = new_file()
    execute(
        "INSERT INTO file_chunks (id, file_id, chunk_index, content, version) "
        "SELECT gen_random_uuid(), %s, n, 'theirs ' || n, 1 FROM generate_series(0, 4) n",
        file,
    )
    execute(
        "INSERT INTO file_embeddings (id, chunk_id, embedding, model_version) "
        "SELECT gen_random_uuid(), id, array_fill(0.5::real, ARRAY[48]), %s FROM file_chunks",
        library.provider.model,
    )

    second = library.upload("theirs 3", "ours", file=file)

    assert (second.version, second.reused, second.enqueued) == (2, 1, 1)
    assert library.state(file).serving_version == 1
    library.work()
    assert_complete(library, file, version=2, chunks=2)


def test_cancelling_leaves_the_chunks(library: Library) -> None:
    processed = library.upload(*words("text", 3))

    assert cancel_jobs(file=processed.file, queue=library.queue) == 3
    assert (library.waiting(), len(library.chunks(processed.file))) == (0, 3)


def test_what_somebody_else_made_is_sent_again_after_cancelling(library: Library, settings: Settings) -> None:
    settings.INTEGRITY_EMBEDDING_PROVIDER = {"name": "offline", "dimensions": DIMENSIONS}
    file = new_file()
    chunk = uuid4()
    execute("INSERT INTO file_chunks (id, file_id, chunk_index, content) VALUES (%s, %s, 0, 'theirs')", chunk, file)
    library.send(job_type=JOB_TYPE, chunk_id=str(chunk), file_id=str(file))

    assert cancel_jobs(file=file, queue=library.queue) == 1

    assert reconcile(queue=library.queue, model=library.provider.model) == 1
    assert library.work() == {"done": 1}
    assert_complete(library, file, version=1, chunks=1)


@pytest.mark.parametrize("spelling", ["{id.hex}", "{upper}"])
def test_a_file_is_cancelled_however_its_id_is_spelt(library: Library, spelling: str) -> None:
    file = library.upload(*words("text", 3)).file

    named: Any = spelling.format(id=file, upper=str(file).upper())

    assert cancel_jobs(file=named, queue=library.queue) == 3


def test_jobs_that_a_file_left_can_be_cancelled_and_count_for_no_version(library: Library) -> None:
    gone = uuid7()
    library.send(job_type="generate_embedding", file_id=str(gone), chunk_id=str(uuid7()))

    assert cancel_jobs(file=gone, queue=library.queue) == 1
    assert measure(queue=library.queue).waiting_files == 0


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"text": "a", "chunks": ["a"]},
        {"chunks": "a text, not a list of them"},
        {"chunks": ["a\x00b"]},
        {"text": "a", "model": "m" * 201},
        {"text": "a", "model": "m\x00"},
        {"text": "a", "model": "m\ud800"},
        {"text": "a\x00b"},
        {"chunks": ["a", "\ud800b"]},
        {"text": "é\udfff"},
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_happens(library: Library, given: dict[str, object]) -> None:
    with pytest.raises(InvalidText):
        process_file(file=new_file(), queue=library.queue, **given)  # type: ignore[arg-type]


def test_a_database_without_a_queue_says_so(sqlite_database: Database, call: Callable[..., CommandResult]) -> None:
    with pytest.raises(UnsupportedDatabase, match="The pipeline needs PostgreSQL"):
        process_file(file=uuid7(), text="text")
    with pytest.raises(UnsupportedDatabase, match="The pipeline needs PostgreSQL"):
        delete_file(file=uuid7())
    for command in (["embedding_worker", "--once"], ["embedding_queue", "status"], ["install_pgmq"]):
        refused = call(*command)
        assert (refused.code, len(refused.err.splitlines())) == (2, 1)
        assert "The queue needs PostgreSQL" in refused.err


def test_a_version_for_a_provider_that_nobody_chose_is_refused_beside_another_models(
    library: Library, settings: Settings
) -> None:
    settings.INTEGRITY_EMBEDDING_PROVIDER = {"dimensions": DIMENSIONS}
    first = process_file(file=new_file(), text="text", queue=library.queue)
    process_file(file=first.file, chunks=["text"], model="text-embedding-3-small", queue=library.queue)

    with pytest.raises(ProviderMisconfigured, match="of text-embedding-3-small, not of offline-hashing-48"):
        process_file(file=first.file, text="text", queue=library.queue)

    assert library.state(first.file).current_version == 2
    settings.INTEGRITY_EMBEDDING_PROVIDER = {"name": "offline", "dimensions": DIMENSIONS}
    assert process_file(file=first.file, text="text", queue=library.queue).version == 3


def test_a_file_that_is_not_there_is_refused(library: Library) -> None:
    with pytest.raises(UnknownFile, match="Insert its row first"):
        library.upload("text", file=uuid7())
    with pytest.raises(UnknownFile):
        delete_file(file=uuid7(), queue=library.queue)
    with pytest.raises(UnknownFile):
        cancel_jobs(file=uuid7(), queue=library.queue)

    assert fetch("SELECT 1 FROM integrity_file_state") == []


@pytest.mark.parametrize("change", [partial(process_file, chunks=["text"]), delete_file, cancel_jobs])
def test_a_queue_in_another_database_than_the_files_is_refused(library: Library, change: Callable[..., object]) -> None:
    with pytest.raises(QueueElsewhere, match="give using='other'"):
        change(file=new_file(), queue=job_queue(using="other"))

    assert fetch("SELECT 1 FROM integrity_file_state") == []
