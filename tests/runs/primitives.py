"""Small hierarchies in YAML in which every primitive of the library is named once at least."""

__all__ = ["COMPOSED", "GUIDES", "OBJECTIVES", "SPARE"]

COMPOSED = {
    "gates over clocks": """
_target_: pyrovp.LatentDynamics
hierarchy:
  _target_: pyrovp.Hierarchy
  levels:
    - _target_: pyrovp.Level
      memory: {_target_: pyrovp.GRU, size: 4, start: {_target_: pyrovp.Learned}}
      state: {_target_: pyrovp.Gaussian, size: 2, hidden: [4]}
    - _target_: pyrovp.Level
      clock: {_target_: pyrovp.Every, period: 2}
      memory: {_target_: pyrovp.LSTM, size: 4, start: {_target_: pyrovp.Zeros}}
      state: {_target_: pyrovp.Gaussian, size: 2, hidden: [4]}
      gate: {_target_: pyrovp.MixtureGate, size: 3, rule: {_target_: pyrovp.KLComparison}}
    - _target_: pyrovp.Level
      clock: {_target_: pyrovp.Every, period: 2}
      memory:
        _target_: pyrovp.GRU
        size: 4
        activation: {_target_: torch.tanh, _partial_: true}
      state:
        _target_: pyrovp.Gaussian
        size: 2
        hidden: []
        std: {_target_: pyrovp.heads.root_softplus, _partial_: true}
      gate: {_target_: pyrovp.Forced, schedule: [true, true, false, true, true, true]}
  wiring: {_target_: pyrovp.Parent}
  encoder: {_target_: pyrovp.DCGANEncoder, channels: 1, resolution: 16, width: 0.05}
  emission:
    _target_: pyrovp.GaussianFrames
    std: {_target_: pyrovp.LearnedStd, initial: 0.3}
    decoder:
      _target_: pyrovp.DCGANDecoder
      _partial_: true
      channels: 1
      resolution: 16
      width: 0.05
      output: {_target_: pyrovp.nets.UnitTanh}
""",
    "a context handed down": """
_target_: pyrovp.LatentDynamics
hierarchy:
  _target_: pyrovp.Hierarchy
  levels:
    - _target_: pyrovp.Level
      memory: {_target_: pyrovp.GRU, size: 4}
      state: {_target_: pyrovp.Gaussian, size: 2, hidden: [4]}
    - _target_: pyrovp.Level
      memory: {_target_: pyrovp.GRU, size: 4}
      state: {_target_: pyrovp.Gaussian, size: 2, hidden: [4]}
      gate: {_target_: pyrovp.MixtureGate, size: 3, rule: {_target_: pyrovp.VaDE}}
  wiring: {_target_: pyrovp.TopDown, width: 4}
  encoder:
    _target_: pyrovp.nets.StridedEncoder
    channels: 1
    resolution: 16
    features: 4
    input: {_target_: pyrovp.nets.SignedPixels}
  emission:
    _target_: pyrovp.DecodedFrames
    likelihood: {_target_: pyrovp.BernoulliLikelihood}
    decoder: {_target_: pyrovp.nets.StridedDecoder, _partial_: true, channels: 1, resolution: 16}
""",
    "maps": """
_target_: pyrovp.LatentDynamics
hierarchy:
  _target_: pyrovp.Hierarchy
  given: 2
  levels:
    - _target_: pyrovp.Level
      reads: {_target_: pyrovp.PastFrame}
      memory:
        _target_: pyrovp.NormedConvLSTM
        size: 3
        resolution: 4
        inputs: 2
        start: {_target_: pyrovp.FromContext}
      state: {_target_: pyrovp.GaussianMap, size: 2, resolution: 4}
    - _target_: pyrovp.Level
      reads: {_target_: pyrovp.PastFrame}
      memory: {_target_: pyrovp.ConvLSTM, size: 3, resolution: 1, kernel: 1}
      state: {_target_: pyrovp.GaussianMap, size: 2, resolution: 1}
  wiring: {_target_: pyrovp.Dense}
  encoder: {_target_: pyrovp.ResidualEncoder, channels: 1, resolution: 16, width: 2}
  emission:
    _target_: pyrovp.UpwardFrames
    channels: 1
    resolution: 16
    width: 2
    likelihood: {_target_: pyrovp.LaplaceLikelihood, scale: 0.5}
""",
    "skips of a VGG": """
_target_: pyrovp.LatentDynamics
hierarchy:
  _target_: pyrovp.Hierarchy
  given: 1
  levels:
    - _target_: pyrovp.Level
      reads: {_target_: pyrovp.PastFrame, resolution: 1}
      memory: {_target_: pyrovp.LSTM, size: 4, inputs: 4}
      state: {_target_: pyrovp.Gaussian, size: 2, hidden: []}
  wiring: {_target_: pyrovp.Dense}
  encoder:
    _target_: pyrovp.nets.VGGEncoder
    channels: 1
    resolution: 16
    features: 4
    width: 0.02
  emission:
    _target_: pyrovp.SkipFrames
    context: 2
    likelihood: {_target_: pyrovp.GaussianLikelihood, std: 0.5}
    memory: {_target_: pyrovp.LSTM, size: 4, inputs: 4}
    decoder:
      _target_: pyrovp.nets.VGGDecoder
      _partial_: true
      channels: 1
      resolution: 16
      features: 4
      width: 0.02
""",
    "segments": """
_target_: pyrovp.models.vta
belief: 4
state: 2
features: 4
given: 1
tail: 1
channels: 1
resolution: 16
segments: {_target_: pyrovp.gates.SegmentPrior, number: 2, length: 3}
temperature: {_target_: pyrovp.Exponential, start: 1.0, rate: 0.999, floor: 0.1, every: 100}
""",
}
"""What a model is: the node `model` of a configuration, for frames [1, 16, 16]."""
COMPOSED["skips of a DCGAN"] = COMPOSED["skips of a VGG"].replace("VGG", "SkipDCGAN")

