"""The parts of a record."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """What all parts have in common: no field is unknown."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class SparsifierPart(Part):
    """`name` is what the user typed (possibly a variant), `base` the plugin class's own name."""

    name: str
    """What the user typed: a class, a variant, or either with parameters in brackets."""
    base: str
    """The plugin class's own name."""
    plugin: str
    """The plugin that provides the class."""
    version: str
    """That plugin's version."""
    params: dict[str, Any]
    """All parameters of the class."""
    paper: str = ""
    """What the method is cited by."""
    summary: str = ""
    """First line of the class's description."""
    notes: list[str] = Field(default_factory=list)
    """Rulings of this run: which formulation ran, where it departs from its paper."""


class DatasetPart(Part):
    """The data, and how much of it."""

    name: str
    """The dataset's name."""
    params: dict[str, Any]
    """All of its parameters."""
    synthetic: bool
    """Whether its images are made up."""
    train: int
    """Samples of the training part."""
    validation: int
    """Samples of the validation part."""
    test: int
    """Samples of the test part."""
    image: list[int]
    """Channels, height, width."""


class ModelPart(Part):
    """The network before anything is removed."""

    name: str
    """The file of configs/model that was chosen."""
    backbone: str
    """The backbone's name."""
    head: str
    """The dense head's name."""
    params: dict[str, Any]
    """All parameters of backbone and heads."""
    parameters: int
    """Number of parameters of the dense network, heads included."""


class TaskPart(Part):
    """One task."""

    name: str
    """The task's name."""
    kind: str
    """Kind of task, which decides losses and metrics."""
    headline: str
    """The metric that is shown first."""


class BudgetPart(Part):
    """Sparsities are shares in [0, 1] of what the scope's convolution and linear layers cost in `unit`."""

    mode: Literal["matched", "share", "natural"]
    """How the target was chosen."""
    scope: Literal["backbone", "model"]
    """Layers that count: the shared ones, or the whole model."""
    unit: Literal["params", "macs", "latency"]
    """What is counted: weights, multiply-adds or time."""
    structured: bool
    """Whether whole input channels are removed; else single weights."""
    asked: float | None
    """The target; None where a method finds its own."""
    achieved: float | None
    """Sparsity of the run's mask."""
    natural: float | None
    """What the method had found by itself just before settling; None for methods without a level of their own."""
    settled_by: float | None
    """Achieved minus natural: how far settling moved the sparsity."""
    tolerance: float
    """How far from the target still meets it."""
    met: bool | None
    """Whether achieved lies within the tolerance of asked; None without a target."""
    reference: str | None = None
    """run_id of the reference whose sparsity set the target."""
    table: str = ""
    """Digest of the latency table, `latency_table.json` in the run's folder, where the unit is latency."""


class AllowancePart(Part):
    """Samples that went forward and backward."""

    samples: int
    """What the run was allowed."""
    spent: int
    """What it used."""


class MetricValue(Part):
    """One metric of one task."""

    value: float
    """The figure, in its unit."""
    better: Literal["higher", "lower"]
    """The direction."""
    label: str
    """Its name for people."""
    unit: str
    """Its unit; empty for a ratio."""
    in_delta: bool
    """Whether it enters Δ_T."""
    constant: float | None = None
    """The same metric for the best constant predictor (for accuracy: the majority rate)."""


class DeltaPart(Part):
    """Δ_T of AdapMTL eq. 7 in percent against the dense run of the same seed; positive is better."""

    dense_run: str
    """run_id of the dense run."""
    per_task: dict[str, float]
    """Task name to the mean over its metrics."""
    mean: float
    """Mean over tasks: Δ_T."""
    sum: float
    """Mean over tasks of the sums over metrics: the arithmetic of the paper's tables."""
    worst_task: str
    """The task with the smallest value."""


class SparsityPart(Part):
    """What the mask removes, as shares in [0, 1]."""

    parameters: float
    """Share of the weights of convolution and linear layers in the scope that are removed."""
    groups: float
    """Share of the input channels in the scope that are removed as a whole."""
    per_layer: dict[str, float]
    """Layer name to its share of removed weights."""
    per_component: dict[str, float]
    """`backbone` and `heads.TASK` to their shares."""
    channels: dict[str, list[int]]
    """Layer name to [kept, all] input channels."""
    by_unit: dict[str, float] = Field(default_factory=dict)
    """Sparsity in each unit that was counted: "params", "macs", and "latency" where a table was measured."""


