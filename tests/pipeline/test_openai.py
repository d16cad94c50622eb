"""The OpenAI provider against a real server on loopback, through every way in which one can fail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest
from pytest_django import Settings

from integrity.pipeline import process_file
from integrity.pipeline.breaker import Breaker
from integrity.pipeline.providers import (
    BadAnswer,
    InputRejected,
    ProviderMisconfigured,
    ProviderUnavailable,
    RateLimited,
    get_provider,
)
from integrity.pipeline.providers.offline import OfflineProvider
from integrity.pipeline.providers.openai import OpenAIProvider, retry_after
from tests.pipeline.library import DIMENSIONS, Library, assert_complete, new_file, words
from tests.pipeline.openai_server import Script, openai_server

MODEL = OfflineProvider(dimensions=DIMENSIONS).model
NOW, IN_A_MINUTE = formatdate(1_000_000, usegmt=True), formatdate(1_000_060, usegmt=True)


@pytest.fixture
def script() -> Script:
    """What the server does."""
    return Script(dimensions=DIMENSIONS)


@pytest.fixture
def remote(script: Script) -> Iterator[OpenAIProvider]:
    """The provider, connected to a server that runs as long as the test."""
    with openai_server(script) as url:
        yield OpenAIProvider(
            model=MODEL, dimensions=DIMENSIONS, base_url=url, api_key="any", timeout=5, wait_initial=0.01
        )


def test_vectors_come_back_in_the_order_of_their_texts(remote: OpenAIProvider, script: Script) -> None:
    script.answers = ["reordered"]

    vectors = remote.embed(["one", "two", "three"])

    np.testing.assert_allclose(vectors, OfflineProvider(dimensions=DIMENSIONS).embed(["one", "two", "three"]))
    assert script.requests == [{"input": ["one", "two", "three"], "model": MODEL, "encoding_format": "float"}]


@pytest.mark.parametrize("trouble", [(500, {}), (503, {}), "drop"])
def test_a_short_hiccup_is_retried_inside(remote: OpenAIProvider, script: Script, trouble: object) -> None:
    script.answers = [trouble, trouble]  # type: ignore[list-item]

    assert remote.embed(["one"]).shape == (1, DIMENSIONS)
    assert len(script.requests) == 3


@pytest.mark.parametrize("trouble", [(500, {}), "drop"])
def test_a_long_one_is_left_to_the_breaker(remote: OpenAIProvider, script: Script, trouble: object) -> None:
    script.answers = [trouble] * 9  # type: ignore[list-item]

    with pytest.raises(ProviderUnavailable):
        remote.embed(["one"])
    assert len(script.requests) == 3


def test_a_server_that_hangs_is_given_up_in_time(script: Script) -> None:
    script.answers = ["hang"]
    with openai_server(script) as url:
        remote = OpenAIProvider(
            model="tiny", dimensions=DIMENSIONS, base_url=url, api_key="any", timeout=0.2, attempts=1
        )
        with pytest.raises(ProviderUnavailable, match="timed out"):
            remote.embed(["one"])


@pytest.mark.parametrize("part", ["trickle", "headers", "endless"])
def test_an_answer_that_only_trickles_in_is_given_up_in_time(script: Script, part: str) -> None:
    script.answers = [part]
    with openai_server(script) as url:
        remote = OpenAIProvider(
            model="tiny", dimensions=DIMENSIONS, base_url=url, api_key="any", timeout=0.2, attempts=1
        )
        with pytest.raises(ProviderUnavailable, match="not whole after"):
            remote.embed(["one"])


def test_an_answer_that_breaks_off_is_asked_for_again(remote: OpenAIProvider, script: Script) -> None:
    script.answers = ["cut"]

    assert remote.embed(["one"]).shape == (1, DIMENSIONS)
    assert len(script.requests) == 2


def test_nobody_listening_is_unavailable() -> None:
    remote = OpenAIProvider(base_url="http://127.0.0.1:9/v1", api_key="any", attempts=1)

    with pytest.raises(ProviderUnavailable):
        remote.embed(["one"])


def test_too_many_requests_are_not_retried_inside_and_say_how_long_to_wait(
    remote: OpenAIProvider, script: Script
) -> None:
    script.answers = [(429, {"Retry-After": "120"})]

    with pytest.raises(RateLimited) as caught:
        remote.embed(["one"])

    assert caught.value.retry_after == timedelta(minutes=2)
    assert len(script.requests) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_input_is_the_inputs_fault(remote: OpenAIProvider, script: Script, status: int) -> None:
    script.answers = [(status, {})]

    with pytest.raises(InputRejected, match=f"status {status}"):
        remote.embed(["one"])


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_key_or_model_is_ours(remote: OpenAIProvider, script: Script, status: int) -> None:
    script.answers = [(status, {})]

    with pytest.raises(ProviderMisconfigured):
        remote.embed(["one"])


@pytest.mark.parametrize(
    "flaw", ["short", "doubled", "nan", "huge", "empty", "numbers", "unnumbered", "no list", "deep"]
)
def test_an_unusable_answer_is_refused(remote: OpenAIProvider, script: Script, flaw: str) -> None:
    script.answers = [flaw]

    with pytest.raises(BadAnswer):
        remote.embed(["one", "two"])


def test_a_page_is_not_the_fault_of_the_texts(remote: OpenAIProvider, script: Script) -> None:
    script.answers = ["html"]

    with pytest.raises(ProviderUnavailable, match="answers with a page, not with JSON"):
        remote.embed(["one", "two"])


def test_other_dimensions_than_declared_are_a_misconfiguration(remote: OpenAIProvider, script: Script) -> None:
    script.answers = ["wide"]

    with pytest.raises(ProviderMisconfigured, match="49 numbers"):
        remote.embed(["one"])


def test_a_missing_key_is_a_misconfiguration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with pytest.raises(ProviderMisconfigured, match="api_key"):
        OpenAIProvider().embed(["one"])


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "schlüssel"},
        {"api_key": "key\n"},
        {"base_url": "http://[::1/v1"},
        {"base_url": "localhost:11434/v1"},
        {"base_url": "http://"},
        {"base_url": 7},
    ],
)
def test_a_key_or_an_address_that_cannot_be_used_is_a_misconfiguration(options: dict[str, Any]) -> None:
    defaults: dict[str, Any] = {"base_url": "http://127.0.0.1:9/v1", "api_key": "any", "attempts": 1}
    provider = OpenAIProvider(**(defaults | options))

    with pytest.raises(ProviderMisconfigured, match="OPENAI_API_KEY"):
        provider.embed(["one"])


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry-after": "30"}, timedelta(seconds=30)),
        ({"retry-after": "0"}, timedelta(seconds=1)),
        ({"retry-after": "-5"}, timedelta(seconds=1)),
        ({"retry-after": "1e300"}, timedelta(seconds=20)),
        ({"retry-after": "nan"}, timedelta(seconds=20)),
        ({"retry-after": "99999999"}, timedelta(minutes=10)),
        (
            {"retry-after": formatdate(1_000_060, usegmt=True), "date": formatdate(1_000_000, usegmt=True)},
            timedelta(seconds=60),
        ),
        ({"retry-after": formatdate(1_000_060, usegmt=True)}, timedelta(seconds=20)),
        ({"retry-after": "soon"}, timedelta(seconds=20)),
        ({"retry-after": "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"}, timedelta(seconds=20)),
        ({}, timedelta(seconds=20)),
    ],
)
def test_whatever_retry_after_says_the_pause_is_a_sensible_one(headers: dict[str, str], pause: timedelta) -> None:
    assert RateLimited("slow down", retry_after=retry_after(headers)).retry_after == pause


def test_a_worker_lives_through_all_of_it(library: Library, remote: OpenAIProvider, script: Script) -> None:
    processed = library.upload(*words("text", 8))
    script.answers = ["short", (400, {}), "reordered", (500, {}), "nan", (503, {})]

    library.work(provider=remote, batch_size=8)
    for _ in range(10):
        library.let_leases_end()
        library.work(provider=remote)

    dead = len(library.letters())
    assert library.embedded(processed.file) + dead == 8
    assert library.waiting() == 0


def test_retry_after_stops_all_workers(library: Library, remote: OpenAIProvider, script: Script) -> None:
    library.upload("text")
    script.answers = [(429, {"Retry-After": "60"})]

    library.work(provider=remote)

    assert Breaker(name=MODEL).permit() is None
    assert len(script.requests) == 1


def test_the_settings_name_the_provider(settings: Settings, library: Library, script: Script) -> None:
    with openai_server(script) as url:
        settings.INTEGRITY_EMBEDDING_PROVIDER = {
            "name": "openai",
            "model": "tiny",
            "dimensions": DIMENSIONS,
            "base_url": url,
            "api_key": "any",
        }
        processed = process_file(file=new_file(), text="text", queue=library.queue)
        library.work(provider=get_provider())

        assert_complete(library, processed.file, version=1, chunks=1)
        assert library.state(processed.file).model == "tiny"


class Demanding:
    """Cannot be made."""

    def __init__(self) -> None:
        raise KeyError("SECRET")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"name": "nobody.knows.It"}, "Choose offline, openai, sentence-transformers"),
        ({"name": "nobody"}, "Choose offline, openai, sentence-transformers"),
        ({"name": "offline", "colour": "red"}, "Choose offline, openai, sentence-transformers"),
        ({"name": "openai", "x": 1}, "Choose offline, openai, sentence-transformers"),
        ({"name": f"{__name__}.Demanding"}, "KeyError: 'SECRET'. Choose offline"),
        ({"name": "os.getcwd"}, "str is no provider: it has no model and no dimensions and no embed"),
        ({"name": "openai", "model": "x" * 201}, "of 201 characters. Give it a name of 1 to 200"),
        ({"name": "openai", "model": "x\0"}, "Give it a name of 1 to 200 printable"),
        ("openai", "is not a dictionary"),
        (None, "is not a dictionary"),
    ],
)
def test_a_senseless_setting_says_what_to_choose(settings: Settings, setting: object, says: str) -> None:
    settings.INTEGRITY_EMBEDDING_PROVIDER = setting

    with pytest.raises(ProviderMisconfigured, match=says):
        get_provider()
