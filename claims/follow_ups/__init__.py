"""Claims of Dai, Deutch, von Oswald, Akyürek, Irie, Shen and their co-authors."""
