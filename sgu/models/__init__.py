"""The networks of the study by name: built from a seed, with their recipes and their files."""

from sgu.models.files import load_model, save_model
from sgu.models.recipes import PRETRAIN, pretraining
from sgu.models.registry import MODELS, build
