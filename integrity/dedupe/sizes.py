"""How many groups a batch has: as many as fit into the time that it may take.

What a batch costs whatever its size (dozens of statements where many tables refer to the rows) is no reason for fewer
groups: it would come more often, and locks would be held no shorter. So a batch of few groups that took somewhat too
long is followed by a try with twice as many. Where that takes about twice as long, it is the groups that cost.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from integrity import conf

FIRST_SIZE: Final = 200
"""Groups in the first batch; later ones adapt."""
_SHARE = 0.6  # of the time that a batch may take: the next one may take longer than the last
_FEW = 20
"""With fewer groups than that, a batch may take too long for what every batch costs."""
_MUCH_TOO_LONG = 5  # times what a batch may take
_IN_PROPORTION = 1.5  # times as long, for twice as many groups
_REST = 16
"""Batches after a try in vain, before the next one."""


class BatchSize:
    """The size of the next batch; several threads take turns with it.

    ``chosen`` is a size that does not adapt; ``wanted`` the time that a batch may take.
    """

    def __init__(self, *, chosen: int | None, wanted: timedelta) -> None:
        self._chosen = chosen
        self.groups = chosen or min(FIRST_SIZE, conf.most_groups_per_batch())
        self._wanted = wanted.total_seconds()
        self._smaller: tuple[int, float] | None = None
        """Groups and seconds of the batch before a try with more."""
        self._rest = 0

    @property
    def adapts(self) -> bool:
        return self._chosen is None

    def halve(self) -> None:
        """Let the next batch be half as large: this one was taken back."""
        self.groups //= 2
        self._smaller, self._rest = None, _REST

    def adapt(self, groups: int, *, took: float) -> None:
        """Choose the next size, after a batch of so many groups took so many seconds."""
        if self._chosen is not None:
            self.groups = self._chosen
            return
        fitting = groups * _SHARE * self._wanted / max(took, 0.001)
        if fitting < groups <= _FEW and took <= _MUCH_TOO_LONG * self._wanted:
            self.groups = self._of_few(groups, took=took)
            return
        fewest = 1 if took > _MUCH_TOO_LONG * self._wanted else min(groups, _FEW)
        self.groups = int(max(fewest, groups / 2, min(fitting, groups * 2, conf.most_groups_per_batch())))

    def _of_few(self, groups: int, *, took: float) -> int:
        if self._smaller is not None and groups > self._smaller[0]:
            (fewer, before), self._smaller = self._smaller, None
            if took > _IN_PROPORTION * before:
                self._rest = _REST
                return fewer
        if self._rest or groups == _FEW:
            self._rest = max(self._rest - 1, 0)
            return groups
        self._smaller = (groups, took)
        return min(groups * 2, _FEW)
