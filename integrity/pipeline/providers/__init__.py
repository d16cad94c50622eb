"""Who makes the vectors: the protocol, its faults, and the provider that the settings name."""

from __future__ import annotations

from django.utils.module_loading import import_string

from integrity import conf
from integrity.pipeline.providers.base import (
    BadAnswer,
    InputRejected,
    Provider,
    ProviderError,
    ProviderMisconfigured,
    ProviderUnavailable,
    RateLimited,
    Vectors,
    check_answer,
    said,
)

__all__ = [
    "BadAnswer",
    "InputRejected",
    "Provider",
    "ProviderError",
    "ProviderMisconfigured",
    "ProviderUnavailable",
    "RateLimited",
    "Vectors",
    "check_answer",
    "default_model",
    "get_provider",
    "said",
]

SHORT_NAMES = {
    "offline": "integrity.pipeline.providers.offline.OfflineProvider",
    "openai": "integrity.pipeline.providers.openai.OpenAIProvider",
    "sentence-transformers": "integrity.pipeline.providers.sentence_transformers.SentenceTransformersProvider",
}


def get_provider() -> Provider:
    """Make the provider that ``INTEGRITY_EMBEDDING_PROVIDER`` names, with its options.

    Raises:
        ProviderMisconfigured: there is no such class, or it does not take these options.
    """
    name, options = conf.embedding_provider()
    try:
        provider: Provider = import_string(SHORT_NAMES.get(name, name))(**options)
    except (ImportError, TypeError, ValueError) as error:
        raise ProviderMisconfigured(
            f"INTEGRITY_EMBEDDING_PROVIDER names {name!r} with the options {sorted(options)}: {error}. "
            f"Choose {', '.join(SHORT_NAMES)} or the dotted path of a class."
        ) from error
    return provider


def default_model() -> str:
    """The model of the provider that the settings name."""
    return get_provider().model
