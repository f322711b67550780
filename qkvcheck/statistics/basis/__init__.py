"""Basis: what a number owes to the axes in which a head's queries, keys and values happen to be written.

For every head and any invertible M, q -> q M with k -> k inv(M)' changes no product of a query and a key, so that a
network's function fixes no basis of them (van Nierop 2024, arXiv:2412.14543; "Complete Characterization of Gauge
Symmetries in Transformer Architectures", NeurReps 2025, openreview KrkbYbK0cH, which also has what rotary embedding
leaves of it). A similarity between contexts, or between dimensions, changes under M. `rotations` has how far it moves
under rotations alone, `scores` and `tokens` have similarities that no M changes.
"""
