"""Finding the user's environment by its dotted name, and the versions of what was found."""

import importlib
import importlib.metadata
import importlib.util
import platform
import sys
from typing import Callable, Dict

import numpy as np

from .adapter import ConfigError

# Where pip finds a module whose package has another name, or which is not on PyPI.
_PACKAGES = {
    "pymunk": "'pettingzoo[butterfly]'",
    "smac": "git+https://github.com/oxwhirl/smac.git",
    "smaclite": "git+https://github.com/uoe-agents/smaclite.git",
    "smacv2": "git+https://github.com/oxwhirl/smacv2.git",
}


def load_module(name: str) -> object:
    """Imports a module. ConfigError("env") if that fails, with the package that is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        top = name.partition(".")[0]
        missing = error.name or top
        package = missing.partition(".")[0]
        if missing == package or package not in sys.modules:
            install = _PACKAGES.get(package, package)
            hint = f"pip install {install} for {sys.executable}, or name its folder in env.path (as seen from where the trainer was started)"
        else:
            hint = f"package '{package}' {_version(package)} has no such part"
        raise ConfigError("env", f"cannot import '{name}': no module '{missing}'; {hint}") from error
    except ImportError as error:
        raise ConfigError("env", f"cannot import '{name}': {error}") from error


def load_object(path: str) -> object:
    """Finds `MODULE.NAME`, where NAME may itself be dotted and may be a key of a dictionary (`package.REGISTRY.key`).

    ConfigError("env") if there is no such module or name.
    """
    parts = path.split(".")
    if len(parts) < 2 or not all(parts):
        raise ConfigError("env", f"'{path}' is not of the form MODULE.NAME")
    found, prefix = load_module(parts[0]), parts[0]
    for part in parts[1:]:
        path = f"{prefix}.{part}"
        if part in getattr(found, "__dict__", {}):
            found = getattr(found, part)
        elif hasattr(found, "__path__") and importlib.util.find_spec(path) is not None:
            found = load_module(path)
        elif isinstance(found, dict) and part in found:
            found = found[part]
        elif hasattr(found, part):
            found = getattr(found, part)
        else:
            raise ConfigError("env", f"'{prefix}' has no '{part}'")
        prefix = path
    return found


def construct(maker: Callable, args: Dict[str, object]) -> object:
    """Calls the environment's constructor. ConfigError("args") where the arguments do not fit it."""
    try:
        return maker(**args)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ConfigError("args", str(error)) from error


def versions(module: str) -> Dict[str, str]:
    """Versions of Python, numpy, the package of `module`, and the libraries of environments that it brought along."""
    found = {"python": platform.python_version(), "numpy": np.__version__}
    for name in (module.partition(".")[0], "pettingzoo", "gymnasium", "gym"):
        if name in sys.modules:
            version = _version(name)
            if version:
                found[name] = version
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(package), "__version__", ""))
