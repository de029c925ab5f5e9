"""Pages of the datasets: what each is, one section for every version that runs were made on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markupsafe import Markup

from msbench.board import text
from msbench.board.comparison.grouping import Board, canonical
from msbench.board.library.catalogue import InstalledDataset, package_of
from msbench.board.library.names import dataset_href, distinct, file_name, plugin_href, prose
from msbench.board.library.sheets import SHORT, Sheet, picture_of, read_sheet
from msbench.board.reading.load import Run
from msbench.board.reading.picture import picture_size
from msbench.board.site.page import Page, digest
from msbench.board.site.site import Site
from msbench.records.record import DatasetPart, MetricValue


@dataclass(frozen=True, eq=False)
class Version:
    """One version of a dataset: the runs whose data have one fingerprint and one set of parameters."""

    site: Site
    fingerprint: str
    part: DatasetPart
    runs: Sequence[Run]

    @property
    def short(self) -> str:
        return self.fingerprint[:SHORT]

    @property
    def params(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.part.params.items())

    @cached_property
    def sheet(self) -> Sheet | None:
        return read_sheet(self.site.library.sheets, self.part.name, self.fingerprint)

    @property
    def picture(self) -> tuple[Path, str] | None:
        """The contact sheet and its path on the site; None where there is none, or it may not be shown."""
        source = picture_of(self.site.library.sheets, self.sheet)
        if source is None or self.withheld:
            return None
        return source, f"datasets/{file_name(self.part.name)}-{self.short}.webp"

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """Width and height of the contact sheet."""
        return picture_size(self.picture[0]) if self.picture else None

    @property
    def withheld(self) -> bool:
        """Whether these are pictures of real data, which this site must not show."""
        return not self.part.synthetic and not self.site.library.real_images

    @cached_property
    def boards(self) -> list[tuple[Board, str]]:
        """The boards on it, with their pages."""
        mine = set(self.runs)
        return [(board, self.site.href(board)) for board in self.site.boards if not mine.isdisjoint(board.everything)]

    @property
    def tasks(self) -> list[tuple[str, str, str]]:
        """Name, kind and classes of every task that the data have, or that a run was trained on."""
        if self.sheet:
            return [(task.name, task.kind, ", ".join(task.classes)) for task in self.sheet.tasks]
        found = {task.name: task.kind for run in self.runs for task in run.record.tasks}
        return [(name, kind, "") for name, kind in found.items()]

    @property
    def constants(self) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """By task: each metric with the best constant predictor's score on the test and the validation part."""
        test, validation = (
            _constants(run.record.metrics for run in self.runs),
            _constants(run.record.validation for run in self.runs),
        )
        return [
            (task, [_constant_line(name, spec, validation.get(task, {}).get(name)) for name, spec in known.items()])
            for task, known in test.items()
        ]


@dataclass(frozen=True, eq=False)
class DatasetPage:
    """One dataset with its versions, newest first, and its class where it is installed here."""

    name: str
    versions: Sequence[Version]
    installed: InstalledDataset | None

    @property
    def runs(self) -> int:
        return sum(len(version.runs) for version in self.versions)

    @property
    def synthetic(self) -> bool:
        return self.installed.synthetic if self.installed else self.versions[0].part.synthetic

    @property
    def summary(self) -> Markup:
        return prose(self._known("summary", "what"))

    @property
    def licence(self) -> str:
        return self._known("licence", "licence")

    @property
    def paper(self) -> str:
        return self._known("paper", "paper")

    @property
    def source(self) -> Markup:
        return prose(self._known("source", "source"))

    @property
    def tasks(self) -> str:
        if self.versions:
            return ", ".join(distinct(name for version in self.versions for name, _, _ in version.tasks))
        return ", ".join(self.installed.tasks) if self.installed else ""

    @property
    def plugin(self) -> tuple[str, str, str] | None:
        """Package, version and page of the plugin that brings it; None where it is not installed here."""
        if self.installed is None:
            return None
        package = package_of(self.installed.plugin)
        return package, self.installed.version, plugin_href(package)

    @property
    def commands(self) -> list[str]:
        """How to look at it and run on it."""
        place = " data.root=FOLDER" if self.installed and self.installed.source else ""
        return [
            f"msbench data info {self.name}{place}",
            f"msbench data preview {self.name}{place}",
            f"msbench run -s all -d {self.name}{place}",
        ]

    def _known(self, installed: str, sheet: str) -> str:
        """From the class, or else from a contact sheet's facts."""
        if self.installed:
            return str(getattr(self.installed, installed))
        sheets = [version.sheet for version in self.versions if version.sheet]
        return str(getattr(sheets[0], sheet)) if sheets else ""


