"""Fills missing frames in the middle of a clip with the future that fits to both sides.

python examples/inpaint.py [PICTURE] [RUN]
"""

from _trained import ball, clips, picture

from pyrovp.analysis import Inpaint
from pyrovp.draw import strip_png

run = ball()
found = Inpaint(start=10, stop=14, candidates=16)(run.model, run.guide, clips(run))
print("\n".join(found.sentences))
strip_png(picture("inpaint.png"), found.exhibits["inpaint_0"])
