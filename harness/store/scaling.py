"""The Universal Scalability Law: how throughput grows with the number of instances, and what keeps it from growing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_ENOUGH_FOR_ALL = 3
"""Different numbers of instances from which all three coefficients can be told."""


@dataclass(frozen=True)
class ScalingLaw:
    """X(N) = λN / (1 + σ(N − 1) + κN(N − 1)).

    N. J. Gunther, "Guerrilla Capacity Planning", Springer 2007, chapters 4 to 6; with κ = 0 it is Amdahl's law.
    """

    rate: float
    """λ: what one instance does a second."""
    contention: float
    """σ: the share of the work that the instances wait for each other with, or for what they share."""
    coherency: float
    """κ: what it costs to agree, for each pair of instances."""

    def at(self, instances: float) -> float:
        """Throughput of so many instances."""
        others = instances - 1.0
        return self.rate * instances / (1.0 + self.contention * others + self.coherency * instances * others)

    @property
    def best(self) -> float | None:
        """The number of instances beyond which more of them do less; None if there is none."""
        if self.coherency <= 0 or self.contention >= 1:
            return None
        return math.sqrt((1.0 - self.contention) / self.coherency)


def fit(points: Sequence[tuple[float, float]]) -> ScalingLaw | None:
    """The law that fits throughputs (instances, successes a second) best, by least squares with no coefficient below 0.

    Two numbers of instances tell λ and σ only, and κ is taken as 0. None: there are fewer, or nothing succeeded.
    """
    # Takes a second to import, which no other command should.
    from scipy.optimize import least_squares

    different = {instances for instances, _ in points}
    if len(different) < 2 or not all(rate > 0 for _, rate in points):
        return None
    table: FloatArray = np.array(points, dtype=float)
    instances, rates = table[:, 0], table[:, 1]
    single = float(np.mean(rates / instances))
    start = [1.0, 0.05, 0.001][: 3 if len(different) >= _ENOUGH_FOR_ALL else 2]

    def law_of(coefficients: FloatArray) -> ScalingLaw:
        share, contention, *rest = coefficients.tolist()
        return ScalingLaw(share * single, contention, *(rest or [0.0]))

    def residuals(coefficients: FloatArray, /) -> FloatArray:
        # In shares of one instance's rate, so that the solver's tolerances suit a rate of 5 as well as one of 5,000.
        law = law_of(coefficients)
        off: FloatArray = (np.array([law.at(n) for n in instances.tolist()]) - rates) / single
        return off

    return law_of(least_squares(residuals, start, bounds=(0.0, np.inf)).x)
