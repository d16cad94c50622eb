"""What the core announces. Observability listens; tests stop a thread exactly between two steps here.

Every signal is sent with ``using`` (the database alias). Receivers run inside the caller's transaction where
the name says "step": an exception there rolls the batch back, as a fault at that point would. With several connections,
batches are announced by the threads that they run in.
"""

from django.dispatch import Signal

plan_made = Signal()
"""A plan was stored. Arguments: ``using``, ``plan`` (its id), ``rule`` (its name)."""

batch_step = Signal()
"""A batch passed a step, its transaction still open. Arguments: ``using``, ``run`` (its id), ``step`` (a word)."""

batch_done = Signal()
"""A batch was committed. Arguments: ``using``, ``run``, ``counts`` (what this batch did, by word)."""

run_state_changed = Signal()
"""A run enters another state, its transaction still open. Arguments: ``using``, ``run``, ``state``."""

pipeline_step = Signal()
"""The pipeline passed a step; its transaction, if it has one, is still open. Arguments: ``using``, ``step``."""

jobs_done = Signal()
"""A worker is through with a batch of messages. Arguments: ``using``, ``queue``, ``counts`` (by outcome)."""

breaker_changed = Signal()
"""A circuit breaker opened or closed. Arguments: ``using``, ``name``, ``state``, ``reason``."""
