"""Which planned runs start alike, from what their sparsifiers announce."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from msbench.config import build_part
from msbench.plugins import Plugins
from msbench.runs.plan import PlannedRun
from msbench.runs.starts import start_identity
from msbench.training.sparsifier import Sparsifier


def kept_steps(plugins: Plugins, plan: Sequence[PlannedRun]) -> dict[str, tuple[int, ...]]:
    """By run that is still to be made, the steps where its plain first stage passes the end of another's."""
    found: dict[str, tuple[int, ...]] = {}
    for stages in _alike(plugins, plan):
        for run_id, own in stages.items():
            found[run_id] = tuple(sorted({steps for steps in stages.values() if steps < own}))
    return found


def sharing(plugins: Plugins, plan: Sequence[PlannedRun]) -> str:
    """One sentence: how many runs go on from a start that another run makes, and what that saves."""
    runs = samples = 0
    batch = {run.run_id: run.config.training.batch for run in plan}
    for stages in _alike(plugins, plan):
        shared = sorted((steps, run_id) for run_id, steps in stages.items())[:-1]  # the longest is trained
        runs += len(shared)
        samples += sum(steps * batch[run_id] for steps, run_id in shared)
    if runs == 0:
        return ""
    what = "1 shares its start" if runs == 1 else f"{runs} share their starts"
    return f"{what} with another run: {samples:,} samples are trained once instead of again."


def _alike(plugins: Plugins, plan: Sequence[PlannedRun]) -> list[dict[str, int]]:
    """Runs still to be made whose plain first stages have the same numbers, each with the steps of its stage."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for run in plan:
        config = run.config
        alone = config.engine.share_start and config.engine.processes == 1
        if run.cached or not alone or config.meta_test is not None:
            continue
        component = plugins.get("sparsifier", config.sparsifier.base)
        sparsifier: Sparsifier = build_part(component, config.sparsifier.params)
        steps = round(sparsifier.plain_share() * config.training.samples / config.training.batch)
        if steps > 0:
            key = json.dumps([start_identity(run.identity), sparsifier.separate], sort_keys=True)
            found[key][run.run_id] = steps
    return list(found.values())
