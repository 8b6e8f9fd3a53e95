"""What environments say of an episode beside the reward."""

from typing import Mapping, Optional

_WON = ("won", "battle_won", "is_success")


def won(info: Mapping) -> Optional[bool]:
    """Whether the team won, under one of the usual names; None where nothing is said."""
    for name in _WON:
        value = info.get(name)
        if value is not None:
            return bool(value)
    return None
