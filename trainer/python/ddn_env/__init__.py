"""Python environments for the trainer: the worker that it starts, and adapters for the usual kinds of environments."""

__version__ = "0.1.0"
