"""The tables of results in the documentation, from the records of the public board.

`python -m tests.docs.results` prints them; a test holds that the pages have them word for word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from msbench.records.record import Record, read_record

RECORDS = Path(__file__).parents[2] / "leaderboard" / "records"
SHORT = (
    "one_shot_magnitude",
    "progressive_magnitude",
    "growing_reg",
    "meta_sparsity",
    "group_lasso_adaptive",
    "random",
)
"""Rows of the README's table."""
METRICS = (("segmentation", "miou", 1), ("depth", "abs", 3), ("normals", "mean", 1))
ROAD_METRICS = (
    ("segmentation", "miou", 1),
    ("edges", "f1", 1),
    ("fence", "balanced_accuracy", 1),
    ("bicyclist", "balanced_accuracy", 1),
)
ATTRIBUTES = ("male", "smiling", "big_lips", "high_cheekbones", "wearing_lipstick", "arched_eyebrows")
FACE_METRICS = (("segmentation", "miou", 1), *((name, "accuracy", 1) for name in ATTRIBUTES))
ROOMS_HEADS = ("mIoU %", "depth error m", "normals °")
ROAD_HEADS = ("mIoU %", "edges F1 %", "fence, balanced acc. %", "bicyclist, balanced acc. %")
FACE_HEADS = ("mIoU %", *(f"{name.replace('_', ' ')} %" for name in ATTRIBUTES))
FULL, LOW = 0.9, 0.7

Cells = Mapping[tuple[str, str], Sequence[Record]]
"""Runs by the sparsifier's name and the level: `matched`, `natural` or the share that was asked for."""


def cells(records: Iterable[Record], dataset: str = "rooms") -> Cells:
    """The finished runs on one dataset, by method and level: of each seed the newest, in the order of the seeds."""
    found: dict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for record in sorted(records, key=lambda record: record.created):
        if record.dataset and record.dataset.name == dataset and record.status == "ok" and record.budget:
            share = record.budget.mode == "share"
            level = f"{record.budget.asked:g}" if share else record.budget.mode
            found[record.sparsifier.name, level][record.seed] = record
    return {key: [runs[seed] for seed in sorted(runs)] for key, runs in found.items()}


def number(values: Sequence[float], digits: int) -> str:
    """Mean ± sample standard deviation of three seeds or more; the first seed's value of fewer."""
    if len(values) < 3:
        return signed(f"{values[0]:.{digits}f}") if values else ""
    return signed(f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}")


def signed(text: str) -> str:
    """With the minus sign that print has."""
    return text.replace("-", "−")


def deltas(runs: Sequence[Record]) -> list[float]:
    """Δ_T of each run, in percent."""
    return [run.delta.mean for run in runs if run.delta]


def metrics(runs: Sequence[Record], chosen: Sequence[tuple[str, str, int]] = METRICS) -> list[str]:
    """The headline of each task."""
    return [number([run.metrics[task][name].value for run in runs], digits) for task, name, digits in chosen]


def constant(runs: Sequence[Record], chosen: Sequence[tuple[str, str, int]] = METRICS) -> list[str]:
    """What the constant predictor gets."""
    return [f"{runs[0].metrics[task][name].constant:.{digits}f}" for task, name, digits in chosen]


def levels(found: Cells) -> list[str]:
    """Shares that every method was run at, least first."""
    names = {name for name, level in found if level == f"{FULL:g}"}
    shares = {level for _, level in found} - {"matched", "natural"}
    return sorted((share for share in shares if all((name, share) in found for name in names)), key=float)


def methods(found: Cells, structured: bool) -> list[str]:
    """Methods that remove groups, or single weights: best at 90 % first."""
    full = f"{FULL:g}"
    names = [name for name, level in found if level == full and structured_of(found[name, level]) is structured]
    return sorted(names, key=lambda name: -mean(deltas(found[name, full])))


def level_table(found: Cells, structured: bool) -> str:
    """Δ_T of every method at every level."""
    shares = levels(found)
    head = ["whole channels removed: Δ_T %" if structured else "single weights removed: Δ_T %", "matched"]
    head += [f"{float(share):.0%}".replace("%", " %") for share in shares]
    rows = []
    for name in methods(found, structured):
        runs = [matched(found, name), *(found[name, share] for share in shares)]
        rows.append([titled(name), *(number(deltas(some), 1) for some in runs)])
    return markdown(head, rows)


