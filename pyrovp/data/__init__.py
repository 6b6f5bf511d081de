"""Videos to train on and to test with, and the order in which a run reads them."""

from pyrovp.data.batches import Batch, batches, training_indices
from pyrovp.data.digits import Digits, load_digits
from pyrovp.data.keyed import GeneratedVideos, Item, KeyedVideos, Split
from pyrovp.data.moving_ball import COLOURS, MovingBall
from pyrovp.data.moving_digits import MovingDigits

__all__ = [
    "COLOURS",
    "Batch",
    "Digits",
    "GeneratedVideos",
    "Item",
    "KeyedVideos",
    "MovingBall",
    "MovingDigits",
    "Split",
    "batches",
    "load_digits",
    "training_indices",
]
