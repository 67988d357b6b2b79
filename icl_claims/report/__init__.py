"""A run for people and for programs: the page, the exports, the saved runs, and what changed between two of them."""

from typing import Any

Record = dict[str, Any]
"""What a run says of one claim on one source, as plain data; `claims.schema.json` says what is in it."""
