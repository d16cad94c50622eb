"""Providers without a network, and text before it becomes chunks."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrity.pipeline import Paragraphs
from integrity.pipeline.providers import ProviderMisconfigured
from integrity.pipeline.providers.offline import OfflineProvider
from integrity.pipeline.providers.sentence_transformers import SentenceTransformersProvider


@given(st.lists(st.text(), max_size=5), st.integers(1, 64))
def test_offline_vectors_are_finite_of_length_one_and_the_same_every_time(texts: list[str], dimensions: int) -> None:
    provider = OfflineProvider(dimensions=dimensions)

    vectors = provider.embed(texts)

    assert vectors.shape == (len(texts), dimensions)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(vectors, provider.embed(texts))


def test_offline_vectors_are_the_same_in_another_process() -> None:
    program = (
        "import django; django.setup(); from integrity.pipeline.providers.offline import OfflineProvider as P; "
        "print(P(dimensions=8).embed(['a text']).tobytes().hex())"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONHASHSEED": "7"}

    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)

    assert other.stdout.strip() == OfflineProvider(dimensions=8).embed(["a text"]).tobytes().hex()


def test_texts_that_share_words_are_nearer_than_others() -> None:
    query, near, far = OfflineProvider().embed(["volcanoes of iceland", "An Icelandic volcano.", "Tax forms for 2024"])

    assert query @ near > query @ far + 0.1


@given(st.text(alphabet="ab \n", max_size=300), st.integers(1, 40))
def test_splitting_loses_no_visible_character_and_keeps_to_the_length(text: str, longest: int) -> None:
    chunks = Paragraphs(longest=longest).split(text)

    assert "".join("".join(chunks).split()) == "".join(text.split())
    assert all(0 < len(chunk) <= longest for chunk in chunks)


def test_a_missing_package_says_what_to_install() -> None:
    provider = SentenceTransformersProvider(model="tiny", dimensions=3)

    with pytest.raises(ProviderMisconfigured, match="pip install"):
        provider.embed(["text"])
