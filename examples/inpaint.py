"""Fills missing frames in the middle of a clip from both sides.

python examples/inpaint.py [PICTURE] [RUN]
"""

from _trained import clips, picture, trained

from pyrovp.analysis import Inpaint
from pyrovp.draw import strip_png

# Its slow level infers from windows of frames, so it can look back from behind the gap.
run = trained("cwvae")
found = Inpaint(start=10, stop=14)(run.model, run.guide, clips(run))
print("\n".join(found.sentences))
strip_png(picture("inpaint.png"), found.exhibits["inpaint_0"])
