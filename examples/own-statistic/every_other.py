"""A control of one's own: every other sentence of the corpus."""

from qkvcheck.capture import Variant
from qkvcheck.claims import VariantControl, register_control


@register_control
class EveryOther(VariantControl):
    """Half of the contexts: whether they give the same number."""

    name = "every-other"
    says = "every other sentence: whether half of the corpus gives the same"
    label = "half of the sentences"
    column = "half"

    def vary(self, samples):
        """Return the samples of half of the contexts."""
        return samples.under(Variant(), contexts=samples.contexts.subset(range(0, len(samples.contexts), 2)))
