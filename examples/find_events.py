"""When does the gate of a DLH open, and did something happen then?

python examples/find_events.py [PICTURE] [RUN]

Nobody told it that the ball's colour changes: the gate opens where the KL of going on with the old
state is larger than that of a new one.
"""

from _trained import ball, clips, picture

from pyrovp.analysis import GateRaster
from pyrovp.draw import raster_png

run = ball()
found = GateRaster()(run.model, run.guide, clips(run, length=60))
print("\n".join(found.sentences))
raster_png(picture("find_events.png"), found.exhibits["gate_raster"])
