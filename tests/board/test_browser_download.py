"""The table as it is shown, saved by the browser."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def _saved(page: Page, button: str) -> tuple[str, str]:
    with page.expect_download() as waiting:
        page.locator(button).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_text(encoding="utf-8")


def _built(site: Path) -> dict[str, Any]:
    with next((site / "csv").glob("*.csv")).open() as file:
        return {line["sparsifier"]: line for line in csv.DictReader(file)}


def test_csv_and_json_hold_the_rows_order_and_columns_that_are_shown(visit: Callable[..., Page], site: Path) -> None:
    page = visit("index.html#status=ok&sort-main=delta:ascending&columns=rank,delta,macs")
    name, text = _saved(page, "#save-csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert name.endswith(".csv")
    assert [line["method"] for line in lines] == ["dense", "random", "one_shot_magnitude", "meta_sparsity"]
    assert {"rank", "delta", "delta.sd", "macs"} <= set(lines[0])
    assert not {"worst", "time"} & set(lines[0])

    full = _built(site)
    for line in lines[1:]:
        assert float(line["delta"]) == pytest.approx(float(full[line["method"]]["delta_mean"]), rel=1e-5)
        assert float(line["macs"]) == pytest.approx(float(full[line["method"]]["speedup_macs"]), rel=1e-5)

    name, text = _saved(page, "#save-json")
    data = json.loads(text)
    assert name.endswith(".json")
    assert data["view"].startswith("status=ok")
    assert [row["method"] for row in data["rows"]] == [line["method"] for line in lines]
    assert data["rows"][1]["delta"] == pytest.approx(float(full["random"]["delta_mean"]), rel=1e-5)
    assert data["rows"][1]["section"] == "Matched budget, structured"


def test_a_row_without_a_result_is_saved_with_its_reason(visit: Callable[..., Page]) -> None:
    page = visit("index.html#q=adapmtl")
    _, text = _saved(page, "#save-csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["method"] for line in lines] == ["dense", "adapmtl"]
    assert lines[1]["reason"] == "failed, seeds 0–2: out of memory"
    assert lines[1]["delta"] == ""
