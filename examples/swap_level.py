"""Lets two clips exchange the states of one level, and decodes both.

python examples/swap_level.py [PICTURE] [RUN]
"""

from _trained import ball, clips, picture

from pyrovp.analysis import Swap
from pyrovp.draw import strip_png

run = ball()
found = Swap(pairs=[(0, 1)])(run.model, run.guide, clips(run, length=12))
print("\n".join(found.sentences))
strip_png(picture("swap_level.png"), found.exhibits["swap_0_1"])
