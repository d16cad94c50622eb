"""``python -m tests.pipeline.chaos [--seconds 60] [--seed N] [--seeds 1] [--naive]``."""

from __future__ import annotations

import argparse
import os
import random
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from tests.pipeline.chaos.harness import run_chaos  # noqa: E402 - Django first


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pipeline.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long each seed rages")
    parser.add_argument("--seed", type=int, help="the first seed; without, a new one")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--naive", action="store_true", help="the original's handler, which must fail")
    given = parser.parse_args()
    first = random.SystemRandom().randrange(100_000) if given.seed is None else given.seed
    failed = False
    for seed in range(first, first + given.seeds):
        outcome = run_chaos(seed=seed, seconds=given.seconds, naive=given.naive)
        sys.stdout.write(f"{outcome}\n")
        sys.stdout.flush()
        if outcome.violations:
            failed = True
            handler = " --naive" if given.naive else ""
            sys.stdout.write(
                f"Replay: python -m tests.pipeline.chaos --seed {seed} --seconds {given.seconds:g}{handler}\n"
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
