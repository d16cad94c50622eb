"""One cluster of each number in a clustering, and one assignment of an embedding in it.

Ids say nothing about age here: of two clusters the one that more assignments name stays.
"""

from integrity.dedupe.keep import Earliest, MostReferenced
from integrity.dedupe.rule import DedupeRule
from integrity.rules.registry import register

CLUSTERS = register(
    DedupeRule(
        name="clusters",
        model="integrity.Cluster",
        fields=("clustering_result", "cluster_id"),
        keep=(MostReferenced(), Earliest()),
    ),
    system="clustering",
)

ASSIGNMENTS = register(
    DedupeRule(
        name="assignments",
        model="integrity.EmbeddingCluster",
        fields=("embedding", "clustering_result"),
        keep=(Earliest(),),
    ),
    system="clustering",
)
