"""What is checked about a plugin module before anything of it is used: its hooks, and the msbench that it needs."""

from __future__ import annotations

import inspect
from types import ModuleType

import pluggy
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from msbench import __version__, hookspecs
from msbench.errors import UserError, nearest

PREFIX = f"{hookspecs.PROJECT}_"
REQUIRES = "msbench_requires"
"""Attribute of a plugin module: the versions of msbench that it works with, such as `>=0.1,<0.3`."""


def register(manager: pluggy.PluginManager, module: ModuleType, name: str) -> None:
    """Register a plugin module; UserError, and nothing registered, where it cannot be used as it is.

    Refused are a version of msbench that it does not work with, a hook that does not exist or has other arguments,
    and a hook that lacks its `@hookimpl`.
    """
    _check_version(module)
    hooks = {hook for hook in vars(hookspecs) if hook.startswith(PREFIX)}
    for attribute in dir(module):
        marked = manager.parse_hookimpl_opts(module, attribute)
        value = getattr(module, attribute)
        ours = attribute.startswith(PREFIX) and inspect.isfunction(value)
        if attribute not in hooks and (ours or (marked is not None and not marked["optionalhook"])):
            raise UserError(f"{attribute} is no hook: {nearest(attribute, hooks)}")
        if attribute in hooks and inspect.isfunction(value) and marked is None:
            raise UserError(f"{attribute} lacks its @hookimpl")
    try:
        manager.register(module, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        if manager.is_registered(module):
            manager.unregister(module)
        raise UserError(" ".join(str(error).split())) from error


def _check_version(module: ModuleType) -> None:
    wanted = getattr(module, REQUIRES, "")
    try:
        fits = SpecifierSet(wanted).contains(__version__, prereleases=True)
    except (InvalidSpecifier, AttributeError, TypeError) as error:
        raise UserError(f"{REQUIRES}={wanted!r} is no range of versions: write for example '>=0.1,<0.3'") from error
    if not fits:
        raise UserError(f"it works with msbench {wanted}, this is {__version__}: install another version of either")
