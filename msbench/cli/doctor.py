"""`msbench doctor`: what works on this machine."""

from __future__ import annotations

import os
import shutil

import typer

from msbench.cli import options as o


def doctor(results: o.Results = None) -> None:
    """Check the environment: packages, device, plugins, folders. Exit code 1 when something is wrong.

    Example: msbench doctor
    """
    from msbench.plugins import load_plugins
    from msbench.runs.identity.provenance import environment
    from msbench.store.store import default_cache

    good = True

    def line(works: bool, what: str, detail: str) -> None:
        nonlocal good
        good = good and works
        typer.echo(f"{'ok  ' if works else 'BAD '} {what}: {detail}")

    import torch

    from msbench._torchvision import import_torchvision

    found = environment("cpu", 1)
    line(True, "machine", f"{found['cpu']}, {found['cores']} cores, {found['system']}, Python {found['python']}")
    line(True, "packages", ", ".join(f"{name} {version}" for name, version in found["packages"].items()))
    try:
        line(True, "torchvision", f"imports ({import_torchvision().__version__})")
    except Exception as error:  # whatever is wrong with the installation is what this verb reports
        line(False, "torchvision", str(error))
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none: runs and measures on the CPU"
    line(True, "GPU", gpu)
    plugins = load_plugins()
    count = sum(len(components) for components in plugins.components.values())
    line(not plugins.broken, "plugins", f"{count} names" if not plugins.broken else plugins.broken[0].error)
    for what, folder in (("results", o.results_folder(results)), ("cache", default_cache())):
        place = folder
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free / 1e9
        line(os.access(place, os.W_OK), what, f"{folder} ({free:.0f} GB free)")
    if not good:
        raise typer.Exit(1)
