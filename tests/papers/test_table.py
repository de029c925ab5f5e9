"""Ours beside the published numbers: which records fill which row, and what each format prints."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.papers.fill import Filled
from msbench.papers.render import to_csv, to_latex, to_markdown, to_text
from msbench.papers.schema import PaperTable, load_table
from msbench.records.record import Record, write_record
from msbench.runs.plan import PlannedRun

Plan = Callable[..., list[PlannedRun]]
Make = Callable[..., Record]
Fill = Callable[..., Filled]

QUALITY = {
    "dense": 0.0,
    "one_shot_magnitude": -2.0,
    "one_shot[criterion=mask:meta_sparsity]": -1.5,
    "meta_sparsity": 1.0,
}


@pytest.fixture
def records(plan: Plan, record: Make, table: PaperTable) -> list[Record]:
    """Three seeds of everything."""
    return [record(run, QUALITY[run.config.sparsifier.name]) for run in plan(table, seeds=[0, 1, 2])]


def shown(filled: Filled, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(to_text(filled, width))
    return console.file.getvalue()  # type: ignore[attr-defined]


def row_of(output: str, *words: str) -> list[str]:
    """The line of ours that has these words, and the paper's below it."""
    lines = output.splitlines()
    index = next(i for i, line in enumerate(lines) if all(word in line for word in words) and "ours" in line)
    return lines[index : index + 2]


def test_ours_stand_above_the_published_values(table: PaperTable, records: list[Record], filled: Fill) -> None:
    """IoU 40, 41, 42 less 2, in the paper's unit: mean 0.39, sample deviation 0.01."""
    output = shown(filled(table, records))
    ours, paper = row_of(output, "magnitude", "same")
    assert "ours (3)" in ours
    assert "0.3900 ± 0.0100" in ours
    assert "39.0000 ± 1.0000" in ours, "depth in metres, as ours"
    assert "−8.00" in ours
    assert "44.12" in ours
    assert re.findall(r"\S+ ± \S+|−?\d+\.\d+", paper) == ["0.2500 ± 0.0200", "0.1800", "−9.50"]
    ours, paper = row_of(output, "meta mask", "same")
    assert "0.3950 ± 0.0100" in ours
    assert re.findall(r"\S+ ± \S+", paper) == ["0.2800 ± 0.0300"]
    assert "0.00" in row_of(output, "dense", "same")[0], "the control's change against itself"
    assert "0.1250" in row_of(output, "constant predictor")[0]


def test_what_is_said_around_the_table(table: PaperTable, records: list[Record], filled: Fill) -> None:
    output = " ".join(shown(filled(table, records)).split())
    assert "papers/made_up: Table 9, a made-up table" in output
    assert "Published on real rooms." in output
    assert (
        "dataset rooms (synthetic, 32x32, 96 training images), model smoke (small_resnet, 26,000 parameters)" in output
    )
    assert "preset smoke, 320 training samples, seeds 0–2, newest run 2025-11-20 10:00 UTC" in output
    assert "numbers cannot be compared one by one, only the order" in output
    assert "- depth is relative there | and not here" in output
    assert "not run" not in output
    assert output.count("ours: micro IoU") == 1, "both labels where the metric differs"


def test_order_is_compared_by_kendalls_tau(table: PaperTable, records: list[Record], filled: Fill) -> None:
    """Published IoU .30 .25 .28 .29 .26, ours 40 38 38.5 41 38 (+1): 8 pairs agree, 1 does not, 1 is tied in ours."""
    output = " ".join(shown(filled(table, records)).split())
    tau = (8 - 1) / (10 * 9) ** 0.5
    assert f"IoU +{tau:.2f} (5 rows)" in output
    assert "MAE" not in output.partition("Kendall")[2].partition(".")[0], "two rows are no order"


def test_a_row_that_was_not_run_says_so_with_its_command(
    table: PaperTable, records: list[Record], filled: Fill
) -> None:
    some = [r for r in records if "mask" not in r.sparsifier.name and not (r.seed == 2 and r.meta_test)]
    output = shown(filled(table, some), width=300)
    assert "not run" in row_of(output, "meta mask", "same")[0]
    assert (
        "meta mask, same: not run: msbench run -s 'one_shot[criterion=mask:meta_sparsity]' --budget matched --seeds 3 "
        "-d rooms_xs preset=smoke 'tasks=[segmentation,depth]' budget.reference=meta_sparsity"
    ) in output
    assert "magnitude, with normals: seed 2 not run: msbench run -s one_shot_magnitude" in output
    assert "--seed 2 --meta-test add:normals" in output
    assert "All of the table: msbench run --preset papers/made_up --seeds 3 -d rooms_xs preset=smoke" in output


