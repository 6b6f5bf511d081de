"""When does the gate of a DLH open, and did something happen then?

python examples/find_events.py [PICTURE] [RUN]

A ball bounces. Its colour changes at the walls and, at one frame in ten, by itself; to find that
out takes a training of 2000 steps.
"""

from _trained import clips, picture, trained

from pyrovp.analysis import GateRaster
from pyrovp.draw import raster_png

run = trained(
    "dlh",
    "moving_ball",
    "data.change_probability=0.1",
    "data.length=30",
    "model={width:0.25,std:0.5,memory:64,context:64,state:10}",
    "model.gate={_target_:pyrovp.MixtureGate,size:64,fresh_static:false}",
    "objective.beta.steps=300",
    "train.steps=2000",
)
found = GateRaster()(run.model, run.guide, clips(run, length=60))
print("\n".join(found.sentences))
raster_png(picture("find_events.png"), found.exhibits["gate_raster"])
