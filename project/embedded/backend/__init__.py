"""A Django database engine: PostgreSQL on the embedded server, which starts with the first connection."""
