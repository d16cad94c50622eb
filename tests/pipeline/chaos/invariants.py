"""What must be true once all is quiet, each as one question to the database or its log."""

from __future__ import annotations

from collections.abc import Callable

from tests.pipeline.chaos.place import Place
from tests.pipeline.library import fetch

GAPS = """
    SELECT COUNT(*) FROM file_chunks c LEFT JOIN integrity_file_state s USING (file_id)
    WHERE c.is_active
      AND (SELECT COUNT(*) FROM file_embeddings e WHERE e.chunk_id = c.id AND e.model_version = s.model) <> 1
      AND NOT EXISTS (SELECT 1 FROM integrity_dead_letter d WHERE d.chunk_id = c.id AND d.closed_at IS NULL)
"""
FOREIGN = """
    SELECT COUNT(*) FROM file_embeddings e LEFT JOIN file_chunks c ON c.id = e.chunk_id
    LEFT JOIN integrity_file_state s ON s.file_id = c.file_id
    WHERE c.id IS NULL OR c.version > s.current_version
"""
ACTIVE_OLD = """
    SELECT COUNT(*) FROM file_chunks c JOIN integrity_file_state s USING (file_id)
    WHERE c.is_active <> (c.version = s.current_version)
"""
STALE_JOBS = "SELECT COUNT(*) FROM pgmq.q_embeddings"
UNENDED = """
    SELECT COUNT(*) FROM (
        SELECT msg_id FROM chaos_sent
        EXCEPT ALL
        (SELECT msg_id FROM pgmq.a_embeddings WHERE headers->>'outcome' IS NOT NULL UNION ALL
         SELECT msg_id FROM chaos_purged)
    ) AS unended
"""
TWICE_ENDED = """
    SELECT COUNT(*) FROM (
        (SELECT msg_id FROM pgmq.a_embeddings UNION ALL SELECT msg_id FROM chaos_purged)
        EXCEPT ALL SELECT msg_id FROM chaos_sent
    ) AS twice
"""
INCOMPLETE_SERVED = """
    SELECT COUNT(*) FROM integrity_file_state s JOIN file_chunks c
    ON c.file_id = s.file_id AND c.version = s.serving_version
    WHERE NOT EXISTS (SELECT 1 FROM file_embeddings e WHERE e.chunk_id = c.id)
"""
NOT_SERVED = """
    SELECT COUNT(*) FROM integrity_file_state s
    WHERE s.serving_version IS DISTINCT FROM s.current_version
      AND NOT EXISTS (SELECT 1 FROM integrity_dead_letter d WHERE d.file_id = s.file_id AND d.closed_at IS NULL)
"""

QUESTIONS: dict[str, str] = {
    "I2 active chunks without exactly one vector": GAPS,
    "I3 vectors of no chunk, or of a version above current": FOREIGN,
    "I4 active chunks of another version than the current one": ACTIVE_OLD,
    "I5 jobs left": STALE_JOBS,
    "I6 messages without a terminal record": UNENDED,
    "I6 messages with two": TWICE_ENDED,
    "I7 served versions that are incomplete": INCOMPLETE_SERVED,
    "I7 complete versions that are not served": NOT_SERVED,
}


def violations(place: Place, *, mixed: int) -> dict[str, int]:
    """Return each invariant that does not hold, with the number of offences."""
    found = {name: int(fetch(question)[0][0]) for name, question in QUESTIONS.items()}
    found["I1 foreign key violations"] = place.complaints("violates foreign key constraint")
    found["I7 searches that mixed versions"] = mixed
    found["I8 deadlocks"] = place.complaints("deadlock detected")
    return {name: number for name, number in sorted(found.items()) if number}


def is_quiet(*, naive: bool) -> Callable[[], bool]:
    """Return what tells that nothing more will happen by itself."""
    questions = [STALE_JOBS] if naive else [STALE_JOBS, GAPS, NOT_SERVED]
    return lambda: all(fetch(question)[0][0] == 0 for question in questions)