def test_an_empty_store_gives_the_published_table_and_one_command(table: PaperTable, filled: Fill) -> None:
    output = shown(filled(table, []), width=300)
    assert "Ours: nothing in the store for this table." in output
    assert output.count("not run") == len(table.rows)
    assert output.count("msbench run") == 1
    assert "msbench run --preset papers/made_up --seeds 3 -d rooms_xs" in output
    assert "0.2800 ± 0.0300" in output


def test_failures_are_shown_with_their_reason(plan: Plan, record: Make, table: PaperTable, filled: Fill) -> None:
    def made(run: PlannedRun) -> Record:
        if run.config.sparsifier.name != "one_shot_magnitude":
            return record(run)
        return record(run, status="failed", reason="out of memory", metrics={}, sparsity=None, delta=None)

    output = shown(filled(table, [made(run) for run in plan(table)]), width=300)
    assert "failed" in row_of(output, "magnitude", "same")[0]
    assert "magnitude, same: seed 0: failed: out of memory" in output


def test_only_runs_of_the_rows_own_tasks_budget_and_scope_count(
    plan: Plan, record: Make, table: PaperTable, filled: Fill
) -> None:
    others = [
        table.with_budget("0.5"),
        table.model_copy(update={"scope": "model"}),
        table.model_copy(update={"rows": tuple(r.model_copy(update={"tasks": ("depth",)}) for r in table.rows)}),
    ]
    for other in others:
        found = filled(table, [record(run) for run in plan(other)])
        magnitude = found.lines[1]
        names = [r.run_id for r in magnitude.chosen]
        if other.scope == "model":
            assert names, "another set, but the same table"
            assert found.settings is not None
            assert found.settings.config["budget"]["scope"] == "model"
        else:
            assert not names


def test_the_newest_complete_set_is_shown_and_the_others_are_named(
    plan: Plan, record: Make, table: PaperTable, filled: Fill
) -> None:
    old = [record(run, 0.0) for run in plan(table)]
    new = [
        record(run, 5.0, "2025-11-25T10:00:00Z")
        for run in plan(table, overrides=["preset=smoke", "training.samples=640"])
    ]
    partial = [
        record(run, 9.0, "2025-11-29T10:00:00Z")
        for run in plan(table, model="quick")
        if run.config.sparsifier.base == "dense"
    ]
    found = filled(table, [*old, *partial, *new])
    assert found.complete == len(table.rows)
    assert found.settings is not None
    assert found.settings.title == "rooms, smoke, 640 samples"
    assert found.others == ("rooms, smoke, 320 samples: 5 of 5 rows", "rooms, quick, 320 samples: 1 of 5 rows")
    chosen = filled(table, [*old, *partial, *new], samples=320, model="smoke")
    assert chosen.settings is not None
    assert chosen.settings.title == "rooms, smoke, 320 samples"
    assert not chosen.others
    assert filled(table, old, dataset="rooms_xs").complete == len(table.rows)
    assert filled(table, old, dataset="rooms").complete == len(table.rows)
    assert filled(table, old, dataset="camvid").settings is None


def test_of_two_runs_of_one_seed_the_newer_counts_and_parameters_are_not_mixed(
    plan: Plan, record: Make, table: PaperTable, filled: Fill
) -> None:
    runs = [run for run in plan(table, seeds=[0, 1]) if run.config.sparsifier.name == "one_shot_magnitude"]
    first = [run for run in runs if run.config.meta_test is None]
    older = [record(run, -9.0, "2025-11-01T10:00:00Z", run_id=f"old-{run.run_id}") for run in first]
    newer = [record(run, -2.0) for run in first]
    changed = plan(table, overrides=["preset=smoke", "sparsifier.dense_share=0.1"])
    other = [
        record(run, 7.0, "2025-11-30T10:00:00Z", run_id="other")
        for run in changed
        if run.config.sparsifier.name == "one_shot_magnitude" and run.config.meta_test is None
    ]
    line = filled(table, [*older, *newer, *other]).lines[1]
    assert [r.run_id for r in line.chosen] == [run.run_id for run in first]


def test_delta_sums_count_the_metrics_that_dense_has(plan: Plan, record: Make, table: PaperTable, filled: Fill) -> None:
    """A mean of -2 over a task's five depth metrics is a sum of -10; with one of them 0 for dense, of -8."""
    column = {"id": "sum", "label": "sum", "better": "higher", "figure": "delta_task_sum", "task": "depth"}
    one = PaperTable.model_validate({**table.model_dump(exclude={"columns", "rows"}), "columns": [column], "rows": [
        {**row.model_dump(exclude={"published", "meta_test"}), "published": {}} for row in table.rows[:2]
    ]})  # fmt: skip
    made = [record(run, QUALITY[run.config.sparsifier.name]) for run in plan(one)]
    found = filled(one, made)
    summary = found.ours(found.lines[1], one.columns[0])
    assert summary is not None
    assert summary.mean == pytest.approx(-10.0)
    dense = next(r for r in made if r.sparsifier.base == "dense")
    dense.metrics["depth"]["delta1"].value = 0.0
    summary = found.ours(found.lines[1], one.columns[0])
    assert summary is not None
    assert summary.mean == pytest.approx(-8.0)


