"""The types of the arrays that rooms hand to each other."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Codes", "Floats", "Ints", "Mask"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Mask = NDArray[np.bool_]
