"""Basis-free: similarities that no change of basis within a head moves, in the metric of scores and of other tokens."""

from __future__ import annotations

from qkvcheck.claims.claim import Claim, Kind
from qkvcheck.claims.companions.registry import Around, Companion, WideCompanion, register_companion
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import Verdict, number_text
from qkvcheck.errors import NotCapturedError, QkvcheckError
from qkvcheck.statistics import SCORED, Measurement, TokenMetric, drawn_rows, score_values, token_metric

_OVER_ROWS = frozenset(
    {"variance", "mean_square", "mean_absolute", "sign_balance", "collapse", "offset_share", "row_mean", "row_cosine"}
    | {"row_variance"}
)


@register_companion
class ScoreMetric(Companion):
    """Queries are what keys see of them, and keys what queries do."""

    name = "score-metric"
    says = "the same of queries as all contexts' keys see them, and of keys as all contexts' queries do: in any basis"
    order = 21
    statistics = _OVER_ROWS

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return the claim's own statistic of scores; None of values, and where heads are not known."""
        if verdict.plug_in is None or not set(own.comparison.group) <= {"Q", "K"}:
            return None
        try:
            found = score_values(own.statistic, own.rows, own.together)[own.comparison]
        except NotCapturedError:
            return None
        n, drawn, here = own.rows.n_distinct, drawn_rows(own.rows.n_distinct, SCORED), own.plug_in
        if len(drawn) < n:  # the number of the same contexts: fewer of them have another one
            here = own.statistic.values([a[drawn] for a in own.rows.arrays], own.rows, [own.comparison])[0]
        turns_over = claim.kind is Kind.INTERVAL and claim.meets(found) != claim.meets(here)
        text = f"of scores q.k, which no basis enters, it is {number_text(found)}, here {number_text(here)}"
        text += f", both of {len(drawn)} of the {n:,} contexts, drawn" if len(drawn) < n else ""
        text += ": on the other side of the threshold" if turns_over else ""
        return Beside(self.name, text, found, warns=turns_over)


class _OfTokens(WideCompanion):
    """A number in the metric of other tokens."""

    statistics = frozenset({"row_mean", "row_cosine", "stability"})

    def metric(self, own: Measurement, around: Around) -> TokenMetric | str | None:
        """Return what the metric of other tokens gives, why there is none, or None where no tokens can be asked."""
        rows, name = own.rows, own.comparison.group
        if len(rows.arrays) != 1 or not rows.heads:
            return None
        try:
            grid = rows if rows.arrays[0].ndim == 3 else None if around.tokens is None else around.tokens().rows
            if grid is None:
                return None
            target = rows.arrays[0] if grid is not rows else grid.arrays[0][:, 0]
            others = grid.arrays[0][:, 1:, grid.projections[name]]
            return rows.keep(
                ("token metric", name, grid is rows),
                lambda: token_metric(
                    target[:, rows.projections[name]],
                    others.reshape(-1, others.shape[-1]),
                    heads=rows.heads[name],
                ),
            )
        except QkvcheckError as error:
            return str(error)


@register_companion
class TokenCosine(_OfTokens):
    """The mean cosine where other tokens spread alike in all directions."""

    name = "token-metric"
    says = "the mean cosine between contexts in the metric of other tokens (Mahalanobis): the same in any basis"
    order = 22

    def look_around(self, claim: Claim, own: Measurement, verdict: Verdict, around: Around) -> Beside | None:
        """Return the mean cosine over pairs of contexts."""
        del claim, verdict
        found = self.metric(own, around)
        if found is None or isinstance(found, str):
            return None if found is None else Beside(self.name, f"no metric of other tokens: {found}")
        text = f"in the metric of {found.tokens} other tokens the mean cosine is {number_text(found.cosine)}"
        return Beside(self.name, text, found.cosine)


@register_companion
class TokenDistance(_OfTokens):
    """How far apart contexts are, against how far apart other tokens are."""

    name = "token-distance"
    says = "the mean squared distance of two contexts over that of two other tokens, in their metric: in any basis"
    order = 23

    def look_around(self, claim: Claim, own: Measurement, verdict: Verdict, around: Around) -> Beside | None:
        """Return the mean squared distance over pairs of contexts."""
        del claim, verdict
        found = self.metric(own, around)
        if found is None or isinstance(found, str):
            return None
        text = f"two contexts are {number_text(found.distance)} times as far apart (squared) as two other tokens"
        return Beside(self.name, text, found.distance)
