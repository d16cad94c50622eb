"""Who makes the vectors: the protocol, its faults, and the provider that the settings name."""

from __future__ import annotations

from django.utils.module_loading import import_string

from integrity import conf
from integrity.backends.fault import words
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
    checked,
    is_name,
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
    "checked",
    "default_model",
    "get_provider",
    "is_name",
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
        ProviderMisconfigured: there is no such class, it does not take these options, or it makes no provider.
    """
    try:
        name, options = conf.embedding_provider()
    except (TypeError, ValueError) as error:
        raise ProviderMisconfigured(
            'INTEGRITY_EMBEDDING_PROVIDER is not a dictionary. Write it like {"name": "offline"}.'
        ) from error
    try:
        made = import_string(SHORT_NAMES.get(name, name))(**options)
    except Exception as error:  # whatever somebody's class may raise
        raise ProviderMisconfigured(
            f"INTEGRITY_EMBEDDING_PROVIDER names {name!r} with the options {list(options)}: "
            f"{type(error).__name__}: {words(error)} Choose {', '.join(SHORT_NAMES)} or the dotted path of a class."
        ) from error
    return checked(made)


def default_model() -> str:
    """The model of the provider that the settings name."""
    return get_provider().model
