"""Many: what replaces matrices of contexts by contexts, and deletions of single clusters, where contexts are many."""
