"""What a sweep has left, as claims are judged on it."""