class CompressionPart(Part):
    """Ratios dense / compact (above 1 is smaller), and the counts that they come from."""

    parameters: float
    """Ratio of the numbers of parameters."""
    bytes: float
    """Ratio of the sizes of the weights' files."""
    dense_parameters: int
    """Parameters of the dense network."""
    compact_parameters: int
    """Parameters of the compact network."""
    dense_bytes: int
    """Size of the dense network's safetensors."""
    compact_bytes: int
    """Size of the compact network's safetensors."""


class LatencyPart(Part):
    """Dense against compact in alternating rounds. None, or empty: not known."""

    device: str
    """The device's name."""
    ratio: float
    """Median over the rounds of dense / compact."""
    q25: float
    """Lower quartile of the ratio."""
    q75: float
    """Upper quartile of the ratio."""
    dense_s: float
    """Median seconds a forward of the dense network."""
    compact_s: float
    """Median seconds a forward of the compact network."""
    rounds: int
    """Rounds that were timed."""
    threads: int
    """Threads on the CPU."""
    batch: int
    """Images a forward."""
    size: list[int]
    """Height and width of the images."""
    dtype: str
    """Number format."""
    load: float | None = None
    """Load average of the machine."""
    noisy: bool = False
    """Whether `why` has a reason to distrust the figure."""
    low: float | None = None
    """Lower end of the 95 % interval of the median ratio."""
    high: float | None = None
    """Upper end of that interval."""
    cpu_share: float | None = None
    """Processor time / wall time while a CPU was timed; below one, the process waited."""
    others: float | None = None
    """Running tasks of the machine that were not ours, median over the rounds."""
    why: list[str] = Field(default_factory=list)
    """What makes it noisy."""
    mode: Literal["eager", "graph"] = "eager"
    """How the networks were called: one by one, or as a CUDA graph."""


class SpeedupPart(Part):
    """How much less the compact network computes, and how much less time it takes."""

    theoretical: float | None
    """The papers' ratio: total FLOPs / FLOPs of the kept input channels; None when nothing is kept."""
    macs: float
    """Multiply-adds dense / after compaction."""
    dense_macs: int
    """Multiply-adds of the dense network for one image."""
    compact_macs: int
    """Multiply-adds of the compact network for one image."""
    measured: dict[str, LatencyPart | None]
    """Device name to a measurement; None is a declared gap (no such device on the machine)."""


class ProofPart(Part):
    """Masked network against compact network in eval mode."""

    equal: bool
    """Whether every difference is within its tolerance, in every dtype."""
    max_abs_diff: dict[str, float]
    """dtype name ("float32", "float64") to the greatest difference over all tasks and inputs."""
    per_task: dict[str, dict[str, float]]
    """Task name to dtype name to its greatest difference."""
    tolerance: dict[str, float]
    """dtype name to the difference that is allowed."""
    reason: str = ""
    """Why it is not equal, or why the network was not shrunk."""


class MetaTestPart(Part):
    """Fine-tuning of another run's sparse network, its mask held."""

    mode: Literal["same", "add", "only"]
    """The same tasks, added ones, or only new ones."""
    task: str | None
    """The new task; several are joined by `+`."""
    source: str
    """run_id of the run whose weights and mask it started from."""


class CostPart(Part):
    """What the run took."""

    wall_s: float
    """Seconds from start to finish."""
    peak_memory: int
    """Bytes: the peak of the run's process in memory."""
    shared_start: float = 0.0
    """Of wall_s, seconds that an earlier run had spent on the start that both share."""
    earlier_attempts: float = 0.0
    """Of wall_s, seconds of attempts that were killed, up to the last checkpoint that the run went on from."""


class ProvenancePart(Part):
    """By digest, what a run was made with, beside `hashes` and `environment`."""

    packages: dict[str, str]
    """Name to version of the packages that are part of the run's identity."""
    installed: str
    """SHA-256 of the names and versions of every installed package."""
    commit: str
    """The commit that msbench ran from; empty outside a clone."""
    diff: str
    """SHA-256 of the changes to that commit's files; empty where there were none."""
    plugins: dict[str, str]
    """Each plugin class that took part to the SHA-256 of its sources."""
    driver: str
    """Version of the GPU's driver; empty without a GPU."""
    identity: str
    """SHA-256 of all that decides the run; the run_id ends in its first twelve digits."""
