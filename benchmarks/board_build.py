"""How long a leaderboard of many records takes to build, and to build again after one more.

Valid records are fabricated (boards x methods x levels x seeds). Three builds follow, each in a process of its own: of
everything, after one record more, and without a change. Printed are wall-clock and processor seconds, the peak memory
of the largest process, and how many files each build made.

    python benchmarks/board_build.py [--boards 20] [--methods 25] [--levels 4] [--seeds 5]

Exit code 1 when the first build takes longer than 30 s or more than 1.5 GB, or the second longer than 5 s: limits for
two quiet cores and the default number of records.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from msbench.board.site.build import build_site  # noqa: E402
from msbench.records.record import write_record  # noqa: E402
from tests.board.conftest import Factory  # noqa: E402
from tests.board.synthetic import on_board, records, write  # noqa: E402

LIMIT_FIRST, LIMIT_AGAIN, LIMIT_MEMORY = 30.0, 5.0, 1.5e9


def measure(folder: Path) -> tuple[float, float, float, int]:
    """Wall-clock seconds, processor seconds, bytes and files made of one build in a new process."""
    command = [sys.executable, __file__, "--build", str(folder)]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    wall, processor, memory, made = map(float, words)
    return wall, processor, memory, int(made)


def build(folder: Path) -> None:
    """Build once and print what it took; imports are not counted."""
    start = time.perf_counter()
    built = build_site(folder / "runs", folder / "site")
    wall = time.perf_counter() - start
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    memory = max(usage.ru_maxrss for usage in usages) * (1 if sys.platform == "darwin" else 1024)
    print(wall, processor, memory, len(built.made))


def main() -> int:
    """Fabricate, build three times, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("boards", 20), ("methods", 25), ("levels", 4), ("seeds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.build:
        build(asked.build)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = write(records(asked.boards, asked.methods, asked.levels, asked.seeds), folder / "runs")
        first = measure(folder)
        extra = on_board(0, Factory().record("method_03", 99, mode="share", share=0.5), "extra", 99)
        (folder / "runs" / "extra").mkdir()
        write_record(extra, folder / "runs" / "extra" / "record.json")
        again = measure(folder)
        same = measure(folder)
    for title, (wall, processor, memory, made) in (
        (f"{count} records", first),
        ("one record more", again),
        ("no change", same),
    ):
        print(f"{title:16} {wall:6.1f} s  ({processor:6.1f} s processor)  {memory / 1e6:6.0f} MB  {made:6} files made")
    return int(first[0] > LIMIT_FIRST or first[2] > LIMIT_MEMORY or again[0] > LIMIT_AGAIN)


if __name__ == "__main__":
    sys.exit(main())
