"""What a record claims, each against what its run's folder gives again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from msbench.data.dataset import Part
from msbench.measure.flops import multiply_adds, theoretical_speedup
from msbench.measure.latency import measure
from msbench.records.record import METRIC_VERSION, LatencyPart, MetricValue, Record
from msbench.runs.build import initial_digest, rebuild, weights_digest
from msbench.runs.describe import sparsity_part
from msbench.runs.finish import PROOF_TOLERANCE, compression, delta_part
from msbench.runs.verification.comparing import Check, Found, equal, near, same
from msbench.runs.verification.reloaded import Reloaded
from msbench.sparsity.budget import Budget
from msbench.sparsity.costs import Costs
from msbench.sparsity.mask import Mask
from msbench.store.store import Store

ELSEWHERE = 1e-4
"""Relative difference of metrics that is allowed on another machine or device."""
ROUNDING = 1e-9
"""Relative difference of what is counted, not computed by a network."""
FASTER = 2.0
"""A measured speed-up may be at most so many times what the same measurement gives now."""


def run_checks(run: Reloaded, store: Store) -> list[Check]:
    """Every check, in the order of the record; one that breaks off has failed."""
    every: dict[str, Callable[[], Found]] = {
        "data": lambda: _data(run),
        "initial weights": lambda: _initial(run),
        "weights": lambda: _weights(run),
        "mask": lambda: _mask(run),
        "sparsity": lambda: _sparsity(run),
        "budget": lambda: _budget(run, store),
        "allowance": lambda: _allowance(run),
        "proof": lambda: _proof(run),
        "compression": lambda: _compression(run),
        "multiply-adds": lambda: _multiply_adds(run),
        "measured speed-up": lambda: _speedup(run),
        "test metrics": lambda: _metrics(run, "test", run.record.metrics),
        "validation metrics": lambda: _metrics(run, "validation", run.record.validation),
        "delta": lambda: _delta(run, store),
        "status": lambda: _status(run),
    }
    return [_checked(name, check) for name, check in every.items()]


def _checked(name: str, check: Callable[[], Found]) -> Check:
    try:
        found = list(check())
    except Exception as error:  # whatever a damaged folder makes it raise, the claim does not hold
        line = (str(error).splitlines() or [""])[0]
        return Check(name=name, ok=False, detail=f"{type(error).__name__}: {line}"[:300])
    wrong = [words for ok, words in found if ok is False]
    if wrong:
        return Check(name=name, ok=False, detail="; ".join(wrong[:3]))
    ok = None if all(ok is None for ok, _ in found) else True
    return Check(name=name, ok=ok, detail="; ".join(words for _, words in found if words))


def _data(run: Reloaded) -> Found:
    now, then = run.dataset.fingerprint(run.cache), run.record.hashes.get("data")
    yield now == then, f"fingerprint {now[:12]}" if now == then else f"fingerprint {now[:12]}, recorded {then!r:.14}"


def _initial(run: Reloaded) -> Found:
    if run.machine["packages"]["torch"] != run.record.environment.get("packages", {}).get("torch"):
        yield None, "another torch draws other numbers"
        return
    if "sha256:" in str(run.config.model.backbone.params):
        yield None, "they came from a file"
        return
    found = initial_digest(rebuild(run.plugins, run.config)[2])
    yield from same("digest", run.record.hashes.get("initial_weights"), found)


def _weights(run: Reloaded) -> Found:
    yield from same("digest", run.record.hashes.get("weights"), weights_digest(run.model))


def _mask(run: Reloaded) -> Found:
    mask = run.mask
    yield from same("digest", run.record.hashes.get("mask"), mask.digest() if mask is not None else "")
    if mask is None:
        return
    weights, layers = run.groups.parameters(run.model), {layer.name for layer in run.groups.layers}
    for name in mask:
        if name not in layers:
            yield False, f"layer {name!r} is outside the budget's scope"
        elif bool((weights[name].detach() * ~mask.expanded(name, weights[name])).any()):
            yield False, f"layer {name!r} has weights that the mask removes"
    yield True, "every removed weight is zero"


def _sparsity(run: Reloaded) -> Found:
    prices = [run.priced, Costs.of_weights(run.groups), run.multiply_adds]
    found = sparsity_part(run.model, run.mask, run.groups, prices).model_dump(mode="json")
    then = run.record.sparsity.model_dump(mode="json") if run.record.sparsity is not None else {}
    if not then.get("by_unit"):
        found.pop("by_unit")  # a record from before it was counted in every unit
        then.pop("by_unit", None)
    yield from equal(then, found, ROUNDING)
    yield True, f"{found['parameters']:.2%} of the weights removed"


def _budget(run: Reloaded, store: Store) -> Found:
    claim, mask = run.record.budget, run.mask
    if claim is None:
        yield False, "the record has none"
        return
    budget = Budget(claim.mode, run.config.budget.scope, run.groups, claim.asked, run.priced)
    achieved = budget.sparsity(mask) if mask is not None else 0.0
    yield from near("achieved", claim.achieved, achieved, ROUNDING)
    structured = mask is None or mask.structured
    yield from near("tolerance", claim.tolerance, budget.tolerance(structured), ROUNDING)
    yield from same("mode", claim.mode, run.config.budget.mode, quiet=True)
    if run.config.budget.mode == "share":
        yield from near("asked", claim.asked, run.config.budget.share, ROUNDING)
    reference = _stored(store, claim.reference)
    if reference is not None and reference.budget is not None:
        yield from near("asked, against the reference's,", claim.asked, reference.budget.achieved, ROUNDING)
    if claim.asked is not None and claim.met is not None:
        met = abs(achieved - claim.asked) <= budget.tolerance(structured)
        yield claim.met == met, f"{achieved:.2%}, asked for {claim.asked:.2%}: {'met' if met else 'missed'}"
    else:
        yield True, "nothing was asked for"


def _allowance(run: Reloaded) -> Found:
    claim = run.record.allowance
    asked = run.config.training.samples
    good = claim is not None and 0 < claim.spent <= claim.samples == asked
    yield good, f"{claim.spent if claim else 0} of {asked} samples"


def _proof(run: Reloaded) -> Found:
    claim, found = run.record.proof, run.proof
    if claim is None:
        yield None, "the run was not measured"
        return
    diffs = ", ".join(f"{diff:.1e} in {dtype}" for dtype, diff in found.max_abs_diff.items())
    yield claim.equal == found.equal, f"{'equal' if found.equal else 'NOT equal'}: largest difference {diffs}"
    yield from equal(claim.tolerance, PROOF_TOLERANCE, 0.0)


def _compression(run: Reloaded) -> Found:
    claim = run.record.compression
    if claim is None or not run.proof.equal:
        yield _unclaimed(claim, run), "no compression is claimed" if claim is None else "claimed without a proof"
        return
    found = compression(run.model, run.compaction.model.eval())
    yield from equal(claim.model_dump(), found.model_dump(), ROUNDING)
    yield True, f"{found.dense_parameters} -> {found.compact_parameters} parameters, {found.bytes:.2f}x fewer bytes"


def _multiply_adds(run: Reloaded) -> Found:
    claim = run.record.speedup
    if claim is None or not run.proof.equal:
        yield _unclaimed(claim, run), "no speed-up is claimed" if claim is None else "claimed without a proof"
        return
    mask = run.mask if run.mask is not None else Mask({})
    dense, small = multiply_adds(run.model, run.example), multiply_adds(run.compaction.model, run.example)
    theory = theoretical_speedup(run.model, mask, run.example, run.config.budget.scope)
    found = {"theoretical": theory if math.isfinite(theory) else None, "macs": dense / max(small, 1)}
    found |= {"dense_macs": dense, "compact_macs": small}
    yield from equal(claim.model_dump(exclude={"measured"}), found, ROUNDING)
    yield True, f"{dense} -> {small}"


def _unclaimed(claim: object, run: Reloaded) -> bool | None:
    """Whether it is right that nothing is claimed."""
    if claim is not None:
        return False
    return None if run.proof.equal else True


def _speedup(run: Reloaded) -> Found:
    claims = run.record.speedup.measured if run.record.speedup is not None else {}
    for device, claim in claims.items():
        if claim is None:
            continue
        yield from _consistent(device, claim)
        if not run.proof.equal:
            yield False, f"{device}: claimed without a proof"
        elif device != "cpu" or not run.same_machine:
            yield None, f"{device}: not measured again: another machine or device"
        else:
            small, seconds = run.compaction.model.eval(), min(run.config.engine.measure_seconds, 1.0)
            now = measure(run.model, small, run.example, budget_s=seconds, threads=claim.threads, device=device)
            words = f"{device}: {claim.ratio:.2f}x, now {now.ratio:.2f}x"
            most = FASTER * max(now.ratio, now.high or 0.0)
            yield claim.ratio <= most, words if claim.ratio <= most else f"{words}: at most {most:.2f}x is believed"
    if not any(claims.values()):
        yield None, "none is claimed"


def _consistent(device: str, claim: LatencyPart) -> Found:
    """A median lies between its quartiles, and near the ratio of the median times."""
    if not claim.q25 <= claim.ratio <= claim.q75:
        yield False, f"{device}: ratio {claim.ratio:.2f} is not between its quartiles {claim.q25:.2f}, {claim.q75:.2f}"
    if claim.compact_s <= 0 or not 0.5 <= claim.dense_s / claim.compact_s / claim.ratio <= 2.0:
        yield False, f"{device}: ratio {claim.ratio:.2f} does not follow from its own times"


def _metrics(run: Reloaded, part: Part, claim: Mapping[str, Mapping[str, MetricValue]]) -> Found:
    if run.record.metric_version != METRIC_VERSION:
        yield None, f"its metrics are of version {run.record.metric_version}, these of {METRIC_VERSION}"
        return
    tolerance = 0.0 if run.same_machine else ELSEWHERE
    found = {  # what is measured today and was not then is no claim
        task: {name: metric for name, metric in metrics.items() if name in claim.get(task, {})}
        for task, metrics in run.measured(part).items()
    }
    yield from equal(_judged(claim), _judged(found), tolerance)
    yield True, "to the last digit" if tolerance == 0 else f"within {tolerance:g}: another machine or device"


def _judged(metrics: Mapping[str, Mapping[str, MetricValue]]) -> dict[str, Any]:
    """What of metrics is a claim, and not a name for people."""
    names = {"label", "unit"}
    return {task: {name: m.model_dump(exclude=names) for name, m in found.items()} for task, found in metrics.items()}


def _delta(run: Reloaded, store: Store) -> Found:
    claim = run.record.delta
    if claim is None:
        yield None, "none is claimed"
        return
    dense = _stored(store, claim.dense_run)
    if dense is None:
        yield None, f"{claim.dense_run} is not in the store"
        return
    found = delta_part(run.record, dense)
    yield from equal(claim.model_dump(), found.model_dump(), ROUNDING)
    yield True, f"{found.mean:+.2f} %"


def _stored(store: Store, run_id: str | None) -> Record | None:
    """A run that a record names, if it is one of the store: the name is the record's and may be any text."""
    return store.find(run_id) if run_id is not None and run_id in store.ids() else None


def _status(run: Reloaded) -> Found:
    record = run.record
    missed = record.budget is not None and record.budget.met is False
    inexact = record.proof is not None and not record.proof.equal
    good = record.status != "ok" or not (missed or inexact)
    yield good, record.status if good else f"{record.status}, yet the budget or the proof does not hold"
