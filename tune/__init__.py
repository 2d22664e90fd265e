"""The study: Ray Tune and Optuna around `sgu`.

Because this package is called tune, write `from ray.tune import ...`, not `from ray import tune`.
"""

from collections.abc import Callable

Say = Callable[[str], None]
"""Prints one line for the user."""
