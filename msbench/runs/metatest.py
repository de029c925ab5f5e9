"""Meta-testing: fine-tune a finished run's sparse network with its mask held (meta-sparsity paper, section 3.4)."""

from __future__ import annotations

from safetensors.torch import load_file

from msbench.config import MetaTestConfig
from msbench.sparsity.mask import Mask
from msbench.store.store import Store
from msbench.training.trainer import Trainer

MASK_FILE = "mask.safetensors"


def meta_test(trainer: Trainer, config: MetaTestConfig, store: Store) -> None:
    """Train the source's weights for the trainer's whole allowance.

    `same` and `add` train everything; a task that the source did not have starts with a fresh head. `only` trains
    the new task's head and nothing else: the backbone keeps its weights and batch-norm statistics.
    """
    state = load_file(store.artefact(config.source, "model.safetensors"))
    own = trainer.model.state_dict()
    trainer.model.load_state_dict({**own, **{name: value for name, value in state.items() if name in own}})
    if store.has(config.source, MASK_FILE):
        layers = {layer.name for layer in trainer.groups.layers}
        mask = Mask.load(store.artefact(config.source, MASK_FILE))
        trainer.apply_mask(Mask({name: kept for name, kept in mask.items() if name in layers}))
    if config.mode == "only":
        trainer.model.freeze_backbone()
    trainer.train()
