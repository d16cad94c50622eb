"""How values are shown to people."""

from __future__ import annotations

import pytest
from django.contrib.auth.hashers import make_password

from integrity.dedupe.abbreviation import abbreviate


def test_the_hash_of_a_password_is_not_shown() -> None:
    assert abbreviate(make_password("secret", hasher="md5")) == "md5$… (hash of a password)"


@pytest.mark.parametrize("text", ["costs 5$", "$a$b", "!unusable", "sha1$", ""])
def test_other_texts_are_shown_as_they_are(text: str) -> None:
    assert abbreviate(text) == text
