"""The sources of evidence: mathematics, the printed tables, the authors' runs, and our trials."""
