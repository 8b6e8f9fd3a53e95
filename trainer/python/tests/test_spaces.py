import unittest

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim, flatten

from ddn_env.adapter import ConfigError
from ddn_env.spaces import action_list, flattener, team_actions

from .playing import Box, Discrete

SPACES = [
    spaces.Box(-1, 1, (4,), np.float32),
    spaces.Box(0, 255, (2, 3, 3), np.uint8),
    spaces.Box(-1, 1, (), np.float64),
    spaces.Discrete(5),
    spaces.Discrete(4, start=-2),
    spaces.MultiDiscrete([2, 3, 4]),
    spaces.MultiDiscrete([[2, 3], [4, 2]]),
    spaces.MultiBinary(6),
    spaces.MultiBinary((2, 2)),
    spaces.Dict({"b": spaces.Box(-1, 1, (2,)), "a": spaces.Discrete(3)}),
    spaces.Tuple([spaces.Discrete(2), spaces.Dict({"x": spaces.MultiBinary(2), "y": spaces.Box(0, 1, (2, 2))})]),
]


class SpacesTest(unittest.TestCase):
    def test_observations_are_flattened_as_gymnasium_does(self):
        for space in SPACES:
            space.seed(1)
            size, write = flattener(space)
            self.assertEqual(size, flatdim(space), space)
            for _ in range(20):
                value = space.sample()
                row = np.full(size, 7.0, np.float32)
                write(row, value)
                np.testing.assert_array_equal(row, flatten(space, value).astype(np.float32).reshape(-1), str(space))

    def test_lists_and_other_number_types_are_taken(self):
        size, write = flattener(spaces.Box(-1, 1, (3,)))
        row = np.zeros(size, np.float32)
        for value in ([1, 2, 3], np.array([1.0, 2.0, 3.0]), (1, 2, 3)):
            write(row, value)
            self.assertEqual(row.tolist(), [1.0, 2.0, 3.0])

    def test_a_wrong_shape_is_refused_and_never_spread(self):
        size, write = flattener(spaces.Box(-1, 1, (18,)))
        for value, said in ((np.zeros(17), "17 values"), (np.zeros(1), "1 values"), (0.5, "shape \\[\\]")):
            with self.assertRaisesRegex(ValueError, f"observation has {said}, the space promised 18 values"):
                write(np.zeros(size, np.float32), value)

    def test_values_outside_of_a_space_are_refused(self):
        pairs = spaces.MultiDiscrete([2, 2])
        for space, value in ((spaces.Discrete(3, start=1), 0), (spaces.Discrete(3), 3), (pairs, [0, 2]), (pairs, [1])):
            size, write = flattener(space)
            with self.assertRaisesRegex(ValueError, "outside of its space"):
                write(np.zeros(size, np.float32), value)
        size, write = flattener(SPACES[9])
        with self.assertRaisesRegex(ValueError, "no part 'b'"):
            write(np.zeros(size, np.float32), {"a": 1})

    def test_spaces_of_no_fixed_size_are_refused(self):
        with self.assertRaisesRegex(ConfigError, "^env: .*Text"):
            flattener(spaces.Text(5))
        with self.assertRaisesRegex(ConfigError, "^env: .*Sequence"):
            flattener(spaces.Dict({"a": spaces.Sequence(spaces.Discrete(2))}))

    def test_lookalikes_and_heirs_are_recognised(self):
        class Special(Discrete):
            pass

        self.assertEqual(flattener(Special(3))[0], 3)
        self.assertEqual(action_list(Special(2, start=4), 0), ([], [4, 5]))

    def test_discrete_actions_start_where_the_space_starts(self):
        self.assertEqual(action_list(spaces.Discrete(3, start=-1), 0)[1], [-1, 0, 1])

    def test_choices_at_a_time_become_their_product(self):
        names, moves = action_list(spaces.MultiDiscrete([2, 3]), 0)
        self.assertEqual(names, ["0 0", "0 1", "0 2", "1 0", "1 1", "1 2"])
        self.assertEqual([move.tolist() for move in moves[-2:]], [[1, 1], [1, 2]])
        with self.assertRaisesRegex(ConfigError, "3 choices at a time make 1000 actions"):
            action_list(spaces.MultiDiscrete([10, 10, 10]), 0)
        with self.assertRaisesRegex(ConfigError, "actions of the space MultiBinary"):
            action_list(spaces.MultiBinary(2), 0)

    def test_continuous_actions_need_a_grid(self):
        space = spaces.Box(np.array([-1, 0], np.float32), np.array([1, 4], np.float32))
        axes = "the action has 2 continuous axes, from -1 to 1, 0 to 4"
        with self.assertRaisesRegex(ConfigError, f"^discretise: {axes}; `discretise = 3`"):
            action_list(space, 0)
        names, moves = action_list(space, 3)
        self.assertEqual(names, ["-1 0", "-1 2", "-1 4", "0 0", "0 2", "0 4", "1 0", "1 2", "1 4"])
        self.assertTrue(all(space.contains(move) for move in moves))

    def test_grids_have_limits(self):
        with self.assertRaisesRegex(ConfigError, "4 points per axis make 1024 actions, at most are 256"):
            action_list(Box(np.zeros(5), np.ones(5), (5,)), 4)
        with self.assertRaisesRegex(ConfigError, "an axis without ends has no grid"):
            action_list(Box(np.zeros(1), np.full(1, np.inf), (1,)), 3)
        with self.assertRaisesRegex(ConfigError, "= 3` makes"):
            action_list(Box(np.zeros(1), np.ones(1), (1,)), 1)
        self.assertEqual(len(action_list(Box(np.zeros(8), np.ones(8), (8,)), 2)[1]), 256)

    def test_names_are_kept_only_where_they_fit_all(self):
        narrow, wide = spaces.Box(0, 1, (1,)), spaces.Box(0, 1, (2,))
        self.assertEqual(team_actions([narrow, narrow], 2)[0], ["0", "1"])
        self.assertEqual(team_actions([narrow, wide], 2)[0], ["action 0", "action 1", "action 2", "action 3"])
        self.assertEqual(team_actions([spaces.Discrete(2), narrow], 2)[0], ["action 0", "action 1"])
        self.assertEqual([len(moves) for moves in team_actions([narrow, wide], 2)[1]], [2, 4])


if __name__ == "__main__":
    unittest.main()
