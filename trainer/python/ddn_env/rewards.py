"""One number for the team, from what an environment gives at a step."""

import numpy as np

from .adapter import ConfigError, ContractError

PER_AGENT = 'this environment rewards each agent by itself; set reward = "sum" or "mean"'


def team_reward(reward: object, how: str, agents: int) -> float:
    """A number stays as it is; N numbers are summed or averaged, as `how` says.

    ConfigError("reward") for N numbers and "team"; ContractError for another count.
    """
    try:
        return float(reward)
    except TypeError:
        pass
    if reward is None or isinstance(reward, dict):
        raise ContractError(f"the reward is {reward!r}; give one number, or one for each agent in order")
    values = np.asarray(reward, dtype=np.float64).reshape(-1)
    if len(values) != agents:
        raise ContractError(f"reward has {len(values)} values, there are {agents} agents")
    if how == "team":
        raise ConfigError("reward", PER_AGENT)
    total = sum(values.tolist())
    return total / agents if how == "mean" else total
