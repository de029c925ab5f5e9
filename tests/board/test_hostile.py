"""Records from strangers: whatever they hold, no script runs, no page breaks, and no row is forged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

from msbench.board.inert import inert, line
from msbench.board.reading.load import MAX_DEPTH, MAX_TEXT, load
from msbench.board.site.build import build
from tests.board.conftest import Factory
from tests.board.test_pages import Outline

PAYLOADS = {
    "script": "<script>document.title='owned';alert(1)</script>",
    "attribute": "\"'><img src=x onerror=alert(1)><svg onload=alert(1)>",
    "address": "javascript:alert(1)//",
    "data address": "data:text/html,<script>alert(1)</script>",
    "end of JSON": "</script><script>alert(1)</script><!--",
    "template": "{{ 7 * 7 }}{% raw %}${alert(1)}",
    "row": "</td></tr><tr class='row'><th scope='row' class='method'>best</th><td>100",
    "bidi": "\u202egnitaehc\u202c\u2066\u200f",
    "control": "\x1b[2J\x08\x00\x85\u2028",
    "path": "../../../etc/passwd",
    "formula": "=HYPERLINK(1)",
    "long": "W" * MAX_TEXT,
}
FIXED = frozenset({"run_id", "status", "better", "mode", "scope", "dense_run", "reference", "source", "created"})
"""Strings that the schema or the checks of a record restrict."""


def _poisoned(value: Any, payload: str, key: str = "") -> Any:
    """A record's JSON with the payload in every free text and every free key of it."""
    if isinstance(value, dict):
        free = key in ("params", "environment", "config")
        found = {name: _poisoned(item, payload, name) for name, item in value.items()}
        return found | {payload: {payload: [payload]}} if free else found
    if isinstance(value, list):
        return [_poisoned(item, payload, key) for item in value]
    if isinstance(value, str) and key not in FIXED and not (key == "unit" and value == "params"):
        return payload
    return value


def _store(factory: Factory, folder: Path, payload: str) -> Path:
    """A good dense run, a poisoned run with its log and configuration, and a poisoned failure."""
    records = [factory.record("dense"), factory.record("random"), factory.failed("adapmtl")]
    for record in records[1:]:
        data = _poisoned(record.model_dump(mode="json"), payload)
        data["tasks"] = record.model_dump(mode="json")["tasks"]  # names of tasks are keys of the metrics
        run = folder / record.run_id
        run.mkdir(parents=True)
        (run / "record.json").write_text(json.dumps(data))
        (run / "log.txt").write_text(payload)
        (run / "config.yaml").write_text(payload)
    factory.save(records[:1], folder)
    (folder / re.sub(r"[/\0]", "_", payload)[:100]).mkdir()
    (folder / re.sub(r"[/\0]", "_", payload)[:100] / "record.json").write_text(json.dumps({payload[:200]: payload}))
    return folder


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_no_text_of_a_record_becomes_markup(factory: Factory, tmp_path: Path, payload: str) -> None:
    site = build(_store(factory, tmp_path / "runs", payload), tmp_path / "site").parent
    assert len(list((site / "runs").glob("*.html"))) == 3
    for path in site.rglob("*.html"):
        outline = Outline(path.read_text())
        for tag, attributes in outline.tags:
            assert not [name for name in attributes if name.startswith("on")], (path, tag)
            for name in ("href", "src"):
                _assert_harmless(attributes.get(name) or "", path)
        for script in outline.of("script"):
            assert script.get("type") == "application/json" or "assets/" in (script.get("src") or "")
        assert not re.search(r"[\x00-\x08\u202a-\u202e\u2066-\u2069]", path.read_text())


def _assert_harmless(address: str, page: Path) -> None:
    """A link leads to a paper, into the page, or to a file that is there."""
    if address.startswith(("https://", "data:,", "#")) or not address:
        return
    assert ":" not in address.partition("/")[0], address
    target = (page.parent / address.partition("#")[0]).resolve()
    assert target.is_file(), f"{page.name}: {address[:200]}"


def test_a_stranger_forges_no_row(factory: Factory, tmp_path: Path) -> None:
    site = build(_store(factory, tmp_path / "runs", PAYLOADS["row"]), tmp_path / "site").parent
    rows = [a for a in Outline((site / "index.html").read_text()).of("tr") if (a.get("id") or "").startswith("row-")]
    assert len(rows) == 2  # dense, and the poisoned method: its failure is the same seed again


