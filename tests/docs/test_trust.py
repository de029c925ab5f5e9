"""The page of promises names tests that exist and are collected."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "explanation" / "trust.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+::\w+)`", PAGE)))


def test_every_promise_names_a_test() -> None:
    rows = re.findall(r"^\| (?!promise|-)(.+?) \| (.+) \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) > 40
    for promise, held in rows:
        if promise.startswith("---"):
            continue
        assert re.fullmatch(r"`tests/[\w/.]+::\w+`(, `tests/[\w/.]+::\w+`)*", held), promise


def test_every_test_on_the_page_is_collected() -> None:
    """By pytest itself, the long ones too."""
    files = sorted({test.partition("::")[0] for test in NAMED})
    missing = [file for file in files if not (ROOT / file).is_file()]
    assert missing == []
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--collect-only"]
    done = subprocess.run(
        [*command, "-m", "", *files], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    collected = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert done.returncode == 0, done.stdout[-3000:]
    assert [test for test in NAMED if test not in collected] == []
