"""The command line as a user meets it: help, exit codes, one clear line for bad input."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from msbench.cli.main import app
from tests.conftest import msbench


def verbs(command: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
    """Every verb of the command line, as it is typed after `msbench`."""
    inner = getattr(command, "commands", {})
    for name, below in inner.items():
        yield from verbs(below, (*words, name))
    if not inner:
        yield " ".join(words)


@pytest.mark.parametrize("verb", list(verbs(get_command(app))))
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    done = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert done.exit_code == 0
    assert f"Example: msbench {verb}" in done.output


def test_help_does_not_import_torch() -> None:
    code = "import sys, msbench.cli.main; print([m for m in ('torch', 'pandas', 'hydra') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "-s", "meta_sparsty"], "unknown sparsifier 'meta_sparsty': did you mean 'meta_sparsity'?"),
        (["run", "-s", "dense", "trainig.batch=8"], "unknown key 'trainig': did you mean 'training'?"),
        (["run", "-s", "dense", "-d", "camvid"], "data.root"),
        (["run", "-s", "dense", "--plugin", "nowhere.py"], "--plugin nowhere.py: no such file"),
        (["run", "-s", "dense", "engine.device=cuda:99"], "engine.device=cuda:99"),
        (["data", "preview", "room"], "unknown dataset 'room': did you mean 'rooms'?"),
        (["data", "preview", "rooms", "--part", "tset"], "--part 'tset': did you mean 'test'?"),
        (["plugins", "show", "magnitud"], "unknown plugin class 'magnitud': did you mean 'magnitude'?"),
        (["leaderboard", "build", "--results", "nowhere"], "--results nowhere: no runs there"),
        (["results", "export", "x.xlsx"], "x.xlsx: name a file that ends in .csv, .json, .parquet"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = msbench(*arguments, cwd=tmp_path, cache=tmp_path / "cache")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("msbench: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "results" / "runs").exists() or not list((tmp_path / "results" / "runs").iterdir())


def test_plugins_show_lists_parameters(tmp_path: Path) -> None:
    done = msbench("plugins", "show", "group_lasso", cwd=tmp_path, cache=tmp_path)
    assert done.returncode == 0
    for word in ("prox_metric", "euclidean | adaptive", "Deleu", "group_lasso_adaptive"):
        assert word in done.stdout


def test_data_preview_writes_a_contact_sheet(tmp_path: Path, cache: Path) -> None:
    done = msbench(
        "data", "preview", "rooms", "data.size=xs", "-o", "sheet.png", "--count", "3", cwd=tmp_path, cache=cache
    )
    assert done.returncode == 0, done.stderr
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.width > 500
    assert len(sheet.convert("RGB").getcolors(maxcolors=1 << 24) or []) > 500


def test_doctor_says_that_all_is_well(tmp_path: Path) -> None:
    done = msbench("doctor", cwd=tmp_path, cache=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "BAD" not in done.stdout
