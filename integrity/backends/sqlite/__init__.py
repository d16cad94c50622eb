"""SQLite: one writer, dynamic types, foreign keys that may be declared and never enforced."""
