"""A Django database engine: SQLite files that were there before us, with faults that are not ours."""
