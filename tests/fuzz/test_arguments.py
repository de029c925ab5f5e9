"""Whatever is typed: a configuration, or one line. Nothing is written, and no name leads out of a folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.cli.results_why import typed
from msbench.compose import parse_override
from msbench.config import Experiment
from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.records.record import read_record
from msbench.selection import parse_named, split

SETTINGS = """training training.lr training.samples model model.backbone model.backbone.width data data.size tasks
budget budget.share budget.scope engine engine.device sparsifier sparsifier.dense_share meta_test.share control preset
dataset preset_name hydra.run.dir a.b.c . training."""
GIVEN = """0 -1 1e999 nan null true [] {} [1,[2]] {a:1} ' ${oc.env:HOME} ../../x ${now:%Y} rooms /etc/passwd ~ a,b @x
one_shot[ x[y=1] 1,2 range(1,3) é"""
KEYS = st.sampled_from(["", *SETTINGS.split()])
VALUES = st.one_of(
    st.sampled_from(["", "\x00", *GIVEN.split()]),
    st.text(max_size=12),
    st.floats().map(str),
    st.integers().map(str),
)
OVERRIDES = st.lists(st.builds("{}={}".format, KEYS, VALUES) | st.text(max_size=15), max_size=3)
NAMES = st.lists(
    st.sampled_from(["random", "dense", "all", "random[criterion=", "x", "../x", ",", "[", ""]), max_size=2
)
BUDGETS = st.sampled_from([None, "matched", "natural", "0.5", "2", "-1", "nan", "inf", "1e9", "../x", "share"])


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder to work in, which is as empty afterwards."""
    folder, before = tmp_path_factory.mktemp("empty"), Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)
    assert not list(folder.iterdir())


def asked(plugins: Plugins, names: list[str], budget: str | None, overrides: list[str]) -> Experiment | str:
    try:
        return experiment(
            plugins, sparsifiers=names, budget=budget, seeds=[0], choices={"preset": "smoke"}, overrides=overrides
        )
    except UserError as error:
        return str(error)


def check(plugins: Plugins, names: list[str], budget: str | None, overrides: list[str]) -> None:
    found = asked(plugins, names, budget, overrides)
    if isinstance(found, str):
        assert found
        assert len(found.splitlines()) == 1


@settings(max_examples=60)
@given(names=NAMES, budget=BUDGETS, overrides=OVERRIDES)
@example(names=["random"], budget="0.5", overrides=["training.lr=nan"])
@example(names=["random"], budget="0.5", overrides=["tasks={a:1}"])
@example(names=["random"], budget="0.5", overrides=["data=3"])
@example(names=["random"], budget="nan", overrides=[])
def test_any_configuration(plugins: Plugins, names: list[str], budget: str | None, overrides: list[str]) -> None:
    check(plugins, names, budget, overrides)


@pytest.mark.long
@settings(max_examples=600)
@given(names=NAMES, budget=BUDGETS, overrides=OVERRIDES)
def test_many_configurations(plugins: Plugins, names: list[str], budget: str | None, overrides: list[str]) -> None:
    check(plugins, names, budget, overrides)


@settings(max_examples=300)
@given(text=st.text(max_size=30) | st.builds("{}={}".format, KEYS, VALUES))
def test_any_override(text: str) -> None:
    for read in (parse_override, split, parse_named):
        try:
            read(text)
        except UserError as error:
            line = str(error)
            assert len(line.splitlines()) == 1


@settings(max_examples=60)
@given(
    words=st.lists(st.sampled_from(["msbench", "run", "-s", "--seed", "--help", "-x", "'", "\\"]) | st.text(max_size=8))
)
def test_any_command_of_a_record(words: list[str]) -> None:
    """The command in a stranger's record is only ever read as arguments."""
    for text in (" ".join(words), "msbench run " + shlex.join(words)):
        try:
            typed(text)
        except UserError as error:
            line = str(error)
            assert len(line.splitlines()) == 1


@pytest.mark.parametrize("name", ["../../outside", "/etc", "..", ".", "runs/x", "a\x00b", "*", "~", "x" * 5000, "\n"])
@pytest.mark.parametrize("verb", [["results", "show"], ["results", "why"], ["results", "verify"], ["compact"]])
def test_a_run_is_looked_for_in_the_store_alone(verb: list[str], name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "record.json").write_text("{}", encoding="utf-8")
    (tmp_path / "results" / "runs").mkdir(parents=True)
    done = CliRunner().invoke(app, [*verb, name, "--results", str(tmp_path / "results")])
    assert isinstance(done.exception, UserError), done.output
    assert "no run" in str(done.exception)
    assert [path.name for path in outside.iterdir()] == ["record.json"]


VERBS = (
    ["results", "show"],
    ["results", "why"],
    ["results", "verify"],
    ["compact", "-o", "small.safetensors"],
    ["measure"],
)
RECORD = Path(__file__).parents[1] / "runs" / "records" / "v2" / "matched.json"
PIECES = st.sampled_from(
    ["..", "/", ".", "~", "*", "runs", "outside", "record.json", ".json", "\x00", "%2e", "a", "random"]
)
RUNS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=6).map("".join), st.text(min_size=250, max_size=260))


def lies_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its date and content, and every folder."""
    found = sorted(folder.rglob("*"))
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in found}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of one run, and the same run outside of the store, where nobody should find it."""
    folder = tmp_path_factory.mktemp("stores")
    run_id = read_record(RECORD).run_id
    for place in (folder / "results" / "runs" / run_id, folder / "outside"):
        place.mkdir(parents=True)
        (place / "record.json").write_bytes(RECORD.read_bytes())
    return folder


def refused(store: Path, words: list[str]) -> None:
    """One line, exit code 2, and nothing written anywhere."""
    before = lies_in(store)
    done = CliRunner().invoke(app, [*words, "--results", str(store / "results")])
    if isinstance(done.exception, UserError):  # which main() prints as one line, with exit code 2
        assert len(str(done.exception).splitlines()) == 1
    else:
        assert done.exit_code == 2, (words, done.output, done.exception)
    assert lies_in(store) == before


@settings(max_examples=60)
@given(verb=st.sampled_from(VERBS), text=RUNS)
def test_no_text_leads_out_of_the_store(verb: list[str], text: str, store: Path) -> None:
    run_id = read_record(RECORD).run_id
    if text not in run_id and not (text.endswith(".json") and verb[-1] == "verify"):
        refused(store, [*verb, "--", text])


@pytest.mark.parametrize("text", ["../outside", "../../outside", "runs/../../outside", "../outside/record"])
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_run_outside_of_the_store_is_not_found(verb: list[str], text: str, store: Path) -> None:
    refused(store, [*verb, text])
    refused(store, [*verb, str((store / text).resolve())])


@settings(max_examples=40)
@given(text=RUNS)
@example(text="x" * 5000)
@example(text="\x00")
def test_no_text_is_a_store_or_makes_one(text: str, store: Path) -> None:
    before = lies_in(store)
    done = CliRunner().invoke(app, ["results", "show", "any", f"--results={text}"])
    assert isinstance(done.exception, UserError) or done.exit_code == 2, (text, done.exception)
    assert lies_in(store) == before


@pytest.mark.parametrize("name", ["../rooms", "/etc/passwd", "rooms/../camvid", "a\x00b", "${oc.env:HOME}"])
def test_a_dataset_is_a_name_and_no_path(plugins: Plugins, name: str) -> None:
    found = asked(plugins, ["random"], "0.5", [f"dataset={name}"])
    assert isinstance(found, str)
