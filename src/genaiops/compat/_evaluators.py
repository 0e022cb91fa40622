"""The evaluators that flows import from `promptflow.evals.evaluators`, with prompts of our own.

Names, parameters and result keys are those that such code expects; the judges' prompts are ours (`judges/*.prompty`),
so their scores are comparable with each other and not with scores that another package gave.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from genaiops.compat._internals import async_run_allowing_running_loop
from genaiops.compat._trace import ThreadPoolExecutorWithContext

_JUDGES = Path(__file__).parent / "judges"
_TIMEOUT_S = 600


class _Judge:
    """One of our prompts, asked for a number from 1 to 5."""

    def __init__(self, name: str, model_config: Any) -> None:
        from genaiops.prompts import AsyncPrompty

        self.name = name
        self._prompty = AsyncPrompty.load(
            source=_JUDGES / f"{name}.prompty", model={"configuration": _configuration(model_config)}
        )

    async def __call__(self, **values: Any) -> dict[str, float]:
        """`{"gpt_NAME": score}`; the score is NaN when the reply holds no number.

        Raises:
            ValueError: A value is empty.
        """
        texts = {key: str(value or "") for key, value in values.items()}
        if not all(text.strip() for text in texts.values()):
            names = ", ".join(repr(name) for name in texts)
            raise ValueError(f"{names} must be non-empty strings.")
        reply = await self._prompty(**texts, timeout=_TIMEOUT_S)
        return {f"gpt_{self.name}": _number_in(reply)}


def _configuration(model_config: Any) -> Any:
    """A configuration object from the dictionary that newer code hands over."""
    if not isinstance(model_config, Mapping):
        return model_config
    given = {key: value for key, value in model_config.items() if value is not None}
    given.setdefault("type", "azure_openai" if "azure_deployment" in given or "azure_endpoint" in given else "openai")
    return given


def _number_in(reply: object) -> float:
    found = re.search(r"\d", str(reply or ""))
    return float(found.group()) if found else math.nan


class _JudgeEvaluator:
    """What the evaluators with a judge share."""

    _judge: _Judge

    def _to_async(self) -> Any:
        """The same evaluator as a coroutine function."""
        return self._judge

    def _ask(self, **values: Any) -> dict[str, float]:
        result: dict[str, float] = async_run_allowing_running_loop(self._judge, **values)
        return result


class RelevanceEvaluator(_JudgeEvaluator):
    """How well an answer serves the question: `{"gpt_relevance": 1..5}`."""

    def __init__(self, model_config: Any) -> None:
        self._judge = _Judge("relevance", model_config)

    def __call__(self, *, question: str, answer: str, context: str, **kwargs: Any) -> dict[str, float]:
        return self._ask(question=question, answer=answer, context=context)


class GroundednessEvaluator(_JudgeEvaluator):
    """Whether the context supports the answer: `{"gpt_groundedness": 1..5}`."""

    def __init__(self, model_config: Any) -> None:
        self._judge = _Judge("groundedness", model_config)

    def __call__(self, *, answer: str, context: str, **kwargs: Any) -> dict[str, float]:
        return self._ask(answer=answer, context=context)


class CoherenceEvaluator(_JudgeEvaluator):
    """How well an answer hangs together: `{"gpt_coherence": 1..5}`."""

    def __init__(self, model_config: Any) -> None:
        self._judge = _Judge("coherence", model_config)

    def __call__(self, *, question: str, answer: str, **kwargs: Any) -> dict[str, float]:
        return self._ask(question=question, answer=answer)


class FluencyEvaluator(_JudgeEvaluator):
    """How well an answer is written: `{"gpt_fluency": 1..5}`."""

    def __init__(self, model_config: Any) -> None:
        self._judge = _Judge("fluency", model_config)

    def __call__(self, *, question: str, answer: str, **kwargs: Any) -> dict[str, float]:
        return self._ask(question=question, answer=answer)


class SimilarityEvaluator(_JudgeEvaluator):
    """How close an answer is to the expected one: `{"gpt_similarity": 1..5}`."""

    def __init__(self, model_config: Any) -> None:
        self._judge = _Judge("similarity", model_config)

    def __call__(self, *, question: str, answer: str, ground_truth: str, **kwargs: Any) -> dict[str, float]:
        return self._ask(question=question, answer=answer, ground_truth=ground_truth)


class F1ScoreEvaluator:
    """Overlap of words between an answer and the expected one: `{"f1_score": 0..1}`.

    >>> F1ScoreEvaluator()(answer="The capital is Tokyo.", ground_truth="Tokyo")
    {'f1_score': 0.5}
    """

    def __call__(self, *, answer: str, ground_truth: str, **kwargs: Any) -> dict[str, float]:
        """The score of one answer.

        Raises:
            ValueError: One of the texts is empty.
        """
        if not all(text and text.strip() and text != "None" for text in (answer, ground_truth)):
            raise ValueError("Both 'answer' and 'ground_truth' must be non-empty strings.")
        return {"f1_score": f1_score(answer, ground_truth)}

    def _to_async(self) -> Any:
        async def evaluate(**values: Any) -> dict[str, float]:
            return self(**values)

        return evaluate


def f1_score(answer: str, ground_truth: str) -> float:
    """Harmonic mean of precision and recall over the words of both texts, as counted multisets.

    Case, punctuation, articles and blanks do not count.

    Source:
        Rajpurkar et al. (2016), SQuAD, section 6.1.
    """
    said, expected = _words(answer), _words(ground_truth)
    common = sum((Counter(said) & Counter(expected)).values())
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def _words(text: str) -> list[str]:
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


class QAEvaluator:
    """All evaluators of question answering at once, side by side."""

    def __init__(self, model_config: Any, parallel: bool = True) -> None:
        self._parallel = parallel
        self._evaluators: list[Any] = [
            GroundednessEvaluator(model_config),
            RelevanceEvaluator(model_config),
            CoherenceEvaluator(model_config),
            FluencyEvaluator(model_config),
            SimilarityEvaluator(model_config),
            F1ScoreEvaluator(),
        ]

    def __call__(
        self, *, question: str, answer: str, context: str, ground_truth: str, **kwargs: Any
    ) -> dict[str, float]:
        values = {"question": question, "answer": answer, "context": context, "ground_truth": ground_truth}
        return _all_scores(self._evaluators, values, parallel=self._parallel)


def _all_scores(evaluators: Sequence[Any], values: Mapping[str, Any], *, parallel: bool) -> dict[str, float]:
    if not parallel:
        return {key: score for evaluator in evaluators for key, score in evaluator(**values).items()}
    with ThreadPoolExecutorWithContext(max_workers=len(evaluators)) as pool:
        futures: list[Future[dict[str, float]]] = [pool.submit(evaluator, **values) for evaluator in evaluators]
        return {key: score for future in futures for key, score in future.result().items()}


class ChatEvaluator:
    """Evaluates the turns of a conversation: the mean over turns, and each turn's scores.

    Args:
        model_config: The judge's model.
        eval_last_turn: Only the last answer counts.
        parallel: The evaluators of a turn run side by side.
    """

    def __init__(self, model_config: Any, eval_last_turn: bool = False, parallel: bool = True) -> None:
        self._eval_last_turn = eval_last_turn
        self._parallel = parallel
        self._always = [CoherenceEvaluator(model_config), FluencyEvaluator(model_config)]
        self._with_context = [GroundednessEvaluator(model_config), RelevanceEvaluator(model_config)]

    def __call__(self, *, conversation: Sequence[Mapping[str, Any]], **kwargs: Any) -> dict[str, Any]:
        """Scores of a conversation: `gpt_…` means and `evaluation_per_turn`.

        Args:
            conversation: Messages with `role` and `content`, user and assistant in turn; an assistant's message may
                carry `context: {"citations": [{"content": …}]}`.

        Raises:
            ValueError: The conversation is empty or roles do not alternate.
        """
        turns = _turns(conversation)
        chosen = turns[-1:] if self._eval_last_turn else turns
        # Judges that need the context are asked only when every turn has one, so that means are over the same turns.
        evaluators = [*self._always, *(self._with_context if all(turn.get("context") for turn in chosen) else ())]
        scores = [_all_scores(evaluators, turn, parallel=self._parallel) for turn in chosen]
        names = list(dict.fromkeys(name for score in scores for name in score))
        means = {name: sum(score[name] for score in scores) / len(scores) for name in names}
        per_turn = {name: {"score": [score[name] for score in scores]} for name in names}
        return {**means, "evaluation_per_turn": per_turn}


def _turns(conversation: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    roles = [message.get("role") for message in conversation]
    if not roles or len(roles) % 2 or roles != ["user", "assistant"] * (len(roles) // 2):
        raise ValueError(f"A conversation alternates between user and assistant; found the roles {roles}.")
    pairs = zip(conversation[::2], conversation[1::2], strict=True)
    return [
        {"question": asked["content"], "answer": said["content"], "context": _context(said)} for asked, said in pairs
    ]


def _context(message: Mapping[str, Any]) -> str:
    citations = (message.get("context") or {}).get("citations") or []
    return "\n".join(str(citation.get("content", "")) for citation in citations)
