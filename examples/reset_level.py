"""What does each level hold? Blinds one after the other and shows what the frames have lost.

python examples/reset_level.py [PICTURE] [RUN]
"""

from _trained import ball, clips, picture

from pyrovp.analysis import LevelReset
from pyrovp.draw import strip_png

run = ball()
found = LevelReset()(run.model, run.guide, clips(run))
print("\n".join(found.sentences))
strip_png(picture("reset_level.png"), found.exhibits["reconstruction_0"])
