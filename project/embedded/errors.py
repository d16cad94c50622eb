"""The one error of this package."""

from __future__ import annotations


class ServerUnavailable(Exception):
    """There is no embedded server to be had. The message says why and what to do instead."""
