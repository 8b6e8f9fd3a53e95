import unittest

from ddn_env.adapter import ConfigError, Options
from ddn_env.imports import load_object
from ddn_env.registry import ADAPTERS, open_env

from .playing import module

MEET = "class:ddn_env.template.Meet"


class RegistryTest(unittest.TestCase):
    def refused(self, pattern, env=MEET, **keys):
        with self.assertRaisesRegex(ConfigError, pattern):
            open_env(Options(env, **keys), 0)

    def test_an_unknown_adapter_lists_the_known(self):
        self.assertEqual(sorted(ADAPTERS), ["class", "gym", "pettingzoo", "smac"])
        self.refused("^env: no adapter 'foo'; there are: class, gym, pettingzoo, smac", env="foo:bar")
        self.refused("^env: 'bar' is not of the form ADAPTER:NAME", env="bar")
        self.refused("^env: 'class:' is not of the form", env="class:")

    def test_a_missing_module_says_what_to_install(self):
        self.refused("no module 'not_there'; pip install not_there", env="pettingzoo:not_there")
        self.refused("no module 'smaclite'; pip install git\\+https://github.com/uoe-agents", env="smac:smaclite.env.E")
        self.refused("'ddn_env.template' has no 'Meat'", env="class:ddn_env.template.Meat")
        self.refused("'Meet' is not of the form MODULE.NAME", env="class:Meet")

    def test_keys_out_of_range(self):
        self.refused('^state: \'all\' is neither "env" nor "concat"', state="all")
        self.refused("^reward: 'max' is none of", reward="max")
        self.refused("^episode_limit: ", episode_limit=-1)
        self.refused("^discretise: ", discretise=-1)

    def test_names_go_through_classes_and_dictionaries(self):
        inner = type("Inner", (), {"make": staticmethod(int)})
        module("deep", REGISTRY={"key": inner})
        self.assertIs(load_object("deep.REGISTRY.key"), inner)
        self.assertIs(load_object("deep.REGISTRY.key.make"), int)

    def test_a_config_error_has_a_key_and_a_reason(self):
        with self.assertRaises(ConfigError) as caught:
            open_env(Options(MEET, state="all"), 0)
        self.assertEqual(caught.exception.key, "state")
        self.assertIn("concat", caught.exception.reason)


if __name__ == "__main__":
    unittest.main()
