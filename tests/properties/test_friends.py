"""Uniqueness inside the rule's own table: ponies of different names whose friends turn out to be one pony."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.databases import Database
from tests.properties.herds import Herd, herds
from tests.properties.test_merging import PONIES, check


@pytest.mark.slow
@given(herd=herds(friends=True), batch_size=st.integers(1, 3), connections=st.integers(1, 3))
def test_ponies_whose_friends_are_unique(ponies: Database, herd: Herd, batch_size: int, connections: int) -> None:
    check(PONIES, herd, batch_size=batch_size, connections=connections)
