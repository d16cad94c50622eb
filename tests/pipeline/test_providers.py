"""Providers without a network, and text before it becomes chunks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrity.pipeline import InvalidChunker, Paragraphs
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


def test_fifty_megabytes_on_one_line_are_split() -> None:
    """In half a second; where what is left is copied for each chunk, it takes many minutes."""
    assert len(Paragraphs().split("word " * 10_000_000)) == 41_667


@pytest.mark.parametrize("longest", [0, -1])
def test_chunks_of_no_character_are_refused(longest: int) -> None:
    with pytest.raises(InvalidChunker, match="at least 1 character"):
        Paragraphs(longest=longest)


class Model:
    """As much of the package's class as the provider uses."""

    loaded: ClassVar[list[tuple[str, str | None]]] = []

    def __init__(self, name: str, *, device: str | None = None) -> None:
        if device == "cuda":
            raise AssertionError("Torch not compiled with CUDA enabled")
        self.loaded.append((name, device))

    def encode(self, texts: list[str], **_: object) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        return np.ones((len(texts), 3), dtype=np.float32)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> type[Model]:
    """Let the optional package be there."""
    monkeypatch.setattr(Model, "loaded", [])
    monkeypatch.setitem(sys.modules, "sentence_transformers", ModuleType("sentence_transformers"))
    monkeypatch.setattr(sys.modules["sentence_transformers"], "SentenceTransformer", Model, raising=False)
    return Model


def test_workers_that_share_a_local_model_load_it_once_from_its_folder(package: type[Model]) -> None:
    provider = SentenceTransformersProvider(model="tiny", dimensions=3, path="/models/tiny")
    meeting = threading.Barrier(4)

    def embed(text: str) -> tuple[int, ...]:
        meeting.wait(30)
        return provider.embed([text]).shape

    with ThreadPoolExecutor(4) as threads:
        shapes = list(threads.map(embed, "abcd"))

    assert shapes == [(1, 3)] * 4
    assert (provider.model, package.loaded) == ("tiny", [("/models/tiny", None)])


@pytest.mark.usefixtures("package")
def test_a_missing_device_and_a_wrong_length_are_faults_of_the_settings() -> None:
    with pytest.raises(ProviderMisconfigured, match="'tiny' cannot be loaded: Torch not compiled with CUDA"):
        SentenceTransformersProvider(model="tiny", dimensions=3, device="cuda").embed(["text"])
    with pytest.raises(ProviderMisconfigured, match="3 numbers; it was declared with 4"):
        SentenceTransformersProvider(model="tiny", dimensions=4).embed(["text"])


def test_a_missing_package_says_what_to_install() -> None:
    provider = SentenceTransformersProvider(model="tiny", dimensions=3)

    with pytest.raises(ProviderMisconfigured, match="pip install"):
        provider.embed(["text"])
