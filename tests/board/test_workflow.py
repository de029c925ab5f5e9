"""The workflow that publishes a board: every msbench command in it is one that exists, with options that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from msbench.cli.main import app

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def _steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


COMMANDS = [
    command
    for path in WORKFLOWS
    for step in _steps(path)
    for command in re.findall(r"^\s*(msbench .*)$", step.get("run", ""), flags=re.M)
]


def test_the_leaderboard_is_built_checked_and_audited() -> None:
    verbs = {tuple(shlex.split(command)[1:3]) for command in COMMANDS}
    assert {("leaderboard", verb) for verb in ("build", "check", "audit")} <= verbs


def _understood(line: str) -> bool:
    """Whether verbs and options exist: they are read before --help is obeyed."""
    return CliRunner().invoke(app, [*shlex.split(line)[1:], "--help"]).exit_code == 0


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_is_valid(line: str) -> None:
    assert _understood(line)
    assert not _understood(f"{line} --no-such-option")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_the_job_that_publishes_may_write(path: Path) -> None:
    found = yaml.safe_load(path.read_text())
    assert found["permissions"] == {"contents": "read"}
    for name, job in found["jobs"].items():
        written = {key for key, value in job.get("permissions", {}).items() if value == "write"}
        assert not written or (name == "publish" and "pull_request" in job["if"])
