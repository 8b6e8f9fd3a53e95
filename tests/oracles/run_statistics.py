"""Reference values for the statistics over runs (`trainer/src/stats`), from the package rliable.

Regenerate: `bash tests/run oracles` computes the values anew and compares them with those stored beside this script. To
replace the stored file: `$(bash tests/python.sh statistics) tests/oracles/run_statistics.py`.

    run_statistics.py [FOLDER]            write run_statistics.json (default: into this script's folder)
    run_statistics.py --check [FOLDER]    compute, compare with FOLDER, exit 1 on a difference

run_statistics.json
    repeats, reps, pair_reps    every bootstrap is made `repeats` times, with so many repetitions
    aggregates                  the order of the values of `points` and `ends`
    scores                      by name: scores [R,M], points [A]; ends [A] over runs, ends_tasks [A] over runs and tasks;
                                thresholds [K], shares [K], share_ends [K]
    pairs                       by name: x and y name or are scores [R,M]; point, ends
    curve                       scores [R,M,P], points [P], ends [P] of the interquartile mean

An entry of `ends` is [mean of the lower ends, their deviation, mean of the upper ends, their deviation] over the repeats,
deviations with `repeats` - 1 below. From these follows how far another bootstrap of the same distribution may be.

rliable draws from NumPy's global generator, which is seeded here before each bootstrap.
"""

import argparse
import hashlib
import importlib.metadata
import json
import pathlib
import sys

import numpy as np
from rliable import library, metrics

HERE = pathlib.Path(__file__).resolve().parent
NAME = "run_statistics.json"
REPEATS, REPS, PAIR_REPS = 20, 500, 100
AGGREGATES = {
    "mean": metrics.aggregate_mean,
    "median": metrics.aggregate_median,
    "iqm": metrics.aggregate_iqm,
    "optimality gap": metrics.aggregate_optimality_gap,
}


def matrices():
    """One task; a suite; few different scores and two that lie far out. Rounded, so that they read well."""
    rng = np.random.default_rng(7)
    suite = rng.normal(0.7, 0.3, (10, 5)) + np.linspace(-0.4, 0.4, 5)
    ties = rng.integers(0, 6, (9, 4)) / 4.0
    ties[2, 1], ties[6, 3] = 40.0, -15.0
    scores = {
        "one task": rng.normal(0.6, 0.2, (10, 1)),
        "suite": suite,
        "ties and outliers": ties,
    }
    others = {
        "suite": rng.normal(0.6, 0.3, (7, 5)) + np.linspace(-0.3, 0.3, 5),
        "ties and outliers": rng.integers(0, 5, (6, 4)) / 4.0,
    }
    curve = rng.normal(0.0, 0.2, (6, 3, 4)) + np.array([0.1, 0.4, 0.7, 0.75])
    return *({k: v.round(4) for k, v in named.items()} for named in (scores, others)), curve.round(4)


def ends(scores, func, reps, task_bootstrap=False):
    """The ends of each value of func over the repeats: [values, 4]."""
    found = []
    for repeat in range(REPEATS):
        np.random.seed(1000 + repeat)
        _, intervals = library.get_interval_estimates({"": scores}, func, reps=reps, task_bootstrap=task_bootstrap)
        found.append(intervals[""])
    found = np.array(found)  # [repeats, 2, values]
    mean, deviation = found.mean(axis=0), found.std(axis=0, ddof=1)
    return np.stack([mean[0], deviation[0], mean[1], deviation[1]], axis=-1).tolist()


def all_aggregates(scores):
    return np.array([aggregate(scores) for aggregate in AGGREGATES.values()])


def of_scores(scores):
    thresholds = np.linspace(-0.25, 1.5, 8)
    shares = lambda scores: library.score_distributions(scores, thresholds)
    return {
        "scores": scores.tolist(),
        "points": all_aggregates(scores).tolist(),
        "ends": ends(scores, all_aggregates, REPS),
        "ends_tasks": ends(scores, all_aggregates, REPS, task_bootstrap=True),
        "thresholds": thresholds.tolist(),
        "shares": shares(scores).tolist(),
        "share_ends": ends(scores, shares, REPS),
    }


def of_pair(x, y):
    improvement = lambda x, y: np.array([metrics.probability_of_improvement(x, y)])
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "point": improvement(x, y)[0],
        "ends": ends([x, y], improvement, PAIR_REPS)[0],
    }


def of_curve(scores):
    iqm = lambda scores: np.array([metrics.aggregate_iqm(scores[..., point]) for point in range(scores.shape[-1])])
    return {"scores": scores.tolist(), "points": iqm(scores).tolist(), "ends": ends(scores, iqm, REPS)}


def make():
    scores, others, curve = matrices()
    one = scores["one task"]
    pairs = {name: (scores[name], other) for name, other in others.items()} | {"one task": (one, one[:7] - 0.1)}
    return {
        "script_sha256": hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest(),
        "versions": {name: importlib.metadata.version(name) for name in ("rliable", "arch", "scipy", "numpy")},
        "repeats": REPEATS,
        "reps": REPS,
        "pair_reps": PAIR_REPS,
        "aggregates": list(AGGREGATES),
        "scores": {name: of_scores(values) for name, values in scores.items()},
        "pairs": {name: of_pair(*pair) for name, pair in pairs.items()},
        "curve": of_curve(curve),
    }


def differences(new, old, where=""):
    """Lines that say where two documents differ by more than rounding."""
    if isinstance(new, dict) and isinstance(old, dict):
        for key in sorted(new.keys() ^ old.keys()):
            yield f"{where}/{key}: only in the {'new' if key in new else 'stored'} file"
        for key in sorted(new.keys() & old.keys()):
            yield from differences(new[key], old[key], f"{where}/{key}")
    elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        for index, pair in enumerate(zip(new, old)):
            yield from differences(*pair, f"{where}[{index}]")
    elif isinstance(new, float) and isinstance(old, float):
        if not abs(new - old) <= 1e-11 * (1 + abs(old)):
            yield f"{where}: {new}, stored {old}"
    elif new != old:
        yield f"{where}: {new}, stored {old}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=HERE)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    file = options.folder / NAME
    made = make()
    if not options.check:
        file.write_text(json.dumps(made, indent=1) + "\n")
        return
    wrong = list(differences(made, json.loads(file.read_text()))) if file.exists() else ["missing"]
    for line in wrong:
        print(f"{NAME}: {line}")
    print(f"{NAME}: {len(made['scores'])} matrices, {len(made['pairs'])} pairs, 1 curve, {len(wrong)} differences")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
