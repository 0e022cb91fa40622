"""The evaluators under the names that `azure.ai.evaluation` gives them: `query` and `response`.

Served only when that package is not installed. The judges are those of `_evaluators`.
"""

from __future__ import annotations

from typing import Any

from genaiops.compat import _evaluators as base


def _with_short_names(scores: dict[str, float]) -> dict[str, float]:
    return scores | {name.removeprefix("gpt_"): value for name, value in scores.items()}


class RelevanceEvaluator(base._JudgeEvaluator):
    """`{"relevance": 1..5, "gpt_relevance": 1..5}`."""

    def __init__(self, model_config: Any, **_: Any) -> None:
        self._judge = base._Judge("relevance", model_config)

    def __call__(self, *, query: str, response: str, context: str = "", **kwargs: Any) -> dict[str, float]:
        return _with_short_names(self._ask(question=query, answer=response, context=context or "(none)"))


class GroundednessEvaluator(base._JudgeEvaluator):
    """`{"groundedness": 1..5, "gpt_groundedness": 1..5}`."""

    def __init__(self, model_config: Any, **_: Any) -> None:
        self._judge = base._Judge("groundedness", model_config)

    def __call__(self, *, response: str, context: str, query: str = "", **kwargs: Any) -> dict[str, float]:
        return _with_short_names(self._ask(answer=response, context=context))


class CoherenceEvaluator(base._JudgeEvaluator):
    """`{"coherence": 1..5, "gpt_coherence": 1..5}`."""

    def __init__(self, model_config: Any, **_: Any) -> None:
        self._judge = base._Judge("coherence", model_config)

    def __call__(self, *, query: str, response: str, **kwargs: Any) -> dict[str, float]:
        return _with_short_names(self._ask(question=query, answer=response))


class FluencyEvaluator(base._JudgeEvaluator):
    """`{"fluency": 1..5, "gpt_fluency": 1..5}`."""

    def __init__(self, model_config: Any, **_: Any) -> None:
        self._judge = base._Judge("fluency", model_config)

    def __call__(self, *, response: str, query: str = "", **kwargs: Any) -> dict[str, float]:
        return _with_short_names(self._ask(question=query or "(not given)", answer=response))


class SimilarityEvaluator(base._JudgeEvaluator):
    """`{"similarity": 1..5, "gpt_similarity": 1..5}`."""

    def __init__(self, model_config: Any, **_: Any) -> None:
        self._judge = base._Judge("similarity", model_config)

    def __call__(self, *, query: str, response: str, ground_truth: str, **kwargs: Any) -> dict[str, float]:
        return _with_short_names(self._ask(question=query, answer=response, ground_truth=ground_truth))


class F1ScoreEvaluator:
    """`{"f1_score": 0..1}`."""

    def __call__(self, *, response: str, ground_truth: str, **kwargs: Any) -> dict[str, float]:
        return base.F1ScoreEvaluator()(answer=response, ground_truth=ground_truth)


class QAEvaluator:
    """All of them at once, side by side."""

    def __init__(self, model_config: Any, **kwargs: Any) -> None:
        judges = (
            GroundednessEvaluator,
            RelevanceEvaluator,
            CoherenceEvaluator,
            FluencyEvaluator,
            SimilarityEvaluator,
        )
        self._evaluators: list[Any] = [*(judge(model_config) for judge in judges), F1ScoreEvaluator()]

    def __call__(
        self, *, query: str, response: str, context: str, ground_truth: str, **kwargs: Any
    ) -> dict[str, float]:
        values = {"query": query, "response": response, "context": context, "ground_truth": ground_truth}
        return base._all_scores(self._evaluators, values, parallel=True)
