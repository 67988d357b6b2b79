"""One trial is one model, one task and one set of demonstrations: all methods learn from them and answer the same."""