def test_cost_and_component_figures(plan: Plan, record: Make, table: PaperTable, filled: Fill) -> None:
    figures: list[tuple[str, dict[str, Any], float]] = [
        ("parameters", {}, 0.026 * (1 - 0.441159)),
        ("gflops", {}, 8.0),
        ("component_sparsity", {"component": "backbone"}, 44.1159),
        ("group_sparsity", {}, 50.0),
        ("delta", {}, -2.0),
        ("delta_task", {"task": "depth"}, -2.0),
    ]
    columns = [{"id": f, "label": f, "better": None, "figure": f, **more} for f, more, _ in figures]
    other = PaperTable.model_validate({**table.model_dump(exclude={"columns", "rows"}), "columns": columns, "rows": [
        {**table.rows[1].model_dump(exclude={"published"}), "published": {}}
    ]})  # fmt: skip
    found = filled(other, [record(run, -2.0) for run in plan(other)])
    for column, (_, _, expected) in zip(other.columns, figures, strict=True):
        summary = found.ours(found.lines[0], column)
        assert summary is not None
        assert summary.mean == pytest.approx(expected), column.id


def test_csv_is_unrounded_and_in_the_papers_shape(table: PaperTable, records: list[Record], filled: Fill) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(filled(table, records)))))
    assert [line["method"] for line in lines] == ["dense", "magnitude", "meta mask", "meta", "magnitude"]
    found = lines[1]
    assert float(found["IoU (ours = micro IoU)"]) == pytest.approx(0.39)
    assert float(found["IoU (ours sd)"]) == pytest.approx(0.01)
    assert found["IoU (ours n)"] == "3"
    assert (found["IoU (paper)"], found["IoU (paper std)"]) == ("0.25", "0.02")
    assert (found["MAE (paper)"], found["MAE (paper std)"]) == ("0.18", "")
    assert (found["sparsifier"], found["tasks"], found["budget"]) == (
        "one_shot_magnitude",
        "segmentation depth",
        "matched",
    )
    assert lines[4]["meta_test"] == "add:normals"
    empty = list(csv.DictReader(io.StringIO(to_csv(filled(table, [])))))
    assert {line["state"] for line in empty} == {"not run"}


def test_markdown_and_latex_have_every_row_twice(table: PaperTable, records: list[Record], filled: Fill) -> None:
    markdown = to_markdown(filled(table, records))
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 2 * len(table.rows) + 1
    assert {line.replace(r"\|", "").count("|") for line in rows} == {len(table.columns) + 4}
    assert "| magnitude | same | ours (3) | 0.3900 ± 0.0100 |" in markdown
    assert "|  |  | paper | 0.2500 ± 0.0200 |" in markdown
    assert "* depth is relative there | and not here" in markdown

    latex = to_latex(filled(table, records))
    body = latex.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 2 * len(table.rows) + 1
    assert all(line.endswith(r" \\") and line.count(" & ") == len(table.columns) + 2 for line in body)
    assert r"magnitude & same & ours (3) & 0.3900 $\pm$ 0.0100" in latex
    assert r"sparsity \%" in latex
    assert "$-$9.50" in latex
    assert latex.count("{") == latex.count("}")


def test_wide_tables_are_cut_between_columns(table: PaperTable, records: list[Record], filled: Fill) -> None:
    output = shown(filled(table, records), width=80)
    assert output.count("method") > 1
    assert max(map(len, output.splitlines())) <= 80
    assert "0.3900 ± 0.0100" in output


def test_the_command_reads_the_store(plan: Plan, record: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the shipped tables, two of its rows in the store."""
    for run in plan(load_table("papers/meta_sparsity_t6"), seeds=[0, 1], dataset="rooms_xs"):
        if run.config.sparsifier.name in ("meta_sparsity_direct", "meta_sparsity_direct[regrow_p=0.2]"):
            folder = tmp_path / "runs" / run.run_id
            folder.mkdir(parents=True)
            write_record(record(run), folder / "record.json")
    monkeypatch.setenv("COLUMNS", "200")
    asked = ["results", "table", "papers/meta_sparsity_t6", "-d", "rooms_xs", "--results", str(tmp_path)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    ours, paper = row_of(done.output, "r_p = 0.2")
    assert "0.4050 ± 0.0071" in ours
    assert "0.3177" in paper
    assert "30.1157" in paper
    assert "r_p = 0.4: not run: msbench run -s 'meta_sparsity_direct[regrow_p=0.4]'" in done.output
    assert "one channel fewer" in done.output
    as_csv = CliRunner().invoke(app, [*asked, "--format", "csv"])
    assert len(list(csv.DictReader(io.StringIO(as_csv.output)))) == 5
