"""Embeddings from any server that speaks OpenAI's API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import openai
import stamina

from integrity.pipeline.providers.base import (
    BadAnswer,
    InputRejected,
    ProviderMisconfigured,
    ProviderUnavailable,
    RateLimited,
    Vectors,
    check_answer,
)
from integrity.pipeline.providers.deadline import NO_REUSE, deadline, watch_request

DEFAULT_PAUSE = timedelta(seconds=20)
_MISCONFIGURED = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
_REJECTED = (openai.BadRequestError, openai.UnprocessableEntityError)
TOO_LARGE = 413
_CORRECT = "Correct base_url and api_key in INTEGRITY_EMBEDDING_PROVIDER, or OPENAI_BASE_URL and OPENAI_API_KEY."


class OpenAIProvider:
    """Calls ``/embeddings``. Retries short hiccups itself; longer trouble is for the workers' circuit breaker."""

    def __init__(
        self,
        *,
        model: str = "text-embedding-3-small",
        dimensions: int = 1536,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
        attempts: int = 3,
        wait_initial: float = 0.2,
        send_dimensions: bool = False,
    ) -> None:
        """Without ``base_url`` and ``api_key`` the SDK reads OPENAI_BASE_URL and OPENAI_API_KEY.

        Args:
            model: asked for, and stored as ``model_version``.
            dimensions: numbers per vector that the answer must have.
            base_url: such as ``http://localhost:11434/v1``.
            api_key: any text for servers that want none.
            timeout: seconds for an attempt, from connecting to the answer's last byte.
            attempts: calls in all, for server errors and broken connections only.
            wait_initial: seconds before the second attempt; each later wait is twice as long, with jitter.
            send_dimensions: ask the server for ``dimensions``; only models that can shorten vectors take that.
        """
        self.model = model
        self.dimensions = dimensions
        self._options: dict[str, Any] = {"base_url": base_url, "api_key": api_key, "timeout": timeout}
        self._timeout = timeout
        self._attempts = attempts
        self._wait_initial = wait_initial
        self._extra: dict[str, Any] = {"dimensions": dimensions} if send_dimensions else {}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector per text, in order, whatever the order of the answer.

        Raises:
            RateLimited: status 429; carries Retry-After.
            ProviderMisconfigured: status 401, 403 or 404, no key, or a key or an address that cannot be used.
            InputRejected: status 400, 413 or 422.
            ProviderUnavailable: another status, no connection, no answer in time, or a page instead of an answer.
            BadAnswer: not one usable vector per text.
        """
        try:
            answer = self._ask(list(texts))
        except openai.RateLimitError as error:
            raise RateLimited(_says(error), retry_after=retry_after(error.response.headers)) from error
        except _MISCONFIGURED as error:
            raise ProviderMisconfigured(_says(error)) from error
        except _REJECTED as error:
            raise InputRejected(_says(error)) from error
        except openai.APIStatusError as error:
            kind = InputRejected if error.status_code == TOO_LARGE else ProviderUnavailable
            raise kind(_says(error)) from error
        except openai.APIConnectionError as error:
            raise ProviderUnavailable(_says(error)) from error
        except (openai.OpenAIError, ValueError, RecursionError) as error:
            raise BadAnswer(f"The provider's answer cannot be read: {_says(error)}") from error
        return check_answer(in_order(answer, count=len(texts)), count=len(texts), dimensions=self.dimensions)

    def _ask(self, texts: list[str]) -> Any:
        retried = (openai.InternalServerError, openai.APIConnectionError)
        for attempt in stamina.retry_context(on=retried, attempts=self._attempts, wait_initial=self._wait_initial):
            with attempt:
                return self._ask_once(texts)
        raise AssertionError("retry_context either returns or raises")  # pragma: no cover

    def _ask_once(self, texts: list[str]) -> Any:
        ask = self._client.embeddings.with_streaming_response.create
        with deadline(within=self._timeout) as limit:
            try:
                with ask(model=self.model, input=texts, encoding_format="float", **self._extra) as response:
                    request, kind = response.http_request, response.headers.get("content-type", "")
                    body = whole_body(response)
            except openai.APIConnectionError as error:
                if not limit.is_over:
                    raise
                request = error.request
        if limit.is_over:  # a body without a length seems to be whole where it was cut off
            said = f"The answer timed out: it was not whole after {self._timeout:g} s."
            raise openai.APIConnectionError(message=said, request=request)
        return document(body, kind=kind)

    @cached_property
    def _client(self) -> openai.OpenAI:
        try:
            client = openai.OpenAI(
                max_retries=0,
                default_headers=NO_REUSE,
                http_client=openai.DefaultHttpxClient(event_hooks={"request": [watch_request]}),
                **self._options,
            )
        except Exception as error:  # of any kind: nothing but the settings has been looked at
            raise ProviderMisconfigured(f"{_says(error)} {_CORRECT}") from error
        if client.base_url.scheme not in ("http", "https") or not client.base_url.host:
            raise ProviderMisconfigured(
                f"base_url is {str(client.base_url)!r}; it begins like http://localhost. {_CORRECT}"
            )
        headers = {**client.default_headers, **client.auth_headers}.values()
        if not all(text.isascii() and text.isprintable() for text in headers if isinstance(text, str)):
            raise ProviderMisconfigured(f"The key holds a character that no header can. {_CORRECT}")
        return client


def whole_body(response: openai.APIResponse[Any]) -> bytes:
    """Read an answer to its end.

    Raises:
        APIConnectionError: it broke off.
    """
    try:
        return response.read()
    except Exception as error:  # of whichever HTTP client the SDK has
        said = f"The answer broke off: {_says(error)}."
        raise openai.APIConnectionError(message=said, request=response.http_request) from error


def document(body: bytes, *, kind: str) -> Any:
    """Return the JSON of an answer whose content type is ``kind``.

    Raises:
        ProviderUnavailable: it is a page: something else answers for the provider, whatever the texts are.
        ValueError: it is no JSON.
    """
    try:
        return json.loads(body)
    except ValueError:
        if not kind.startswith("text/html"):
            raise
        raise ProviderUnavailable(
            f"base_url answers with a page, not with JSON: is it that of the API, with its /v1? {_CORRECT}"
        ) from None


def in_order(answer: Any, *, count: int) -> list[list[float]]:
    """Return the vectors in the order of the texts, by the ``index`` that each one carries.

    Raises:
        BadAnswer: they are no list of vectors, or the indexes are not exactly those of the texts.
    """
    data = answer.get("data") if isinstance(answer, dict) else None  # whatever came with status 200
    data = data or ()
    try:
        found = {item["index"]: item["embedding"] for item in data}
        is_whole = sorted(found) == list(range(count)) and len(data) == count
    except (LookupError, TypeError) as error:
        raise BadAnswer(f"The provider's answer cannot be read: {_says(error)}") from error
    if not is_whole:
        raise BadAnswer(f"The provider answered {count} texts with {len(data)} vectors.")
    return [found[index] for index in range(count)]


def retry_after(headers: Any) -> timedelta:
    """How long the server asks us to wait: ``Retry-After`` in seconds or as a date."""
    given = headers.get("retry-after", "")
    try:
        return timedelta(seconds=float(given))
    except (ValueError, OverflowError):
        try:
            # Against the server's own clock: ours may be wrong.
            return parsedate_to_datetime(given) - parsedate_to_datetime(headers.get("date", ""))
        except (ValueError, TypeError, OverflowError):
            return DEFAULT_PAUSE


def _says(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
