"""Look at any database with PGMQ, ours or not, and name what will go wrong there.

Works without our tables: each check asks the catalogue first. Nothing is changed; the counts scan the queues.
"""

from __future__ import annotations

from integrity.pipeline.doctor.examination import examine
from integrity.pipeline.doctor.mistake import Mistake

__all__ = ["Mistake", "examine"]
