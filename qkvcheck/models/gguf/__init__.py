"""GGUF: models in one quantised file: its header, a converted copy of it, and the one that `qkvcheck fetch` gets."""
