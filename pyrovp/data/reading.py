"""Reading originals in other processes, in order and never far ahead.

With W processes, process w reads the originals w, w + W, w + 2 W, ... and sends their videos one
by one through its own pipe. A pipe is read only when its original is next, and a full pipe lets
its writer wait. So results come in the order of the originals, and there is one video a process
in memory, however many videos there are.
"""

import multiprocessing
import signal
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection

from pyrovp.data.errors import DamagedFile, DataError
from pyrovp.data.sources.base import Footage, Original, Source

__all__ = ["read_all"]

_Answer = Footage | BaseException | None


def read_all(
    source: Source, originals: Sequence[Original], resolution: int, workers: int = 0
) -> Generator[tuple[Original, Iterator[Footage]], None, None]:
    """Each original with its videos, which are to be taken before the next original.

    Args:
        source: Reads them; with workers it is pickled.
        originals: What to read, in this order.
        resolution: Height and width of the frames in px.
        workers: Processes that read; 0 reads in this one.

    Raises:
        DamagedFile: From the videos' iterator, for an original that cannot be read.
        DataError: If a process ends before its time.
        RuntimeError: From the iterator, if reading fails in another way; names the original.
    """
    workers = min(workers, len(originals))
    if workers == 0:
        for original in originals:
            yield original, _read(source, original, resolution)
        return
    with ExitStack() as stack:
        shares = [originals[worker::workers] for worker in range(workers)]
        pipes = [stack.enter_context(_process(source, share, resolution)) for share in shares]
        for n, original in enumerate(originals):
            videos = _received(pipes[n % workers], original)
            yield original, videos
            # What was not taken is still in the pipe, before the next original.
            with suppress(DamagedFile):
                for _ in videos:
                    pass


def _read(source: Source, original: Original, resolution: int) -> Iterator[Footage]:
    try:
        yield from source.read(original, resolution)
    except OSError as error:
        raise DamagedFile(
            original.path,
            f"{error.strerror or error}",
            "a file that can be read",
            "get it again, or see to its permissions",
        ) from error
    except DataError:
        raise
    except Exception as error:  # a mistake in the source, which must not pass for a user's
        raise RuntimeError(f"{original.name} could not be read: {error!r}") from error


@contextmanager
def _process(source: Source, share: Sequence[Original], resolution: int) -> Iterator[Connection]:
    """A process that reads its share, and the end of its pipe."""
    # Not a fork of this process: it would copy locks as they happen to be, and keep pipes open.
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_send_all, args=(sender, source, share, resolution), daemon=True
    )
    process.start()
    sender.close()  # now the pipe ends when the process does
    try:
        with receiver:
            yield receiver
    finally:
        process.terminate()
        process.join()


def _send_all(
    pipe: Connection, source: Source, share: Sequence[Original], resolution: int
) -> None:
    """What a process does: sends videos, and None or an error behind those of each original."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and ends this process
    with suppress(BrokenPipeError):  # the parent is gone
        for original in share:
            end: _Answer = None
            try:
                for footage in _read(source, original, resolution):
                    pipe.send(footage)
            except BrokenPipeError:
                raise
            except DataError as error:
                end = error
            except Exception as error:
                end = RuntimeError(f"{error}\n{traceback.format_exc()}")
            pipe.send(end)


def _received(pipe: Connection, original: Original) -> Iterator[Footage]:
    while True:
        try:
            answer: _Answer = pipe.recv()
        except (EOFError, OSError):  # the latter where it ended in the middle of a video
            raise DataError(
                f"the process that was reading {original.name} ended before it was done; perhaps "
                "memory ran out: use fewer workers"
            ) from None
        if answer is None:
            return
        if isinstance(answer, BaseException):
            raise answer
        yield answer