def _nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"config": _nested(MAX_DEPTH + 1)}, "nested more than"),
        ({"config": _nested(400)}, "nested more than"),
        ({"reason": "x" * (MAX_TEXT + 1)}, "has more than"),
        ({"environment": {"x" * (MAX_TEXT + 1): 1}}, "has more than"),
        ({"environment": {"gpu": "\ud800"}}, "surrogate"),
        (
            {"delta": {"dense_run": "javascript:alert(1)//", "per_task": {}, "mean": 0, "sum": 0, "worst_task": ""}},
            "run's",
        ),
        ({"run_id": "con/../../x"}, "cannot be a file name"),
        ({"schema_version": 10**400}, "too long a number"),
        ({"cost": {"wall_s": "inf", "peak_memory": 1}}, "finite"),
    ],
)
def test_what_could_break_a_page_is_listed_in_its_place(
    factory: Factory, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    record = factory.record("random")
    path = factory.save([record], tmp_path / "runs") / record.run_id / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    loaded = load(tmp_path / "runs")
    assert not loaded.runs
    assert reason in loaded.unreadable[0].reason
    assert "Unreadable records" in build(tmp_path / "runs", tmp_path / "site").read_text()


@pytest.mark.parametrize("raw", ['{"run_id": "a", "run_id": "b"}', "[" * 100_000, '"\xff', "", "null", '{"seed": NaN}'])
def test_text_that_is_no_record_is_listed(tmp_path: Path, raw: str) -> None:
    (tmp_path / "runs" / "bad").mkdir(parents=True)
    (tmp_path / "runs" / "bad" / "record.json").write_bytes(raw.encode("latin-1"))
    assert [item.folder for item in load(tmp_path / "runs").unreadable] == ["bad"]


def test_a_name_that_differs_only_in_case_does_not_overwrite_a_page(factory: Factory, tmp_path: Path) -> None:
    record = factory.record("random")
    factory.save([record], tmp_path)
    record.run_id = record.run_id.upper()
    factory.save([record], tmp_path)
    loaded = load(tmp_path)
    assert len(loaded.runs) == 1
    assert "differs only in case" in loaded.unreadable[0].reason


def test_links_do_not_bring_other_files_onto_the_pages(factory: Factory, tmp_path: Path) -> None:
    runs, secret = tmp_path / "runs", tmp_path / "secret"
    secret.write_text("top secret")
    factory.save([factory.record("random")], runs, extras=True)
    (run,) = runs.iterdir()
    for name in ("samples.png", "log.txt", "config.yaml"):
        (run / name).unlink()
        (run / name).symlink_to(secret)
    (runs / "linked").symlink_to(run)
    site = build(runs, tmp_path / "site").parent
    assert [item.folder for item in load(runs).unreadable] == ["linked"]
    for path in site.rglob("*"):
        assert path.is_dir() or b"top secret" not in path.read_bytes(), path


@given(st.text())
@settings(max_examples=200)
def test_inert_text_holds_no_control_and_keeps_the_rest(text: str) -> None:
    shown = inert(text)
    assert inert(shown) == shown
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", shown)
    if text.isalnum():
        assert shown == text
    assert "\n" not in line(text)


@given(st.text(max_size=20))
def test_json_in_a_page_stays_json_without_what_turns_text(text: str) -> None:
    (shown,) = json.loads(inert(json.dumps([text])))
    assert not re.search(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]", shown)
    if "\\" not in text:
        assert inert(shown) == inert(text)


@pytest.mark.browser
def test_nothing_runs_in_a_browser(factory: Factory, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    for number, payload in enumerate(PAYLOADS[name] for name in ("script", "attribute", "end of JSON", "row")):
        site = build(_store(factory, tmp_path / f"runs{number}", payload), tmp_path / f"site{number}").parent
        for name in ("index.html", "runs/random-segmentation-matched-0.html"):
            page = open_page(site, name)
            dialogs: list[str] = []
            page.on("dialog", lambda dialog, dialogs=dialogs: dialogs.append(dialog.message))
            page.reload()
            page.wait_for_timeout(200)
            assert dialogs == []
            assert page.title() != "owned"
            assert page.locator("img[src=x], svg[onload]").count() == 0
