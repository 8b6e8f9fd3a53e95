"""`check-env` on environments from PyPI."""

import json

from cli import config, folder, run

# Environment, and floats of the widest observation.
ENVIRONMENTS = [
    ("pettingzoo:mpe2.simple_spread_v3", 18),
    ("pettingzoo:mpe2.simple_speaker_listener_v4", 11),
    ("gym:lbforaging:Foraging-8x8-2p-3f-v3", 15),
    ("gym:rware:rware-tiny-2ag-v2", 71),
]


def show() -> None:
    """Checks each."""
    for env, obs_dim in ENVIRONMENTS:
        with folder() as place:
            path = config(place, env, 'reward = "sum"\n')
            result = run("check-env", path, "--episodes", "4", "--json")
            assert result.returncode == 0, result.stderr
            report = json.loads(result.stdout)
            assert report["obs_dim"] == obs_dim, report
            print(f"{env}: {report['steps']} steps, all checks passed, {report['steps_per_second']:.0f} steps/s")
