"""Where the figures and miniature data that ship with the project lie."""

from pathlib import Path

from icl_claims.errors import DataError


def fixtures_folder() -> Path:
    """The folder `fixtures`, beside the package in a clone and inside it in an installed wheel.

    Raises:
        DataError: the folder is in neither place.
    """
    package = Path(__file__).parent
    for folder in (package / "fixtures", package.parent / "fixtures"):
        if (folder / "tasks").is_dir():
            return folder
    wanted = f"a folder {package / 'fixtures'}"
    raise DataError("The fixtures of the project are missing", expected=wanted, todo="Install the project again.")
