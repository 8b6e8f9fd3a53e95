"""How long an episode may be."""

from numbers import Real
from typing import Optional

from .adapter import ConfigError, Options

# Names under which environments keep their limit.
_NAMES = ("max_cycles", "max_steps", "_max_episode_steps", "max_episode_steps", "episode_limit")


def episode_limit(options: Options, own: Optional[object]) -> int:
    """The configured limit, else the environment's own. ConfigError("episode_limit") if neither is known."""
    limit = options.episode_limit or own
    if not _is_limit(limit):
        raise ConfigError("episode_limit", "the environment does not say how long an episode may be; set it")
    return int(limit)


def own_limit(env: object, options: Options) -> int:
    """What the environment says of its limit: its arguments, its spec, its attributes; 0 where it says nothing."""
    inner = getattr(env, "unwrapped", env)
    spec = getattr(env, "spec", None)
    found = [options.args.get(name) for name in _NAMES]
    found.append(getattr(spec, "max_episode_steps", None))
    found += [getattr(inner, name, None) for name in _NAMES]
    for value in found:
        if _is_limit(value):
            return int(value)
    return 0


def _is_limit(value: object) -> bool:
    return isinstance(value, Real) and 1 <= value < 2**31
