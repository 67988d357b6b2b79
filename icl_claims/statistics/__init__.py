"""How sure a number is: intervals and tests, pure functions of columns of numbers."""
