"""How long a plan takes and how much disk it needs: from runs of the same kind in the store, else from a few steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msbench.plugins import Plugins
from msbench.records.record import Record
from msbench.runs.plan import PlannedRun
from msbench.runs.probe import Probe, probe
from msbench.store.store import Store


def estimate(plan: Sequence[PlannedRun], store: Store, plugins: Plugins, cache: Path) -> str:
    """One sentence. Says so when there is nothing to estimate from: no comparable run, and no data to time steps on."""
    missing = [run for run in plan if not run.cached]
    if not missing:
        return "Nothing to run."
    config = missing[0].config
    found, source = _from_runs(store, config.model_dump(mode="json")), ""
    if found is None:
        found = probe(plugins, config, cache)
        source = ", by a few training steps just timed here"
    if found is None:
        return (
            f"No estimate of time: no comparable run in the store, and the data are not ready "
            f"(`msbench data prepare {config.data.name}`)."
        )
    seconds = found.seconds * sum(run.config.training.samples for run in missing)
    return f"About {duration(seconds)} of one worker and {found.size * len(missing) / 1e6:.0f} MB{source}."


def duration(seconds: float) -> str:
    """Minutes, hours or days."""
    for limit, unit, name in ((5400, 60, "min"), (48 * 3600, 3600, "hours")):
        if seconds < limit:
            return f"{max(seconds / unit, 1):.0f} {name}"
    return f"{seconds / 86400:.0f} days"


def _from_runs(store: Store, config: dict[str, object]) -> Probe | None:
    """Of runs with the same data, network and tasks, whatever their method; None where there are none."""
    done = [record for run_id in store.ids() if (record := store.find(run_id)) is not None]
    alike = [record for record in done if _alike(record, config)]
    if not alike:
        return None
    seconds = sum(r.cost.wall_s / r.allowance.spent for r in alike if r.cost and r.allowance) / len(alike)
    size = sum(file.stat().st_size for r in alike for file in store.folder(r.run_id).glob("*")) / len(alike)
    return Probe(seconds, round(size))


def _alike(record: Record, config: dict[str, object]) -> bool:
    same = all(record.config.get(part) == config[part] for part in ("data", "model", "tasks"))
    return same and record.cost is not None and record.allowance is not None and record.allowance.spent > 0
