"""Names of objectives with other settings: ``pbc_paper`` is the objective ``pbc`` with the settings named ``paper``."""

from collections.abc import Iterable

from obdistill.core.errors import UserError


def split(name: str, known: Iterable[str]) -> tuple[str, str]:
    """Split a name into a known objective and the name of a variant, empty for the objective itself.

    Parameters
    ----------
    name : str
        E.g. ``av_pbc`` or ``av_pbc_paper``.
    known : iterable of str
        Objectives; the longest that fits is taken.

    Raises
    ------
    UserError
        If it begins with none of them.
    """
    known = list(known)
    for objective in sorted(known, key=len, reverse=True):
        if name == objective:
            return objective, ""
        if name.startswith(f"{objective}_"):
            return objective, name.removeprefix(f"{objective}_")
    raise UserError(
        f"objective: {name!r} is unknown; allowed: {', '.join(known)}, or one of them and a variant, as in pbc_paper"
    )
