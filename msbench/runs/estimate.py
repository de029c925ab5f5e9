"""How long a plan takes and how much disk it needs, from runs of the same kind in the store."""

from __future__ import annotations

from collections.abc import Sequence

from msbench.records.record import Record
from msbench.runs.plan import PlannedRun
from msbench.store.store import Store


def estimate(plan: Sequence[PlannedRun], store: Store) -> str:
    """One sentence. Says so when the store holds no comparable run to estimate from."""
    missing = [run for run in plan if not run.cached]
    if not missing:
        return "Nothing to run."
    config = missing[0].config
    done = [record for run_id in store.ids() if (record := store.find(run_id)) is not None]
    alike = [record for record in done if _alike(record, config.model_dump(mode="json"))]
    if not alike:
        return "No comparable run in the store yet to estimate time from."
    seconds = sum(r.cost.wall_s / r.allowance.spent for r in alike if r.cost and r.allowance) / len(alike)
    total = seconds * sum(run.config.training.samples for run in missing)
    size = sum(f.stat().st_size for r in alike for f in store.folder(r.run_id).glob("*")) / len(alike)
    return f"About {total / 60:.0f} min of one worker, {size * len(missing) / 1e6:.0f} MB."


def _alike(record: Record, config: dict[str, object]) -> bool:
    same = all(record.config.get(part) == config[part] for part in ("data", "model", "tasks"))
    return same and record.cost is not None and record.allowance is not None and record.allowance.spent > 0
