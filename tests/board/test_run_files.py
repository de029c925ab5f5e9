"""What a run's page shows of its files: log, configuration, sizes and digests; and the other seeds of its row."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from msbench.board.reading.load import Run
from msbench.board.reading.run_files import HASHED, LINE, LOG_LINES, configuration, log_tail, masked, run_files
from msbench.board.site.run_page import same_row
from tests.board.conftest import Factory


def test_the_log_keeps_its_last_lines_cut_and_masked(tmp_path: Path) -> None:
    lines = [f"line {index}" for index in range(100)]
    lines += ["x" * 1000, '  File "/home/joe/msbench/a.py", line 3', "\x1b[31mred\x1b[0m\x07"]
    (tmp_path / "log.txt").write_text("\n".join(lines))
    tail = log_tail(tmp_path).splitlines()
    assert len(tail) == LOG_LINES
    assert tail[0] == f"line {103 - LOG_LINES}"
    assert tail[-3] == "x" * LINE + f" … ({1000 - LINE} more characters)"
    assert tail[-2:] == ['  File "~/msbench/a.py", line 3', "red"]


def test_a_run_without_a_log_has_none(tmp_path: Path) -> None:
    assert log_tail(tmp_path) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/joe/data", "~/data"),
        ("root: /Users/Joe Doe", "root: ~ Doe"),
        ("/root/x and /rooted/x", "~/x and /rooted/x"),
        (r"C:\Users\joe\data", r"~\data"),
        ("/srv/homes/joe", "/srv/homes/joe"),
        ("a=/home/joe,b=/home/ann", "a=~,b=~"),
    ],
)
def test_home_folders_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_record_without_its_file_still_shows_its_configuration(factory: Factory, tmp_path: Path) -> None:
    record = factory.record("random", config={"data": {"root": "/home/joe/data"}, "seed": 3})
    assert configuration(tmp_path, record) == "data:\n  root: ~/data\nseed: 3\n"
    (tmp_path / "config.yaml").write_text("seed: 4\n")
    assert configuration(tmp_path, record) == "seed: 4\n"


def test_files_have_sizes_and_digests(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_bytes(b"hello")
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "sub" / "b.txt")
    with (tmp_path / "a.bin").open("wb") as file:
        file.truncate(HASHED + 1)
    found = [(file.name, file.size, file.sha256) for file in run_files(tmp_path)]
    assert found == [("a.bin", HASHED + 1, ""), ("sub/b.txt", 5, hashlib.sha256(b"hello").hexdigest())]


def test_seeds_of_one_row_find_each_other(factory: Factory, tmp_path: Path) -> None:
    records = [factory.record("random", seed, share=0.4 + 0.01 * seed) for seed in (2, 0, 1)]
    records += [factory.record("random", 0, mode="share", run_id="told"), factory.record("other", 0, run_id="other")]
    records[-1].sparsifier.params = {"a": 1}
    rows = same_row(Run(record, tmp_path) for record in records)
    assert [run.record.seed for run in rows[records[0].run_id]] == [0, 1, 2]
    assert rows[records[0].run_id] is rows[records[1].run_id]
    assert [run.run_id for run in rows["told"]] == ["told"]
    assert [run.run_id for run in rows["other"]] == ["other"]


def test_the_page_links_seeds_method_data_and_plugin_and_lists_timings_and_files(site: Path) -> None:
    html = (site / "runs" / "random-segmentation-matched-0.html").read_text()
    for expected in (
        'href="random-segmentation-matched-1.html" aria-label="Seed 1"',
        'href="../methods/random.html"',
        'href="../datasets/rooms.html"',
        'href="../plugins/msbench-plugins.html"',
        "CPU, Example CPU @ 2.5 GHz",
        "not made from a clone",
        hashlib.sha256(b"\x1b[32mstarted\x1b[0m\nepoch 1 of 4\nfinished\n").hexdigest(),
        "3.1·10⁻⁶",
    ):
        assert expected in html, expected


def test_the_page_of_an_inexact_run_has_no_timings(site: Path) -> None:
    assert "Latency, dense beside compact" not in (site / "runs/group_lasso-segmentation-matched-0.html").read_text()


def test_a_failed_run_says_why(site: Path) -> None:
    html = (site / "runs" / "adapmtl-segmentation-matched-0.html").read_text()
    assert "<strong>failed</strong>: out of memory" in html
    assert 'aria-label="Seed 1, failed"' in html
