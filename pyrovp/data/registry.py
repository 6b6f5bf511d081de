"""The data sets made of files, by name.

A new one joins by a file in `pyrovp.data.sources` and a line here.
"""

from pyrovp.data.checks import one_of
from pyrovp.data.errors import DataError
from pyrovp.data.sources.bair import BAIR
from pyrovp.data.sources.base import Source
from pyrovp.data.sources.cityscapes import Cityscapes
from pyrovp.data.sources.gqn_mazes import GQNMazes
from pyrovp.data.sources.kth import KTH
from pyrovp.data.sources.minerl_navigate import MineRLNavigate
from pyrovp.data.sources.moving_mnist_test import MovingMNISTTest
from pyrovp.data.sources.video_folder import VideoFolder

__all__ = ["SOURCES", "find_source"]

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        MovingMNISTTest(),
        KTH(),
        BAIR(),
        GQNMazes(),
        MineRLNavigate(),
        Cityscapes(),
        VideoFolder(),
    )
}
"""Every data set made of files."""


def find_source(name: str) -> Source:
    """The data set of that name.

    Raises:
        DataError: If there is none; says which is nearest.

    Example:
        >>> find_source("kth").title
        'KTH actions (Schuldt, Laptev, Caputo, 2004)'
    """
    try:
        return SOURCES[one_of("the name of a data set", name, list(SOURCES))]
    except ValueError as error:
        raise DataError(str(error)) from None
