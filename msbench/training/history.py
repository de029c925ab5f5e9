"""History: every logged value, in long format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class History:
    """Rows (step, samples, name, value). `step` counts optimizer steps over the whole run."""

    step: int = 0
    samples: int = 0
    rows: list[tuple[int, int, str, float]] = field(default_factory=list)

    def advance(self, samples: int) -> None:
        """One optimizer step was taken; `samples` are spent in all."""
        self.step += 1
        self.samples = samples

    def add(self, name: str, value: float) -> None:
        """Log one value at the current step."""
        self.rows.append((self.step, self.samples, name, float(value)))

    def latest(self) -> dict[str, float]:
        """The newest value of every name."""
        return {name: value for _, _, name, value in self.rows}

    def save(self, path: Path) -> None:
        """Write as parquet: step int64, samples int64, name string, value float64."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        steps, samples, names, values = zip(*self.rows, strict=True) if self.rows else ((), (), (), ())
        table = pa.table(
            {
                "step": pa.array(steps, pa.int64()),
                "samples": pa.array(samples, pa.int64()),
                "name": pa.array(names, pa.string()),
                "value": pa.array(values, pa.float64()),
            }
        )
        pq.write_table(table, path, compression="zstd")
