"""What makes a decoder: an emission calls it once the sizes of its contexts are known."""

import inspect

from torch import nn

__all__ = ["check_maker"]


def check_maker(decoder: object, example: str, *inputs: int) -> None:
    """Refuses what makes no decoder of these arguments, such as a decoder that is already built.

    Args:
        decoder: What was given.
        example: What would do, for the message.
        inputs: Arguments as those that it will be called with.

    Raises:
        ValueError: For that.
    """
    if isinstance(decoder, nn.Module):
        why = f"a {type(decoder).__name__} that is already built"
    elif not callable(decoder):
        why = repr(decoder)
    else:
        try:
            inspect.signature(decoder).bind(*inputs)
        except ValueError:  # some callables have no signature; they are called all the same
            return
        except TypeError as error:
            why = f"{getattr(decoder, '__name__', decoder)}: {error}"
        else:
            return
    raise ValueError(f"an emission's decoder is what makes one: {example}; got {why}")
