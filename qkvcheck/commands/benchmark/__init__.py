"""Benchmark: our kernels and capture, what people would use instead, and the ratios between them."""
