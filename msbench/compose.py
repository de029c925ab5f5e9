"""Composition of flags, YAML and overrides, by hydra."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msbench.errors import UserError, nearest
from msbench.plugins import Plugins

GROUPS = ("dataset", "model", "budget", "training", "engine", "preset")
PARTS = {"data": "dataset", "model.backbone": "backbone", "model.head": "head", "model.vector_head": "head"}
"""Where a plugin class is named, and its kind."""


def config_folder() -> Path:
    """The hydra groups: beside the package in a clone, inside it in an installed wheel."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


def options(group: str) -> list[str]:
    """The names of a group's YAML files."""
    return sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))


def compose(plugins: Plugins, choices: Mapping[str, str], overrides: Sequence[str]) -> dict[str, Any]:
    """The composed configuration as plain containers.

    choices: group to option, from flags. overrides: `key=value`, or `group=option`, as typed.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    for name in plugins.components["dataset"]:
        if name not in options("dataset"):
            ConfigStore.instance().store(group="dataset", name=name, node={"name": name}, package="data")
    parsed = dict(map(parse_override, overrides))
    chosen = {**choices, **{key: str(value) for key, value in parsed.items() if key in GROUPS}}
    chosen, parsed = _family_member(chosen, parsed)
    for group, option in chosen.items():
        known = {*options(group), *(plugins.components["dataset"] if group == "dataset" else ())}
        if option not in known:
            raise UserError(f"unknown {group} {option!r}: {nearest(option, known)}")
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        composed = hydra_compose("config", [f"{group}={option}" for group, option in chosen.items()])
    plain: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
    for key, value in parsed.items():
        if key not in GROUPS:
            _override(plain, key, value)
    return plain


def _family_member(chosen: dict[str, str], parsed: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """`-m FAMILY/NAME` is short for `-m FAMILY model.backbone.model=NAME`, and the model is called by both names."""
    family, slash, member = chosen.get("model", "").partition("/")
    if not slash:
        return chosen, parsed
    named = {"model.name": f"{family}/{member}", "model.backbone.model": member}
    return {**chosen, "model": family}, {**named, **parsed}


def parse_override(text: str) -> tuple[str, Any]:
    """`key=value` with the value typed as hydra types it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if "=" not in text:
        raise UserError(f"{text!r} is no override: write key=value, for example training.batch=8")
    name, _, given = text.partition("=")
    if re.fullmatch(r"[A-Za-z_]\w*\[.*\]", given):  # a criterion with parameters, for which hydra has no grammar
        return name, given
    try:
        override = OverridesParser.create().parse_override(text)
        value = override.value()
    except HydraException as error:
        raise UserError(f"cannot read {text!r}: {str(error).splitlines()[0]}") from error
    if override.is_sweep_override() or override.is_delete():
        raise UserError(f"{text!r}: sweeps and deletions are not supported; run one command a value")
    return str(override.key_or_group), value


def _override(plain: dict[str, Any], key: str, value: Any) -> None:
    """Set one dotted key; naming another class drops the parameters that were meant for the one before."""
    *path, last = key.split(".")
    node = plain
    for part in path:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise UserError(f"unknown key {key!r}: {'.'.join(path)!r} is a value, not a group")
    if ".".join(path) in PARTS and last == "name" and node.get("name") != value:
        node.clear()
    node[last] = value
