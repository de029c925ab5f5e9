#!/usr/bin/env bash
# Everything that needs a GPU, in one call: the speed of compaction, steps, loader and meta-training, then the main job
# and every method on it, with measured GPU speed-ups. Prints the GPU's name and the tables; leaves the records in $1
# (default gpu-results).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu-results}
msbench() { python3 -m msbench.cli.main "$@"; }
bench() { echo "== $*"; python3 "benchmarks/$@" || echo "limit missed: $*"; }

python3 -c 'import torch; print(torch.__version__, torch.cuda.get_device_name())'
msbench doctor --results "$out"
bench compaction.py --gpu --budget 3
bench step_overhead.py --gpu
bench loader.py --gpu
bench meta.py --backbone resnet50 --device cuda
msbench run -s all --preset smoke --results "$out/smoke" engine.device=cuda
msbench run -s meta_sparsity -s one_shot_magnitude -s random --budget matched --results "$out/quick" engine.device=cuda
msbench run -s one_shot_magnitude --budget 0.7 -m papers training.samples=640 training.batch=16 training.amp=true \
  training.data_on_device=true data.size=m --results "$out/papers" engine.device=cuda
msbench run -s 'meta_sparsity_direct[order=maml],meta_sparsity[learn=none,penalty=l1]' --budget 0.5 -m papers \
  training.samples=320 training.batch=8 training.amp=true data.size=m --results "$out/meta" engine.device=cuda
for run in $(ls "$out/quick/runs" | grep '^one_shot_magnitude'); do
  msbench measure "$run" --device cuda --batch 1,8 --dtype fp32,bf16 --results "$out/quick"
done
msbench results export "$out/quick.csv" --results "$out/quick"
msbench results export "$out/papers.csv" --results "$out/papers"