def dataset_pages(site: Site) -> Iterator[Page]:
    """The index of datasets, and one page for each that runs were made on or that is installed."""
    versions = _versions(site)
    names = {*versions, *site.library.catalogue.datasets}
    pages = [DatasetPage(name, versions.get(name, ()), site.library.catalogue.datasets.get(name)) for name in names]
    pages.sort(key=lambda page: (not page.versions, page.name))
    yield Page(
        "datasets.html",
        "datasets.html",
        lambda: {"datasets": pages, "href": dataset_href},
        digest([_stamp(site, page) for page in pages]),
    )
    for page in pages:
        yield Page(
            dataset_href(page.name),
            "dataset.html",
            lambda page=page: {"page": page},  # type: ignore[misc]
            digest(_stamp(site, page)),
        )


def dataset_pictures(site: Site) -> dict[str, Path]:
    """Path on the site to the file of every contact sheet that may be shown."""
    shown = (version.picture for found in _versions(site).values() for version in found)
    return {path: source for source, path in filter(None, shown)}


def _versions(site: Site) -> Mapping[str, Sequence[Version]]:
    found: dict[str, dict[str, list[Run]]] = {}
    for run in site.newest:
        if part := run.record.dataset:
            key = canonical([run.record.hashes.get("data", ""), part.params])
            found.setdefault(part.name, {}).setdefault(key, []).append(run)
    return {name: [_version(site, runs) for runs in known.values()] for name, known in found.items()}


def _version(site: Site, runs: Sequence[Run]) -> Version:
    part = runs[0].record.dataset
    assert part is not None
    return Version(site, runs[0].record.hashes.get("data", ""), part, runs)


def _stamp(site: Site, page: DatasetPage) -> object:
    """Everything that the pages show of a dataset, in short."""
    pictures = [version.picture for version in page.versions]
    times = [source[0].stat().st_mtime_ns if source else 0 for source in pictures]
    sheets = [version.sheet.model_dump_json() if version.sheet else "" for version in page.versions]
    boards = [
        [site.href(board), board.title, board.description] for version in page.versions for board, _ in version.boards
    ]
    runs = [[run.digest for run in version.runs] for version in page.versions]
    return [page.name, repr(page.installed), sheets, times, boards, runs, site.library.real_images]


def _constants(parts: Iterator[Mapping[str, Mapping[str, MetricValue]]]) -> dict[str, dict[str, MetricValue]]:
    """By task, the metrics that have a constant predictor's value, each from the first run that has it."""
    found: dict[str, dict[str, MetricValue]] = {}
    for metrics in parts:
        for task, known in metrics.items():
            for name, value in known.items():
                if value.constant is not None:
                    found.setdefault(task, {}).setdefault(name, value)
    return found


def _constant_line(name: str, spec: MetricValue, validation: MetricValue | None) -> tuple[str, str, str]:
    values = [found.constant for found in (spec, validation) if found and found.constant is not None]
    decimals = text.decimals_for(values)
    arrow = "↑" if spec.better == "higher" else "↓"
    shown = [text.number(value, decimals) for value in values]
    label = f"{spec.label} {arrow}{f', {spec.unit}' if spec.unit else ''}"
    return label, shown[0], shown[1] if len(shown) > 1 else text.GAP
