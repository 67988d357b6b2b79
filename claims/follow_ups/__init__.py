"""Claims of other works: of Dai, Deutch, von Oswald, Akyürek, Irie, Shen and their co-authors, and of others."""
