"""Tests of the adapters: `python -m unittest discover` in the folder above."""
