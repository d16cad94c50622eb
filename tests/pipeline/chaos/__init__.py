"""Chaos: writers, workers, retention, kills, crashes and purges at once; then the invariants are asked for.

``python -m tests.pipeline.chaos --seconds 60`` runs it on a server of its own and prints one line per seed. Every
decision of a run comes from its seed; what the operating system adds by its timing does not, so that a seed replays
the same pressure and not the same microseconds.
"""
