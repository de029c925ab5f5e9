"""The pages' copies of pictures: small, sharp where labels are, and made once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from msbench.board.site import pictures
from msbench.board.site.build import build_site
from tests.board.conftest import Factory


def sheet(path: Path, seed: int = 0) -> np.ndarray:
    """A photograph's noise beside two flat labels; its pixels [128, 384, 3]."""
    noise = np.random.default_rng(seed).normal(120, 25, (32, 32, 3)).clip(0, 255).astype(np.uint8)
    photo = np.asarray(Image.fromarray(noise).resize((128, 128), Image.Resampling.BICUBIC))
    labels = np.zeros((128, 256, 3), dtype=np.uint8)
    labels[:64], labels[64:] = (255, 152, 32), (40, 60, 200)
    pixels = np.concatenate([photo, labels], axis=1)
    Image.fromarray(pixels).save(path)
    return pixels


def test_a_copy_is_small_and_its_labels_keep_their_colours(tmp_path: Path) -> None:
    pixels = sheet(tmp_path / "a.png").astype(int)
    found = pictures.smaller(tmp_path / "a.png")
    assert len(found) < (tmp_path / "a.png").stat().st_size / 3
    with Image.open(io.BytesIO(found)) as picture:
        assert picture.format == "WEBP"
        difference = abs(np.asarray(picture.convert("RGB")).astype(int) - pixels)
    inside = np.r_[8:56, 72:120]
    assert difference[inside][:, 144:].max() <= 8, "labels, away from their edges"
    assert difference[:, :128].mean() < 8


@pytest.mark.parametrize("raw", [b"", b"<html>", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_what_is_no_picture_is_passed_on(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "a.png").write_bytes(raw)
    assert pictures.smaller(tmp_path / "a.png") == raw


def test_a_page_keeps_room_for_its_picture(factory: Factory, tmp_path: Path) -> None:
    whole, damaged = factory.record("random", seed=0), factory.record("random", seed=1)
    runs = factory.save([whole, damaged], tmp_path / "runs")
    sheet(runs / whole.run_id / "samples.png")
    (runs / damaged.run_id / "samples.png").write_bytes(b"no picture")
    build_site(runs, tmp_path / "site")
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "site" / "runs").glob("*.html")}
    assert ' width="384" height="128" loading="lazy"' in pages[whole.run_id]
    assert 'few test images" loading="lazy"' in pages[damaged.run_id]


def test_a_huge_picture_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "LARGEST", 1000)
    assert pictures.smaller(tmp_path / "a.png") == (tmp_path / "a.png").read_bytes()


def test_only_changed_pictures_are_made_again(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = pictures.smaller
    monkeypatch.setattr(pictures, "smaller", lambda source: made.append(source.parent.name) or real(source))
    runs = factory.save(factory.scene(1), tmp_path / "runs", extras=True)
    build_site(runs, tmp_path / "site")
    assert len(made) == len(list(runs.iterdir()))
    changed = next(path for path in runs.iterdir() if path.name.startswith("random"))
    sheet(changed / "samples.png", seed=1)
    made.clear()
    build_site(runs, tmp_path / "site")
    assert made == [changed.name]
    with Image.open(tmp_path / "site" / "runs" / f"{changed.name}.webp") as picture:
        assert picture.size == (384, 128)
