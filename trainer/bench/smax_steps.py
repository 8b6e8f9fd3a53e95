"""Times steps of SMAX, JaxMARL's battle simulator, on the CPU: many environments in one compiled program.

    python=$(bash tests/python.sh smax)
    $python trainer/bench/smax_steps.py 3s_vs_5z 3s5z

SMAX against its own scripted enemy (`HeuristicEnemySMAX`), eight ticks of the world a step as here; actions uniform over the
available ones, environments reset where an episode ends, all inside of one `lax.scan`. XLA takes all cores that the process
may use. The number of environments is the fastest of those tried; compiling is not counted. Prints one JSON object a line.
"""

import argparse
import json
import time

import jax
import jax.numpy as jnp
from jaxmarl import make
from jaxmarl.environments.smax import map_name_to_scenario


def program(env, environments, steps):
    """A compiled function of a key and of where the environments stand."""

    def step(carry, key):
        obs, state = carry
        choose, go = jax.random.split(key)
        available = jax.vmap(env.get_avail_actions)(state)

        def choice(k, agent):
            keys = jax.random.split(jax.random.fold_in(choose, k), environments)
            logits = jnp.where(available[agent] > 0, 0.0, -1e9)
            return jax.vmap(jax.random.categorical)(keys, logits)

        actions = {agent: choice(k, agent) for k, agent in enumerate(env.agents)}
        obs, state, reward, _, _ = jax.vmap(env.step)(jax.random.split(go, environments), state, actions)
        return (obs, state), reward[env.agents[0]].mean()

    @jax.jit
    def run(key, carry):
        return jax.lax.scan(step, carry, jax.random.split(key, steps))

    return run


def measure(scenario, environments, steps, rounds):
    """Environment steps per second, the best of some rounds."""
    env = make("HeuristicEnemySMAX", scenario=map_name_to_scenario(scenario))
    run = program(env, environments, steps)
    carry = jax.vmap(env.reset)(jax.random.split(jax.random.PRNGKey(0), environments))
    best = 0.0
    # Compiled at the first call, and once more for what that one hands to the second.
    warm = 2
    for round in range(warm + rounds):
        key = jax.random.PRNGKey(1 + round)
        began = time.perf_counter()
        carry, rewards = run(key, carry)
        rewards.block_until_ready()
        seconds = time.perf_counter() - began
        if round >= warm:
            best = max(best, environments * steps / seconds)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="+")
    parser.add_argument("--environments", type=int, nargs="+", default=[16, 128, 1024])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for scenario in options.scenarios:
        tried = {n: measure(scenario, n, options.steps, options.rounds) for n in options.environments}
        fastest = max(tried, key=tried.get)
        facts = {"scenario": scenario, "environments": fastest, "steps_per_s": tried[fastest], "jax": jax.__version__}
        print(json.dumps(facts | {"tried": tried}), flush=True)


if __name__ == "__main__":
    main()
