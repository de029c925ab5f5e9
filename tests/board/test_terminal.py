from __future__ import annotations

import io

from rich.console import Console

from msbench.board.table.terminal import render_text
from msbench.records.record import Record
from tests.board.conftest import FACES, Factory


def _printed(records: list[Record], width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(render_text(records))
    return out.getvalue()


def test_every_method_has_its_line_with_status_and_reason(factory: Factory) -> None:
    printed = _printed(factory.scene())
    for expected in ("dense", "one_shot_magnitude", "inexact", "withheld", "constant 8.10", "45.0"):
        assert expected in printed, expected
    assert "adapmtl: failed, seeds 0–2: out of memory" in printed


def test_the_majority_rate_is_in_the_header(factory: Factory) -> None:
    assert "majority rate 51.80" in _printed([factory.record("random", tasks=FACES)])


def test_nothing_is_cut_at_80_columns_with_three_tasks(factory: Factory) -> None:
    lines = _printed(factory.scene(), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    assert any("1.8" in line and line.rstrip().endswith("×") for line in lines)


def test_brackets_in_names_and_reasons_are_not_markup(factory: Factory) -> None:
    printed = _printed([factory.failed("group_lasso[lam=1e-4]", reason="bad [/red] value", run_id="x")])
    assert "group_lasso[lam=1e-4]" in printed
    assert "bad [/red] value" in printed


def test_a_run_without_a_board_is_shown(factory: Factory) -> None:
    records = [factory.record("random"), factory.record("random", tasks=FACES), factory.early("adapmtl")]
    assert "adapmtl: failed: out of memory" in _printed(records)
