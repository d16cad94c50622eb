"""Search reads one complete version of each file."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from integrity.backends import UnsupportedDatabase
from integrity.pipeline import InvalidSearch, SearchUnavailable, WrongDimensions, delete_file, search
from integrity.pipeline.providers import InputRejected, ProviderMisconfigured, ProviderUnavailable
from integrity.pipeline.providers.offline import OfflineProvider
from integrity.pipeline.search import Hit
from tests.databases import Database
from tests.pipeline.library import DIMENSIONS, Library, execute, fetch, words
from tests.pipeline.providers import Scripted
from tests.pipeline.stage import Actor


@pytest.fixture
def pgvector(library: Library) -> None:
    """Only where the server offers pgvector."""
    if fetch("SELECT to_regtype('vector')") == [(None,)]:
        pytest.skip("this server has no pgvector")


def find(library: Library, query: str, k: int = 5) -> list[Hit]:
    """Search with the library's provider."""
    return search(query=query, k=k, provider=library.provider)


@pytest.mark.usefixtures("pgvector")
def test_the_nearest_chunk_comes_first(library: Library) -> None:
    library.upload("cats purr at night", "rockets fly to the moon", "bread needs flour")
    library.work()

    hits = find(library, "a rocket to the moon", k=2)

    assert hits[0].content == "rockets fly to the moon"
    assert len(hits) == 2
    assert hits[0].score > hits[1].score


@pytest.mark.usefixtures("pgvector")
def test_the_old_version_is_found_until_the_new_one_is_complete_and_never_both(library: Library) -> None:
    processed = library.upload("rockets are old", "and slow")
    library.work()
    library.upload("rockets are new", "and fast", file=processed.file)

    library.worker(batch_size=1).step()
    assert {(hit.version, hit.content) for hit in find(library, "rockets")} == {(1, "rockets are old"), (1, "and slow")}
    library.work()

    assert {(hit.version, hit.content) for hit in find(library, "rockets")} == {(2, "rockets are new"), (2, "and fast")}


@pytest.mark.usefixtures("pgvector")
def test_a_search_during_a_reupload_neither_waits_nor_sees_it(library: Library) -> None:
    processed = library.upload("rockets are old")
    library.work()

    with Actor(lambda: library.upload("rockets are new", file=processed.file), at="chunks inserted"):
        assert [hit.content for hit in find(library, "rockets")] == ["rockets are old"]


@pytest.mark.usefixtures("pgvector")
def test_a_deleted_file_is_not_found(library: Library) -> None:
    processed = library.upload("rockets")
    library.work()

    delete_file(file=processed.file, queue=library.queue)

    assert find(library, "rockets") == []


@pytest.mark.usefixtures("pgvector")
def test_an_index_full_of_replaced_vectors_still_yields_k_results(library: Library) -> None:
    processed = library.upload(*words("rocket", 60))
    library.work()
    execute("CREATE INDEX short_lived ON file_embeddings USING ivfflat (embedding vector_cosine_ops) WITH (lists = 30)")
    for number in range(4):
        library.upload(*words(f"rocket{number}", 60), file=processed.file)
        library.work()
    execute("SET enable_seqscan = off")

    hits = find(library, "rocket", k=20)

    execute("RESET enable_seqscan")
    execute("DROP INDEX short_lived")
    assert ({hit.version for hit in hits}, len(hits)) == ({5}, 20)


@pytest.mark.parametrize(("query", "k"), [("", 3), ("  \n", 3), ("text", 0), ("text", -1), ("text", 1001)])
def test_a_search_for_nothing_is_refused(library: Library, query: str, k: int) -> None:
    with pytest.raises(InvalidSearch):
        find(library, query, k)


def test_a_database_without_pgvector_says_so(sqlite_database: Database) -> None:
    with pytest.raises(UnsupportedDatabase, match="Search needs PostgreSQL"):
        search(query="text", provider=OfflineProvider(dimensions=3))


def test_a_server_without_the_extension_says_so(library: Library) -> None:
    if fetch("SELECT to_regtype('vector')") != [(None,)]:
        execute("SET search_path = pg_catalog")
    try:
        with pytest.raises(SearchUnavailable, match="CREATE EXTENSION vector"):
            find(library, "text")
    finally:
        execute("RESET search_path")


@pytest.mark.usefixtures("pgvector")
def test_vectors_that_are_still_arrays_are_searched_as_well(own_library: Library) -> None:
    execute("ALTER TABLE file_embeddings ALTER embedding TYPE real[] USING embedding::real[]")
    own_library.upload("cats purr at night", "rockets fly to the moon")
    own_library.work()

    assert find(own_library, "a rocket to the moon")[0].content == "rockets fly to the moon"


def test_whatever_a_provider_raises_becomes_an_error_of_providers(library: Library) -> None:
    refused, broken = InputRejected("not this"), KeyError("data")

    with pytest.raises(InputRejected):
        search(query="text", provider=Scripted(answers=[refused]))
    with pytest.raises(ProviderUnavailable, match="KeyError: 'data'"):
        search(query="text", provider=Scripted(answers=[broken]))


@pytest.mark.usefixtures("pgvector")
def test_a_provider_with_other_dimensions_than_the_stored_vectors_is_refused(library: Library) -> None:
    library.upload("text")
    library.work()
    longer = Scripted(dimensions=DIMENSIONS + 1)
    execute("UPDATE file_embeddings SET model_version = %s", longer.model)

    with pytest.raises(WrongDimensions, match=rf"makes vectors of {DIMENSIONS + 1} numbers"):
        search(query="text", provider=longer)


@pytest.mark.usefixtures("pgvector")
def test_a_search_by_a_provider_that_nobody_chose_is_refused_beside_another_models(
    library: Library, settings: Settings
) -> None:
    library.upload("text")
    library.work()
    settings.INTEGRITY_EMBEDDING_PROVIDER = {"dimensions": DIMENSIONS}
    assert len(search(query="text")) == 1

    execute("UPDATE file_embeddings SET model_version = 'text-embedding-3-small'")

    with pytest.raises(ProviderMisconfigured, match="are of text-embedding-3-small, not of offline-hashing-48"):
        search(query="text")
