"""Further: numbers that came after the first statistics; most of them stand beside a verdict and decide nothing."""
