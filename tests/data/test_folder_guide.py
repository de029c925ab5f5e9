"""docs/how-to/use-your-own-data.md, followed to the letter (with the smallest preset where it trains for real)."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import msbench

GUIDE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "use-your-own-data.md"


def write_pairs(folder: Path) -> None:
    """What the guide's plugin reads."""
    folder.mkdir()
    for number in range(24):
        name, columns = f"cat_{number:02}", np.arange(80)
        Image.new("RGB", (80, 60), (9 * number, 100, 90)).save(folder / f"{name}.jpg")
        mask = np.where(columns < 3 * number, 255, 0).astype(np.uint8) * np.ones((60, 1), np.uint8)
        Image.fromarray(mask).save(folder / f"{name}.mask.png")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_newcomer_gets_from_a_folder_to_a_leaderboard(tmp_path: Path, cache: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    shapes, plugin = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "draw_shapes.py").write_text(shapes, encoding="utf-8")
    (tmp_path / "pairs.py").write_text(plugin, encoding="utf-8")
    write_pairs(tmp_path / "my-pairs")
    typed = re.findall(r"^\$ (.*)$", text, flags=re.MULTILINE)
    assert len(typed) == 10
    for command in typed:
        program, *words = shlex.split(command)
        if program == "python":
            subprocess.run([sys.executable, *words], cwd=tmp_path, check=True)
            continue
        preset = ["--preset", "smoke"] if words[0] == "run" and "--preset" not in words else []
        done = msbench(*words, *preset, cwd=tmp_path, cache=cache, timeout=1200)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert (tmp_path / "results" / "leaderboard" / "index.html").is_file()
    assert {"one_shot_magnitude", "meta_sparsity"} <= {
        path.name.split("-")[0] for path in (tmp_path / "results" / "runs").iterdir()
    }
