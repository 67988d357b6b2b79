"""How fast the suite is, against the procedure of the papers' authors, measured in one process by turns."""
