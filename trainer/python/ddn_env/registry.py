"""From `env = "ADAPTER:NAME"` to an open environment. A new adapter is one file and one line here."""

from .adapter import Adapter, ConfigError, Options
from .fresh import FreshAdapter
from .from_class import ClassAdapter
from .from_gym import GymAdapter
from .from_pettingzoo import PettingZooAdapter
from .from_smac import SmacAdapter

ADAPTERS = {
    "class": ClassAdapter,
    "gym": GymAdapter,
    "pettingzoo": PettingZooAdapter,
    "smac": SmacAdapter,
}


def open_env(options: Options, index: int) -> Adapter:
    """Opens the environment; `index` is its place among the trainer's environments, from 0.

    ConfigError for a key that cannot work, ContractError for an environment that contradicts itself.
    """
    kind, colon, name = options.env.partition(":")
    known = ", ".join(ADAPTERS)
    if not colon or not name:
        raise ConfigError("env", f"'{options.env}' is not of the form ADAPTER:NAME; adapters: {known}")
    if kind not in ADAPTERS:
        raise ConfigError("env", f"no adapter '{kind}'; there are: {known}")
    if options.state not in ("env", "concat"):
        raise ConfigError("state", f'\'{options.state}\' is neither "env" nor "concat"')
    if options.reward not in ("team", "sum", "mean"):
        raise ConfigError("reward", f'\'{options.reward}\' is none of "team", "sum", "mean"')
    if options.episode_limit < 0:
        raise ConfigError("episode_limit", "must not be below 0")
    if options.discretise < 0:
        raise ConfigError("discretise", "must not be below 0")
    if options.fresh:
        return FreshAdapter(lambda: ADAPTERS[kind](name, options, index))
    return ADAPTERS[kind](name, options, index)
