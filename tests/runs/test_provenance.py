"""What a run was made with, by digest."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from msbench.runs.identity import provenance
from msbench.runs.identity.provenance import MADE, identity_digest, installed_digest, provenance_of

IDENTITY: dict[str, Any] = {
    "config": {"seed": 0},
    "packages": {"torch": "2.13.0", "timm": "1.0"},
    "sparsifier": "a" * 64,
    "parts": {"dataset rooms": "b" * 64},
    "criteria": {"magnitude": "c" * 64},
}


def test_every_plugin_that_took_part_is_named_by_its_sources() -> None:
    found = provenance_of(IDENTITY, "cpu")
    assert found.plugins == {
        "sparsifier": "a" * 64,
        "dataset rooms": "b" * 64,
        "criterion magnitude": "c" * 64,
    }
    assert found.packages == {"torch": "2.13.0", "timm": "1.0"}
    assert found.driver == ""


def test_the_identity_is_all_but_its_explanation() -> None:
    assert identity_digest({**IDENTITY, MADE: {"at": 1}}) == identity_digest(IDENTITY)
    for part in IDENTITY:
        assert identity_digest({**IDENTITY, part: {"other": "x"}}) != identity_digest(IDENTITY), part


def test_every_installed_package_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a new process sees them; what this one has come to have on its path since then is not installed."""
    (tmp_path / "late-1.0.dist-info").mkdir()
    (tmp_path / "late-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    listed = subprocess.run(
        [sys.executable, "-c", "import importlib.metadata as m, re\n"
         "print(*sorted({re.sub('[-_.]+', '-', d.metadata['Name']).lower() + '==' + d.version "
         "for d in m.distributions()}), sep='\\n')"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert f"numpy=={version('numpy')}" in listed.splitlines()
    installed_digest.cache_clear()
    assert installed_digest() == hashlib.sha256(listed.encode()).hexdigest()


def git(folder: Path, *arguments: str) -> None:
    identified = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run(["git", *identified, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in which the module lies, with one commit."""
    module = tmp_path / "msbench" / "runs" / "identity" / "provenance.py"
    module.parent.mkdir(parents=True)
    module.write_text("x = 1\n", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    monkeypatch.setattr(provenance, "__file__", str(module))
    return tmp_path


def commit_of() -> dict[str, Any]:
    provenance._commit.cache_clear()
    try:
        return provenance._commit()
    finally:
        provenance._commit.cache_clear()


def test_a_changed_clone_is_told_from_another_change(clone: Path) -> None:
    clean = commit_of()
    assert (len(clean["commit"]), clean["dirty"], clean["diff"]) == (40, False, "")
    digests = set()
    for text in (b"x = 2\n", b"x = 3\n", b"x = '\xff'\n"):
        (clone / "msbench" / "runs" / "identity" / "provenance.py").write_bytes(text)
        found = commit_of()
        assert found["commit"] == clean["commit"]
        assert found["dirty"]
        digests.add(found["diff"])
    assert len(digests) == 3


def test_outside_a_clone_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "msbench" / "runs" / "identity" / "provenance.py"))
    assert commit_of() == {}
