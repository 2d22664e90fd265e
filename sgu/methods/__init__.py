"""Unlearning methods by name. `original` and `retrain` are references, not methods."""

from sgu.methods.amun import AMUN
from sgu.methods.bad_teacher import BadTeacher
from sgu.methods.base import Method, Run, Space
from sgu.methods.finetune import Finetune
from sgu.methods.fisher import Fisher
from sgu.methods.gradient_ascent import GradientAscent
from sgu.methods.influence import Influence
from sgu.methods.l1_sparse import L1Sparse
from sgu.methods.neggrad_plus import NegGradPlus
from sgu.methods.random_label import RandomLabel
from sgu.methods.reference_distill import ReferenceDistill
from sgu.methods.reference_labels import ReferenceLabels
from sgu.methods.salun import SalUn
from sgu.methods.scrub import Scrub
from sgu.methods.sg import GAME_SPACE, SG
from sgu.methods.ssd import SSD
from sgu.methods.undo import Undo
from sgu.results.rows import plays

METHODS: dict[str, type[Method]] = {
    "finetune": Finetune,
    "sg": SG,
    "gradient_ascent": GradientAscent,
    "neggrad_plus": NegGradPlus,
    "random_label": RandomLabel,
    "l1_sparse": L1Sparse,
    "scrub": Scrub,
    "bad_teacher": BadTeacher,
    "salun": SalUn,
    "influence": Influence,
    "fisher": Fisher,
    "ssd": SSD,
    "reference_distill": ReferenceDistill,
    "amun": AMUN,
    "reference_labels": ReferenceLabels,
    "undo": Undo,
}

GAME = "sg"
OVER = f"{GAME}+"


def known(name: str) -> bool:
    """Return True for the name of a method, or of the game over one."""
    base = name.removeprefix(OVER)
    return base in METHODS and (base != GAME or name == GAME)


def method_class(name: str) -> type[Method]:
    """Return the class of a method by its name, also of `sg+NAME`. Raises ValueError."""
    if not known(name):
        names = f"{', '.join(METHODS)}; or {OVER}NAME, the game over it"
        raise ValueError(f"method = {name!r}: must be one of {names}")
    return METHODS[name.removeprefix(OVER)]


def search_space(name: str) -> Space:
    """Return the settings that a search may vary: the method's, and the game's if it is played."""
    return {**method_class(name).space, **(GAME_SPACE if plays(name) else {})}
