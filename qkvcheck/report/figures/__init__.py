"""Figures: the pictures of a run, from what its verdicts carry; `registry` holds them, `registered` draws them."""
