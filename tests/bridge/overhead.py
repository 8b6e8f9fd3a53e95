"""What the bridge costs per step of an environment, beside the environment's own time."""

import json

from cli import config, folder, run

ENVIRONMENTS = ["class:faulty.Faulty", "pettingzoo:mpe2.simple_spread_v3"]


def show() -> None:
    """Prints a table; one process steps all environments."""
    print(f"{'environment':<34} {'frames':<7} {'count':>5} {'inside':>9} {'around':>9}   (µs per step of one)")
    for env in ENVIRONMENTS:
        for transport in ("shared", "pipe"):
            for count in (1, 2, 8):
                with folder() as place:
                    keys = f'reward = "sum"\nenvs_per_worker = 8\ntransport = "{transport}"\n'
                    result = run("check-env", config(place, env, keys), "--episodes", "1", "--envs", str(count), "--json")
                    assert result.returncode == 0, result.stderr
                    pace = json.loads(result.stdout)["side_by_side"]
                    inside, around = 1e6 * pace["inside_s"], 1e6 * pace["around_s"]
                    assert pace["envs"] == count and inside > 0 and around >= 0, pace
                    print(f"{env:<34} {transport:<7} {count:>5} {inside:>9.1f} {around:>9.1f}")