def full_table(found: Cells, structured: bool) -> str:
    """What every task gets at 90 %, and how small the network is; below it, what nothing was removed from."""
    head = ["at 90 %, whole channels" if structured else "at 90 %, single weights (no dense speed-up)", *ROOMS_HEADS]
    full = [(name, found[name, f"{FULL:g}"]) for name in methods(found, structured)]
    rows = [[titled(name), *metrics(runs), *(smaller(runs) if structured else [])] for name, runs in full]
    if structured:
        dense = found["dense", "natural"]
        head.append("parameters")
        rows += [["dense", *metrics(dense), ""], ["constant predictor", *constant(dense), ""]]
    return markdown(head, rows)


def titled(name: str) -> str:
    """A method's name in the first column."""
    return f"`{name}`" + " (the reference)" * (name == "meta_sparsity")


def structured_of(runs: Sequence[Record]) -> bool:
    """Whether whole groups were removed."""
    return bool(runs[0].budget and runs[0].budget.structured)


def matched(found: Cells, name: str) -> Sequence[Record]:
    """The runs at the reference's level: its own, for the reference."""
    return found.get((name, "matched")) or found.get((name, "natural"), [])


def smaller(runs: Sequence[Record]) -> list[str]:
    """How many times fewer parameters the compact network has, where it was proven equal."""
    return [f"{mean(run.compression.parameters for run in runs if run.compression):.1f}×"]


def short_table(found: Cells) -> str:
    """The README's table."""
    rows = []
    for name in SHORT:
        runs = found[name, f"{FULL:g}"]
        delta = [number(deltas(found[name, f"{level:g}"]), 1) for level in (LOW, FULL)]
        rows.append([f"`{name}`", *delta, f"{smaller(runs)[0]} fewer"])
    return markdown(["", "Δ_T % at 70 %", "Δ_T % at 90 %", "parameters at 90 %"], rows)


def account(found: Cells, names: Sequence[str], heads: Sequence[str], chosen: Sequence[tuple[str, str, int]]) -> str:
    """A few methods at the reference's level, with what each task gets."""
    dense = found["dense", "natural"]
    rows = [["dense", "", *metrics(dense, chosen), ""]]
    for name in names:
        runs = matched(found, name)
        sparsity = [100 * run.budget.achieved for run in runs if run.budget]
        rows.append([titled(name), number(sparsity, 1), *metrics(runs, chosen), number(deltas(runs), 1)])
    rows.append(["constant predictor", "", *constant(dense, chosen), ""])
    return markdown(["method", "sparsity %", *heads, "Δ_T %"], rows)


def ranked(found: Cells) -> list[str]:
    """Methods at the reference's level, and the reference: least lost first."""
    names = {name for name, level in found if level == "matched"} | {"meta_sparsity"}
    return sorted(names, key=lambda name: -mean(deltas(matched(found, name))))


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as the pages have it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines).replace(
        " --- ", "---"
    )


def tables() -> dict[str, list[str]]:
    """Page to the tables that it must have."""
    records = [read_record(folder / "record.json") for folder in sorted(RECORDS.iterdir())]
    found, road, faces = (cells(records, name) for name in ("rooms", "camvid", "faces"))
    return {
        "docs/explanation/results.md": [
            make(found, structured) for make in (level_table, full_table) for structured in (True, False)
        ]
        + [
            account(road, ranked(road), ROAD_HEADS, ROAD_METRICS),
            account(faces, ranked(faces), FACE_HEADS, FACE_METRICS),
        ],
        "docs/explanation/learning-lambda.md": [
            account(found, ["one_shot_magnitude", "meta_sparsity"], ROOMS_HEADS, METRICS),
            account(road, ["one_shot_magnitude", "meta_sparsity", "group_lasso"], ROAD_HEADS, ROAD_METRICS),
        ],
        "README.md": [short_table(found)],
    }


def main() -> None:
    """Print every table under its page's name."""
    for page, texts in tables().items():
        print(f"{page}\n\n" + "\n\n".join(texts) + "\n")


if __name__ == "__main__":
    main()
