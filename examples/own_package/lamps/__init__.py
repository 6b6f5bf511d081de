"""Parts of one's own for pyrovp: a gate's rule, videos, a metric."""

from lamps.brightness import Brightness
from lamps.stubborn import Stubborn
from lamps.videos import Lamps

__all__ = ["Brightness", "Lamps", "Stubborn"]
