"""The model that is assumed where neither a job nor a vector tells it: that of the provider that somebody chose."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from integrity import conf
from integrity.models import FileEmbedding, FileState
from integrity.pipeline.providers import ProviderMisconfigured, default_model
from integrity.pipeline.states import adopt


def assumed_model(*, using: str) -> str:
    """Return the model that chunks of somebody else's are taken on with.

    Raises:
        ProviderMisconfigured: as ``require_chosen`` and ``get_provider`` do.
    """
    model = default_model()
    require_chosen(model, using=using)
    return model


def require_chosen(model: str, *, using: str) -> None:
    """Make sure that vectors of the default provider's model do not come among another's for want of a setting.

    Raises:
        ProviderMisconfigured: the settings name no provider, and there are files or vectors of another model.
    """
    if conf.has_chosen_provider():
        return
    files = FileState.objects.using(using).exclude(model__in=("", model)).values_list("model", flat=True)
    vectors = FileEmbedding.objects.using(using).exclude(model_version=model).values_list("model_version", flat=True)
    if found := files[:1] or vectors[:1]:
        raise ProviderMisconfigured(
            f"Nobody has chosen who makes the vectors, and those of the files here are of {found[0]}, not of {model}. "
            "Set INTEGRITY_EMBEDDING_PROVIDER (the site reads EMBEDDING_PROVIDER) to that model's provider, or its "
            "name to offline if that is meant."
        )


def take_on(files: Collection[UUID], *, using: str) -> None:
    """Adopt those of these distinct files that have no state yet.

    Raises:
        ProviderMisconfigured: there are some, and ``assumed_model`` does not know their model.
    """
    if FileState.objects.using(using).filter(file_id__in=files).count() < len(files):
        adopt(files, model=assumed_model(using=using), using=using)
