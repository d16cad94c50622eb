"""How many examples: few by default, many with ``EXAMPLES=500``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

# One database serves all examples of a test: each wipes it first, so the function's fixture may be shared.
settings.register_profile(
    "merging",
    max_examples=int(os.environ.get("EXAMPLES", "10")),
    # The same few examples every time; others where many are asked for.
    derandomize="EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    # Shrinking takes hundreds of runs: ask for it by asking for more examples.
    phases=list(Phase) if "EXAMPLES" in os.environ else [Phase.explicit, Phase.reuse, Phase.generate],
    print_blob=True,
)
settings.load_profile("merging")
