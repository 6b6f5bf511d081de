"""Fills missing frames in the middle of a clip with the future that fits to both sides.

python examples/inpaint.py [PICTURE] [RUN]
"""

from _trained import ball, clips, picture

from pyrovp.analysis import Inpaint
from pyrovp.draw import strip_png

run = ball()
found = Inpaint(start=10, stop=14)(run.model, run.guide, clips(run, count=8))
print("\n".join(found.sentences))
strip_png(picture("inpaint.png"), found.exhibits["inpaint_0"])
