"""When does λ settle? The runs, tables and plots behind docs/explanation/learning-lambda.md.

python benchmarks/lambda_study.py [--results FOLDER] [--out docs/img]

Small networks on the smallest rooms, so that it takes minutes on two cores; what is in the results folder is reused.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt

import msbench
from msbench.records.record import Record

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "msbench", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False})

SEEDS = (0, 1, 2)
EVALUATIONS = "training.evaluations=4"
SAMPLES = 6000
LEVEL, LEVEL_SAMPLES = "meta_sparsity[meta_share=0.9]", 2000
"""For questions about the level alone: hardly any fine-tuning, 112 outer steps."""
STARTS = (-4.0, -2.0, -0.5, 0.55, 2.0)
RATES = (1.0, 5.0, 20.0, 50.0, 200.0)
START, RATE = 0.55, 20.0
NETWORKS: Mapping[str, tuple[str, ...]] = {
    "width 8": (),
    "width 16": ("model.backbone.width=16",),
    "width 12, two blocks": ("model.backbone.width=12", "model.backbone.blocks=2"),
}
MIXES: Mapping[str, tuple[str, ...]] = {"three tasks": (), "depth, normals": ("tasks=[depth,normals]",)}
SHARES = (0.1, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Run:
    """What a run ended with, and its history: step, name, value."""

    record: Record
    history: pd.DataFrame

    @property
    def level(self) -> float:
        """Sparsity that the method found by itself, percent."""
        assert self.record.budget is not None
        assert self.record.budget.achieved is not None
        return 100 * self.record.budget.achieved

    def curve(self, name: str) -> pd.DataFrame:
        """One quantity over the steps."""
        return self.history[self.history["name"] == name]


def natural(
    selections: Sequence[str], overrides: Iterable[str], results: Path, samples: int = SAMPLES
) -> dict[str, list[Run]]:
    """Every selection under a natural budget, three seeds: selection to runs."""
    given = (f"training.samples={samples}", EVALUATIONS, *overrides)
    outcome = msbench.run(
        list(selections), budget="natural", seeds=SEEDS, preset="smoke", overrides=given, results=results
    )
    found = defaultdict(list)
    for run_id, record in outcome.records.items():
        if record.sparsifier.base == "meta_sparsity":
            if not record.metrics:
                raise SystemExit(f"{run_id}: {record.status}: {record.reason}")
            history = pd.read_parquet(results / "runs" / run_id / "history.parquet")
            found[record.sparsifier.name].append(Run(record, history))
    return found


def spread(levels: Sequence[float]) -> str:
    """Mean and sample standard deviation."""
    return f"{statistics.mean(levels):.1f} ± {statistics.stdev(levels):.1f}"


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def header(*cells: str) -> None:
    print()
    row(*cells)
    row(*(["---"] * len(cells)))


def published(results: Path, out: Path) -> None:
    """λ by its published gradient and by its hypergradient, over starts and learning rates."""
    figure, axes = plt.subplots(2, 4, figsize=(11, 4.6), layout="constrained")
    header("learned by", "start of ρ", "λ learning rate", "λ at the end", "level %, 3 seeds", "mean ± sd")
    for line, way in zip(axes, ("direct", "hyper"), strict=True):
        settings = {(START, rate) for rate in RATES} | {(start, RATE) for start in STARTS}
        names = {
            f"meta_sparsity_{way}[rho={start},lr_lambda={rate}]": (start, rate) for start, rate in sorted(settings)
        }
        found = natural(list(names), (), results)
        for name, (start, rate) in names.items():
            runs = found[name]
            ends = [run.curve("lambda")["value"].iloc[-1] for run in runs]
            levels = [run.level for run in runs]
            shown = ", ".join(f"{level:.0f}" for level in levels)
            row(way, start, f"{rate:g}", ", ".join(f"{end:.3f}" for end in ends), shown, spread(levels))
            for axis, name_, mine in ((line[0], "lambda", rate == RATE), (line[1], "sparsity", rate == RATE)):
                if mine:
                    curve = runs[0].curve(name_)
                    axis.plot(curve["step"], curve["value"], label=f"ρ₀ {start:g}", lw=1)
            for axis, x, mine in ((line[2], start, rate == RATE), (line[3], rate, start == START)):
                if mine:
                    axis.plot([x] * len(levels), levels, "o", ms=3, color="C0")
        for axis, title in zip(
            line, (f"{way}: λ over steps", "sparsity over steps", "level % against ρ₀", ""), strict=True
        ):
            axis.set_title(title)
        line[0].set_yscale("log")
        line[0].legend(frameon=False, fontsize=6)
        line[3].set_title("level % against λ learning rate")
        line[3].set_xscale("log")
        for axis in line[2:]:
            axis.set_ylim(-5, 105)
    figure.savefig(out / "lambda-published.svg", metadata={"Date": None})


def share(results: Path, out: Path) -> None:
    """λ as the multiplier of the saliency-share constraint: seeds, networks, task mixes, length, knob."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
    header("network", "tasks", "level %, 3 seeds", "mean ± sd", "four times the samples", "moved by")
    for color, (network, wider) in enumerate(NETWORKS.items()):
        for style, (mix, tasks) in zip(("-", "--"), MIXES.items(), strict=True):
            short = natural([LEVEL], (*wider, *tasks), results, LEVEL_SAMPLES)[LEVEL]
            longer = natural([LEVEL], (*wider, *tasks), results, 4 * LEVEL_SAMPLES)[LEVEL]
            levels, later = [run.level for run in short], [run.level for run in longer]
            moved = ", ".join(f"{b - a:+.1f}" for a, b in zip(levels, later, strict=True))
            shown = [", ".join(f"{level:.1f}" for level in found) for found in (levels, later)]
            row(network, mix, shown[0], spread(levels), shown[1], moved)
            for run in longer:
                curve = run.curve("sparsity_of_lambda")
                axes[0].plot(curve["step"], 100 * curve["value"], style, color=f"C{color}", lw=0.8)
    axes[0].set(title="level of λ % over 4x the steps; colour: network, dashes: two tasks", xlabel="outer step")
    axes[0].set_ylim(0, 100)
    header("φ", "level %, 3 seeds", "mean ± sd", "λ")
    found = natural([f"meta_sparsity[phi={phi}]" for phi in SHARES], (), results)
    for phi in SHARES:
        runs = found[f"meta_sparsity[phi={phi}]"]
        levels = [run.level for run in runs]
        ends = ", ".join(f"{run.curve('lambda')['value'].iloc[-1]:.3f}" for run in runs)
        row(phi, ", ".join(f"{v:.1f}" for v in levels), spread(levels), ends)
        axes[1].plot([phi] * len(levels), levels, "o", ms=3, color="C0")
    axes[1].set(title="level % against φ", xlabel="φ", ylim=(0, 100))
    figure.savefig(out / "lambda-share.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results-lambda"))
    parser.add_argument("--out", type=Path, default=Path("docs/img"))
    parser.add_argument("--part", choices=["published", "share", "all"], default="all")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.part != "share":
        published(asked.results, asked.out)
    if asked.part != "published":
        share(asked.results, asked.out)


if __name__ == "__main__":
    main()
