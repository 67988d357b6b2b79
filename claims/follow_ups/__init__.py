"""Claims of other works: of Dai, Deutch, von Oswald, Akyürek, Irie, Shen, and of more on what attention learns."""
