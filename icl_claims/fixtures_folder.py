"""Where the figures, the miniature data and the claims that ship with the project lie."""

from pathlib import Path

from icl_claims.errors import DataError

CLAIMS = "claims"
"""The folder of the claims as a clone has it, and as their tests are named wherever they lie."""
_PACKAGE = Path(__file__).parent


def fixtures_folder() -> Path:
    """The folder `fixtures`, beside the package in a clone and inside it in an installed wheel.

    Raises:
        DataError: the folder is in neither place.
    """
    for folder in (_PACKAGE / "fixtures", _PACKAGE.parent / "fixtures"):
        if (folder / "tasks").is_dir():
            return folder
    wanted = f"a folder {_PACKAGE / 'fixtures'}"
    raise DataError("The fixtures of the project are missing", expected=wanted, todo="Install the project again.")


def shipped_claims() -> Path:
    """The folder of the project's claims: `claims` beside the package in a clone, `papers` inside it in a wheel."""
    inside = _PACKAGE / "papers"
    return inside if inside.is_dir() else _PACKAGE.parent / CLAIMS


def claims_folder() -> Path:
    """The folder of claims of who names none: `claims` where one stands, else the project's own."""
    return here if (here := Path(CLAIMS)).is_dir() else shipped_claims()
