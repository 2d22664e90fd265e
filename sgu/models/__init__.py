"""The networks of the study by name: built from a seed, with their recipes and their files."""

from sgu.models.files import (
    OtherModel,
    load_model,
    read_info,
    read_preprocessing,
    save_model,
    trained_elsewhere,
)
from sgu.models.preprocessing import Preprocessing
from sgu.models.recipes import PRETRAIN, pretraining
from sgu.models.registry import MODELS, build
