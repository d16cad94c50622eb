"""One embedding for each invocation and embedding model.

Workers used to commit a placeholder without a vector first, and a crashed one was never filled in. The oldest row
of a pair is therefore often the empty one: finished rows come first, whatever else is asked for.
"""

from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import Exact, GreaterThan

from integrity.dedupe.keep import Earliest
from integrity.dedupe.rule import DedupeRule
from integrity.rules.registry import register

VECTOR_BYTES = 768 * 4
"""768 dimensions of little-endian float32."""

EMBEDDINGS = register(
    DedupeRule(
        name="embeddings",
        model="integrity.Embedding",
        fields=("invocation", "embedding_model"),
        keep=(Earliest("started_at"),),
        # A vector of another length is worth less than a right one, and still more than none.
        complete=(Q(Exact(Length("vector"), VECTOR_BYTES)), Q(GreaterThan(Length("vector"), 0))),
        content=("vector",),
        vector="vector",
        clock="started_at",
    ),
    system="embeddings",
)

INVOCATIONS = register(
    DedupeRule(
        name="invocations",
        model="integrity.Invocation",
        fields=("run", "sequence_number"),
        keep=(Earliest("started_at"),),
        complete=(Q(output_text__isnull=False) | Q(output_image_data__isnull=False),),
        clock="started_at",
    ),
    system="embeddings",
)

PERSISTENCE_DIAGRAMS = register(
    DedupeRule(
        name="persistence_diagrams",
        model="integrity.PersistenceDiagram",
        fields=("run", "embedding_model"),
        keep=(Earliest("started_at"),),
        complete=(Q(diagram_data__isnull=False),),
        clock="started_at",
    ),
    system="embeddings",
)
