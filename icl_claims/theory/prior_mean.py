"""Tasks that have a mean: the least errors of linear attention and of a gradient step, for one input and no noise.

Weights are w ~ N(b, 1), inputs x ~ N(0, 1), targets y = w x. All that a layer of linear attention reads of n
demonstrations is S = mean x_j^2, times a polynomial in w, with E[S] = 1 and E[S^2] = 1 + 2/n.

Source: worked out here, for the statements of Zhang, Wu and Bartlett 2024 and of Xie et al. 2025, abstracts.
"""


def best_rate(demonstrations: int) -> float:
    """The learning rate of the best gradient step, E[S] / E[S^2] = n / (n + 2).

    >>> best_rate(2)
    0.5
    """
    return demonstrations / (demonstrations + 2)


def least_error_of_attention(mean: float, demonstrations: int) -> float:
    """The least expected squared error of linear attention that is asked with (x, 0): (1 + b^2) 2 / (n + 2).

    An answer S g(w) x leaves w^2 - 2 w g + (1 + 2/n) g^2 on average over S. The best g is w n / (n + 2), which a layer
    can read, and leaves w^2 2 / (n + 2); and E[w^2] = 1 + b^2.

    >>> least_error_of_attention(2.0, demonstrations=8)
    1.0
    """
    return (1 + mean**2) * 2 / (demonstrations + 2)


def least_error_of_a_step(demonstrations: int) -> float:
    """The least expected squared error of a gradient step from W0 = b: 2 / (n + 2), whatever b.

    It is `least_error_of_attention` for the tasks w - b, whose mean is 0.

    >>> least_error_of_a_step(demonstrations=8)
    0.2
    """
    return 2 / (demonstrations + 2)
