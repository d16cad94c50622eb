"""The handler as the original had it: delete, insert, send afterwards; insert blindly, archive by id."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections, transaction

from integrity.models.fields import uuid7
from integrity.pipeline import job_queue
from integrity.pipeline.providers import Provider
from tests.pipeline.library import execute, fetch

VISIBLE = timedelta(seconds=2)


def naive_upload(file: UUID, pieces: Sequence[str]) -> None:
    """Replace a file's chunks; their jobs are left to their fate."""
    ids = [uuid7() for _ in pieces]
    with transaction.atomic():
        execute("DELETE FROM file_embeddings WHERE chunk_id IN (SELECT id FROM file_chunks WHERE file_id = %s)", file)
        execute("DELETE FROM file_chunks WHERE file_id = %s", file)
        execute(
            "INSERT INTO file_chunks (id, file_id, chunk_index, content) "
            "SELECT id, %s, row_number() OVER (), content FROM unnest(%s::uuid[], %s::text[]) AS p (id, content)",
            file,
            ids,
            list(pieces),
        )
    job_queue().send_batch(
        [
            {"job_type": "generate_embedding", "file_id": str(file), "chunk_id": str(chunk), "content": piece}
            for chunk, piece in zip(ids, pieces, strict=True)
        ]
    )


def naive_worker(provider: Provider, stop: threading.Event) -> None:
    """Embed what the message says; archive it if that worked, leave it if it did not."""
    queue = job_queue()
    while not stop.is_set():
        try:
            messages = queue.read(vt=VISIBLE, qty=20)
            for message in messages:
                vector = provider.embed([message.body["content"]])[0].tolist()
                with contextlib.suppress(DatabaseError):
                    execute(
                        "INSERT INTO file_embeddings (id, chunk_id, embedding, model_version) "
                        "VALUES (gen_random_uuid(), %s, %s::real[], %s)",
                        message.body["chunk_id"],
                        vector,
                        provider.model,
                    )
                    queue.archive([message.msg_id])
            if not messages:
                stop.wait(0.05)
        except (DatabaseError, InterfaceError):
            connections.close_all()
            stop.wait(0.05)


def naive_is_quiet() -> bool:
    """Whether every message has ended."""
    return fetch("SELECT COUNT(*) FROM pgmq.q_embeddings") == [(0,)]