_FILTERING = "_target_: pyrovp.Filtering\nlift: [4]\n"
_OWN = "{_target_: pyrovp.OwnHead, hidden: [4]}"
_SHARED = "{_target_: pyrovp.SharedTrunk}"
GUIDES = dict.fromkeys(COMPOSED, _FILTERING) | {
    "gates over clocks": f"{_FILTERING}posterior: [{_SHARED}, {_SHARED}, {_OWN}]",
    "a context handed down": f"{_FILTERING}posterior: [{_OWN}, {_OWN}]",
    "maps": f"{_FILTERING}posterior: {{_target_: pyrovp.Twin}}",
    "segments": "_target_: pyrovp.guides.vta",
}
"""The node `guide` of each."""

_OBJECTIVE = "_target_: pyrovp.Objective\nbeta: {_target_: pyrovp.Linear, start: 0.1, steps: 9}\n"
OBJECTIVES = dict.fromkeys(COMPOSED, _OBJECTIVE + "elbo: {_target_: pyrovp.HierarchyELBO}") | {
    "segments": _OBJECTIVE + "elbo: {_target_: pyro.infer.Trace_ELBO}",
}
"""The node `objective` of each."""

SPARE = {
    "pyrovp.StateSpace": "a base class",
    "pyrovp.MLP": "made by what contains it",
    "pyrovp.nets.Joint": "made by what contains it",
    "pyrovp.nets.SkipDecoder": "a base class",
    "pyrovp.nets.StepBatchNorm2d": "made by the networks of SVG",
    "pyrovp.gates.Boundary": "made by VTA, from its own arguments",
    "pyrovp.gates.BoundaryCell": "made by its gate",
    "pyrovp.cells.ConvLSTMCell": "made by its memory",
    "pyrovp.cells.GRUCell": "made by its memory",
    "pyrovp.cells.LSTMCell": "made by its memory",
}
"""Public classes that a configuration does not name, and why."""
