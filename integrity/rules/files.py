"""One chunk for each place in a version of a file, and one embedding of a chunk by each model version.

Two workers that split one file leave every chunk twice, and only one of the two is embedded: that one stays.
"""

from integrity.dedupe.keep import Earliest, Latest, MostReferenced
from integrity.dedupe.rule import DedupeRule
from integrity.rules.registry import register

CHUNKS = register(
    DedupeRule(
        name="chunks",
        model="integrity.FileChunk",
        fields=("file", "version", "chunk_index"),
        keep=(MostReferenced(), Earliest("created_at")),
        clock="created_at",
    ),
    system="files",
)

CHUNK_EMBEDDINGS = register(
    DedupeRule(
        name="chunk_embeddings",
        model="integrity.FileEmbedding",
        fields=("chunk", "model_version"),
        keep=(Latest("updated_at"), Latest("created_at")),
        clock="created_at",
    ),
    system="files",
)
