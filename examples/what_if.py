"""What would follow if the slow level changed just now, or was forbidden to?

python examples/what_if.py [PICTURE] [RUN]
"""

from _trained import ball, clips, picture

from pyrovp.analysis import WhatIf
from pyrovp.draw import strip_png

run = ball()
found = WhatIf(frame=14)(run.model, run.guide, clips(run))
print("\n".join(found.sentences))
strip_png(picture("what_if.png"), found.exhibits["what_if_0"])
