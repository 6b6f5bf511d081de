"""Videos to train on and to test with, and the order in which a run reads them."""

from pyrovp.data.batches import Batch, batches, training_indices
from pyrovp.data.digits import Digits, load_digits
from pyrovp.data.errors import DamagedFile, DataError, MissingFiles
from pyrovp.data.handwriting import MNIST, EmbeddedDigits, Handwriting
from pyrovp.data.keyed import GeneratedVideos, Item, KeyedVideos, Split
from pyrovp.data.moving_ball import COLOURS, MovingBall
from pyrovp.data.moving_digits import MovingDigits
from pyrovp.data.moving_mnist import MovingMNIST
from pyrovp.data.stochastic_moving_mnist import StochasticMovingMNIST
from pyrovp.data.stored import StoredVideos

__all__ = [
    "COLOURS",
    "MNIST",
    "Batch",
    "DamagedFile",
    "DataError",
    "Digits",
    "EmbeddedDigits",
    "GeneratedVideos",
    "Handwriting",
    "Item",
    "KeyedVideos",
    "MissingFiles",
    "MovingBall",
    "MovingDigits",
    "MovingMNIST",
    "Split",
    "StochasticMovingMNIST",
    "StoredVideos",
    "batches",
    "load_digits",
    "training_indices",
]
