r"""An update of the weights as one CUDA graph.

    step 1, 2       as they are; the second is watched for what makes the host wait for the GPU
    step 3          recorded: no kernel runs, each is noted down with the memory it works on
    step 3, 4, ...  video -> the recorded buffer;   replay;   loss, norm, parts <- a copy

A step of a hierarchy is thousands of small kernels (`benchmarks/README.md` counts them); replayed,
the host launches them all at once. Steps 1 and 2 are real steps, which also make the optimiser's
moments and the libraries' workspaces, so no state has to be put back: weights, moments and
statistics go on in place, in the memory that was recorded.

Noise is that of the eager step. A recorded kernel reads seed and offset of the default generator
from memory that each replay fills from the generator as it is then; seeding it between two steps
is all that the loop does. β and the learning rate are tensors whose values change in place. What
is no tensor on the GPU is recorded as it was: python's or numpy's random numbers, a python number
that `set_step` changes.

Reference:
    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from pyrovp.randomness import undisturbed
from pyrovp.train.update import Outcome, Update

__all__ = ["CapturedUpdate"]


class CapturedUpdate:
    """An update that is recorded once and then replayed; called like the update itself.

    It records the shape of video that comes first; another one, such as a smaller last batch, is
    taken as it is. What cannot be recorded is taken as it is for good, and a sentence says why:
    on a CPU, between several processes, with an optimiser that is not made for it, or where the
    objective reads a number back (Pyro's own bounds look for NaN). Where the optimiser is loaded
    from a checkpoint, its moments lie elsewhere, and the next steps record anew.

    Args:
        update: What is recorded.
        say: Told, in a sentence, if it cannot be.

    Shapes:
        video: [B, T, C, H, W]
    """

    def __init__(self, update: Update, say: Callable[[str], None]) -> None:
        self.update = update
        self._say = say
        self._shape: torch.Size | None = None
        self._steps = 0
        # One for all: gradients of a step on another stream would have to be waited for.
        self._stream: torch.cuda.Stream | None = None
        self._recording: _Recording | None = None
        self._given_up = False
        update.optimizer.register_load_state_dict_post_hook(self._forget)
        obstacle = _obstacle(update)
        if obstacle is not None:
            self._give_up(obstacle)

    @property
    def objective(self) -> nn.Module:
        """Whose weights are updated."""
        return self.update.objective

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """With its moments."""
        return self.update.optimizer

    def __call__(self, video: Tensor) -> Outcome:
        """Takes one step."""
        if self._shape is None:
            self._shape = video.shape
        if self._given_up or video.shape != self._shape:
            return self.update(video)
        if self._recording is None:
            return self._approach(video)
        return self._recording(video)

    def _approach(self, video: Tensor) -> Outcome:
        """One of the steps up to the first replay."""
        self._steps += 1
        if self._stream is None:
            self._stream = torch.cuda.Stream(video.device)
        if self._steps == 1:
            with _on(self._stream):
                return self.update(video)
        if self._steps == 2:
            with _on(self._stream), _watched() as waits:
                outcome = self.update(video)
            if waits:
                self._give_up(f"{waits[0]} makes the host wait for the GPU")
            return outcome
        try:
            self._recording = _Recording(self.update, video, self._stream)
        except RuntimeError as error:
            self._give_up(_first(error))
            return self.update(video)
        return self._recording(video)

    def _give_up(self, reason: str) -> None:
        self._given_up = True
        self._say(f"training steps are not captured as one CUDA graph: {reason}")

    def _forget(self, optimizer: torch.optim.Optimizer) -> None:
        self._recording, self._steps = None, 0


class _Recording:
    """A recorded update.

    Args:
        update: An update that has been taken before, so that nothing is left to be set up.
        video: The first to replay it with.
        stream: The one that the update was taken on.

    Raises:
        RuntimeError: If it cannot be recorded; nothing has been computed then.
    """

    def __init__(self, update: Update, video: Tensor, stream: torch.cuda.Stream) -> None:
        # What a cycle of objects has kept alive would hold its memory beside the graph's.
        gc.collect()
        update.optimizer.zero_grad()
        self._video = video.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(video.device), undisturbed():
            try:
                # Only this thread's calls count: another may be pinning the next batch.
                with torch.cuda.graph(
                    self._graph, stream=stream, capture_error_mode="thread_local"
                ):
                    outcome = update(self._video)
                    self._numbers = torch.stack(
                        [outcome.loss, outcome.norm, *outcome.parts.values()]
                    )
            except BaseException:
                _renew_generator(video.device)
                raise
        self._names = tuple(outcome.parts)

    def __call__(self, video: Tensor) -> Outcome:
        """Takes one step."""
        self._video.copy_(video)
        self._graph.replay()
        # The loop keeps them for many steps; the next replay writes where these were.
        loss, norm, *parts = self._numbers.clone().unbind()
        return Outcome(loss, norm, dict(zip(self._names, parts, strict=True)))


def _obstacle(update: Update) -> str | None:
    """What is known beforehand to stand in the way of recording."""
    devices = {parameter.device for parameter in update.parameters}
    if len(devices) != 1 or next(iter(devices)).type != "cuda":
        return f"the weights lie on {', '.join(sorted(map(str, devices)))}, not on one GPU"
    if update.processes.ranks > 1:
        return "several processes average their gradients"
    if not all(group.get("capturable", False) for group in update.optimizer.param_groups):
        return (
            f"this {type(update.optimizer).__name__} reads numbers on the host; make it with "
            f"capturable=True, and its learning rate a tensor on the GPU"
        )
    return None


@contextmanager
def _on(stream: torch.cuda.Stream) -> Iterator[None]:
    """Work on another stream, in order with what comes before and after."""
    usual = torch.cuda.current_stream(stream.device)
    stream.wait_stream(usual)
    with torch.cuda.stream(stream):
        yield
    usual.wait_stream(stream)


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Collects where the host waits for the GPU: a step with warnings is a step all the same."""
    waits: list[str] = []
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for warning in caught:
        text = str(warning.message)
        if "synchronizing CUDA operation" in text:
            waits.append(f"{'/'.join(Path(warning.filename).parts[-3:])}:{warning.lineno}")
        elif "Synchronization debug mode" not in text:  # which is said to be a prototype
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def _renew_generator(device: torch.device) -> None:
    """Takes the default generator out of a recording that failed.

    It would go on believing that it is being recorded, and refuse to draw.
    """
    torch.cuda.default_generators[device.index].graphsafe_set_state(torch.Generator(device))


def _first(error: BaseException) -> str:
    """The first line of what went wrong first: an error in a recording is followed by others."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]
