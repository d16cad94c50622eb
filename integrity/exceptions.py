"""The root of every error this app raises for a foreseeable fault.

The errors themselves live beside the code that raises them; commands turn any of them into one clear
line and exit code 2. Django's ``IntegrityError`` is Django's: nothing here shadows it.
"""


class IntegrityAppError(Exception):
    """A foreseeable fault. Its message says what happened and what to do next."""
