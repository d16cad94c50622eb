"""The tests mirror the packages they test; ``databases.py`` says how a test gets a database."""
