"""Unlearning methods by name. `original` and `retrain` are references, not methods."""

from sgu.methods.base import Method, Run
from sgu.methods.finetune import finetune
from sgu.methods.sg import sg

METHODS: dict[str, Method] = {"finetune": finetune, "sg": sg}

__all__ = ["METHODS", "Method", "Run"]
