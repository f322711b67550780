"""Other token: the same frames with another pronoun. It tells whether it is this token, or any repeated one."""

from __future__ import annotations

from dataclasses import replace

from qkvcheck.capture import Samples, Variant
from qkvcheck.claims.controls.registry import OTHER_TOKEN, PRONOUNS, VariantControl, register_control
from qkvcheck.contexts import ContextSet, is_word
from qkvcheck.errors import ModelError, NotCapturedError


@register_control
class OtherToken(VariantControl):
    """The first of three pronouns that is one token and not the target."""

    name = OTHER_TOKEN
    says = "the same frames with another pronoun: whether it is this token or any repeated one"
    order = 2
    label = "another pronoun"

    def vary(self, samples: Samples) -> Samples:
        """Return the samples with another pronoun in the target's place."""
        contexts, encoder = samples.contexts, samples.hooked.encoder
        whole = not samples.hooked.architecture.causal
        for word in PRONOUNS:
            try:
                ids = encoder.encode(word)
            except ModelError:
                continue
            if len(ids) == 1 and (ids[0],) != contexts.target_ids and is_word(encoder, ids[0], word):
                break
        else:
            raise NotCapturedError("no other pronoun of one token")
        number = ids[0]

        def change(given: ContextSet) -> ContextSet:
            return replace(given, contexts=tuple(c.continued(number, word=word, whole=whole) for c in given.contexts))

        named = replace(change(contexts), target=word, target_id=number, earlier=())
        return samples.under(Variant(change), contexts=named)
