"""Names of methods with other settings: ``pbc_paper`` is the method ``pbc`` with the settings named ``paper``."""

from collections.abc import Iterable

from obdistill.core.errors import UserError


def split(name: str, known: Iterable[str]) -> tuple[str, str]:
    """Split a name into a known method and the name of a variant, empty for the method itself.

    Parameters
    ----------
    name : str
        E.g. ``av_pbc`` or ``av_pbc_paper``.
    known : iterable of str
        Methods; the longest that fits is taken.

    Raises
    ------
    UserError
        If it begins with none of them.
    """
    known = list(known)
    for method in sorted(known, key=len, reverse=True):
        if name == method:
            return method, ""
        if name.startswith(f"{method}_"):
            return method, name.removeprefix(f"{method}_")
    raise UserError(
        f"method: {name!r} is unknown; allowed: {', '.join(known)}, or one of them and a variant, as in pbc_paper"
    )
