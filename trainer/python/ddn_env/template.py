"""A whole environment of one's own, to copy: two agents on a line of seven places have to meet.

In the experiment's file:

    [env]
    kind = "python"
    env = "class:ddn_env.template.Meet"

Copy this file, say to `mine.py` beside the experiment, rename the class, and write `class:mine.Meet`.
"""

import random
from typing import List, Tuple


class Meet:
    """Each agent sees its own place and whether the other is to its left or right, but not how far away."""

    n_agents = 2
    actions = ["stay", "left", "right"]
    obs_dim = 2
    state_dim = 2
    episode_limit = 12

    def reset(self, seed: int) -> List[List[float]]:
        """Puts both at places that the seed alone decides."""
        self.places = random.Random(seed).sample(range(7), 2)
        return self.observe()

    def step(self, actions: List[int]) -> Tuple[List[List[float]], float, bool, bool, dict]:
        """Moves both; each step costs 0.1, meeting earns 1."""
        self.places = [min(6, max(0, place + (0, -1, 1)[action])) for place, action in zip(self.places, actions)]
        met = self.places[0] == self.places[1]
        return self.observe(), 1.0 if met else -0.1, met, False, {"won": met}

    def observe(self) -> List[List[float]]:
        """Place from 0 to 1, and the other's side: -1, 0 or 1."""
        first, second = self.places
        side = (second > first) - (second < first)
        return [[first / 6, side], [second / 6, -side]]

    def state(self) -> List[float]:
        """Both places; without this method, the experiment says `state = "concat"`."""
        return [place / 6 for place in self.places]

    def render(self) -> str:
        """The line as text; `*` is where both are."""
        first, second = self.places
        line = ["."] * 7
        line[first] = "A"
        line[second] = "*" if first == second else "B"
        return "".join(line)

    def save(self) -> bytes:
        """The places, which are all that a step needs."""
        return bytes(self.places)

    def load(self, saved: bytes) -> List[List[float]]:
        """Goes back to what `save` gave."""
        first, second = saved
        self.places = [first, second]
        return self.observe()
