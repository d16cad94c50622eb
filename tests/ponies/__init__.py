"""A tiny app of hostile models: every way in which a row can reference another, and every odd key and column.

It is installed in ``tests.settings`` only. It has no migrations: ``tests.ponies.tables`` makes its tables, with
those that Django does not know beside them.
"""
