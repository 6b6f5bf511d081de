"""The tensors of a module, each once, and whether others fit into their place.

Model and guide share modules, so a tensor has several names in a `state_dict`; here it has the
first of them.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from pyrovp.errors import RunError

__all__ = ["check_fit", "stored_once"]

_LISTED = 8


def stored_once(module: nn.Module) -> dict[str, Tensor]:
    """Each tensor of a module's state under the first of its names.

    Raises:
        RunError: If a part of the state is no tensor (`get_extra_state`).
    """
    first: dict[int, str] = {}
    found: dict[str, Tensor] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if not isinstance(value, Tensor):
            raise RunError(
                f"{name} is a {type(value).__name__}, but a file of weights holds tensors only; "
                "keep it in a buffer"
            )
        if first.setdefault(id(value), name) == name:
            found[name] = value
    return found


def check_fit(
    given: Mapping[str, Tensor], needed: Mapping[str, Tensor], where: str, hint: str
) -> None:
    """Refuses tensors that are not those that are needed, by name, shape and type.

    Args:
        given, needed: By name.
        where: Where they are from; what the text begins with.
        hint: What to do.

    Raises:
        RunError: With a list of what differs.
    """
    names = dict.fromkeys([*needed, *given])
    differ = [
        f"{name}: {_form(given.get(name))} there, {_form(needed.get(name))} here"
        for name in names
        if _form(given.get(name)) != _form(needed.get(name))
    ]
    if differ:
        more = [f"and {len(differ) - _LISTED} more"] * (len(differ) > _LISTED)
        listed = "\n  ".join([*differ[:_LISTED], *more])
        raise RunError(
            f"{where}: {len(differ)} of {len(names)} weights do not fit; {hint}\n  {listed}"
        )


def _form(tensor: Tensor | None) -> str:
    if tensor is None:
        return "none"
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
