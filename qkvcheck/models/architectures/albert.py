"""ALBERT: transformers, models/albert/modeling_albert.py: AlbertAttention.query, key, value; layers share modules."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, Loader, Position, Site, register_architecture


class Albert(Architecture):
    """ALBERT, which runs a module once for each layer of its group."""

    def layers_of(self, model: Any) -> Any:
        """Return the list of layers of a loaded model; a module stands in it as often as it runs."""
        config, groups = model.config, super().layers_of(model)
        numbers = [
            int(n / (config.num_hidden_layers / config.num_hidden_groups)) for n in range(config.num_hidden_layers)
        ]
        return [layer for number in numbers for layer in groups[number].albert_layers]

    def site(self, model: Any, layer: int) -> Site:
        """Return where the queries, keys and values of a layer (zero-based) are made."""
        layers = self.layers_of(model)
        before = sum(one is layers[layer] for one in layers[:layer])
        return super().site(model, layer)._replace(call=before)


register_architecture(
    Albert(
        family="albert",
        layers="encoder.albert_layer_groups",
        attention="attention",
        names=("query", "key", "value"),
        output="dense",
        norm=None,
        position=Position.LEARNED,
        causal=False,
        loader=Loader.MASKED,
        fingerprint_fields=(*FIELDS, "embedding_size", "num_hidden_groups", "inner_group_num"),
        prefix="albert.",
    )
)
