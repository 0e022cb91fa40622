"""The evaluators that flows import: ours, with prompts of our own."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.compat import _evaluators_azure as azure
from genaiops.compat._evaluate import evaluate
from genaiops.compat._evaluators import (
    ChatEvaluator,
    CoherenceEvaluator,
    F1ScoreEvaluator,
    FluencyEvaluator,
    GroundednessEvaluator,
    QAEvaluator,
    RelevanceEvaluator,
    SimilarityEvaluator,
    f1_score,
)
from genaiops.connections import ConnectionStore, Models
from genaiops.errors import DataError
from genaiops.prompts import OpenAIModelConfiguration, PromptServices, set_default_services
from genaiops.testing._model_server import ModelServer


@pytest.fixture(autouse=True)
def _services() -> Iterator[None]:
    models = Models()
    set_default_services(PromptServices(models=models, connections=ConnectionStore.of({}), environ={}))
    yield
    set_default_services(None)
    models.close()


@pytest.fixture
def judge(model_server: ModelServer) -> OpenAIModelConfiguration:
    """A judge that always says 4, and keeps what it was asked."""
    object.__setattr__(model_server.options, "reply", "4")
    object.__setattr__(model_server.options, "record", True)
    return OpenAIModelConfiguration(model="judge", base_url=f"{model_server.url}/v1", api_key="k")


QA = {"question": "Capital?", "answer": "Paris.", "context": "Paris is the capital.", "ground_truth": "Paris"}


@pytest.mark.parametrize(
    ("evaluator", "inputs", "key"),
    [
        (RelevanceEvaluator, ("question", "answer", "context"), "gpt_relevance"),
        (GroundednessEvaluator, ("answer", "context"), "gpt_groundedness"),
        (CoherenceEvaluator, ("question", "answer"), "gpt_coherence"),
        (FluencyEvaluator, ("question", "answer"), "gpt_fluency"),
        (SimilarityEvaluator, ("question", "answer", "ground_truth"), "gpt_similarity"),
    ],
)
def test_a_judge_sees_the_inputs_and_its_number_is_the_score(
    judge: OpenAIModelConfiguration, model_server: ModelServer, evaluator: Any, inputs: tuple[str, ...], key: str
) -> None:
    result = evaluator(judge)(**{name: QA[name] for name in inputs})

    assert result == {key: 4.0}
    asked = json.dumps(model_server.requests[-1]["body"]["messages"])
    assert all(QA[name] in asked for name in inputs)


def test_a_reply_without_a_number_is_no_score(judge: OpenAIModelConfiguration, model_server: ModelServer) -> None:
    object.__setattr__(model_server.options, "reply", "I cannot say")

    assert math.isnan(CoherenceEvaluator(judge)(question="q", answer="a")["gpt_coherence"])


def test_an_empty_value_is_refused_before_a_model_is_asked(
    judge: OpenAIModelConfiguration, model_server: ModelServer
) -> None:
    with pytest.raises(ValueError, match="'question', 'answer' must be non-empty"):
        CoherenceEvaluator(judge)(question="q", answer=" ")
    assert model_server.requests == []


def test_all_evaluators_of_an_answer_at_once(judge: OpenAIModelConfiguration) -> None:
    result = QAEvaluator(judge)(**QA)

    assert list(result) == [
        "gpt_groundedness",
        "gpt_relevance",
        "gpt_coherence",
        "gpt_fluency",
        "gpt_similarity",
        "f1_score",
    ]
    assert result["f1_score"] == 1.0


def test_a_conversation_is_scored_turn_by_turn(judge: OpenAIModelConfiguration) -> None:
    conversation = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello", "context": {"citations": [{"content": "greeting"}]}},
    ] * 2

    result = ChatEvaluator(judge)(conversation=conversation)

    assert result["gpt_coherence"] == 4.0
    assert result["evaluation_per_turn"]["gpt_relevance"]["score"] == [4.0, 4.0]
    with pytest.raises(ValueError, match="alternates"):
        ChatEvaluator(judge)(conversation=conversation[:1])


def test_an_evaluator_can_be_awaited(judge: OpenAIModelConfiguration) -> None:
    async def ask() -> Any:
        return await FluencyEvaluator(judge)._to_async()(question="q", answer="a")

    assert asyncio.run(ask()) == {"gpt_fluency": 4.0}


# By hand: words without case, punctuation and articles; p and r over the counted common words; 2pr/(p+r).
@pytest.mark.parametrize(
    ("answer", "truth", "score"),
    [
        ("Paris", "paris!", 1.0),
        ("The capital is Tokyo.", "Tokyo", 0.5),
        ("a b b c", "b b d", 2 / 3),
        ("yes", "no", 0.0),
    ],
)
def test_word_overlap_is_the_formula(answer: str, truth: str, score: float) -> None:
    # "a" is an article: [b, b, c] against [b, b, d] has 2 of 3 words in common both ways.
    assert F1ScoreEvaluator()(answer=answer, ground_truth=truth) == {"f1_score": pytest.approx(score)}


@given(first=st.text(), second=st.text())
def test_word_overlap_is_symmetric_and_a_share(first: str, second: str) -> None:
    score = f1_score(first, second)

    assert 0.0 <= score <= 1.0
    assert score == pytest.approx(f1_score(second, first))


def test_newer_names_and_mappings_work_too(judge: OpenAIModelConfiguration, model_server: ModelServer) -> None:
    config = {"azure_endpoint": model_server.url, "azure_deployment": "d", "api_key": "k", "api_version": "2024-02-01"}

    assert azure.RelevanceEvaluator(config)(query="q", response="r") == {"relevance": 4.0, "gpt_relevance": 4.0}
    assert azure.F1ScoreEvaluator()(response="Paris", ground_truth="Paris") == {"f1_score": 1.0}


def write_rows(path: Path) -> Path:
    rows = [{"question": "a?", "truth": "A"}, {"question": "b?", "truth": "wrong"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def answer(question: str) -> dict[str, str]:
    return {"answer": question.upper().rstrip("?")}


def test_a_dataset_goes_through_target_and_evaluators(tmp_path: Path) -> None:
    def exact(answer: str, ground_truth: str) -> dict[str, float]:
        return {"match": float(answer == ground_truth)}

    result = evaluate(
        data=write_rows(tmp_path / "rows.jsonl"),
        target=answer,
        evaluators={"exact": exact},
        evaluator_config={"exact": {"answer": "${target.answer}", "ground_truth": "${data.truth}"}},
        output_path=tmp_path / "out" / "result.json",
    )

    assert result["metrics"] == {"exact.match": 0.5}
    assert result["rows"][0] == {
        "inputs.question": "a?",
        "inputs.truth": "A",
        "outputs.answer": "A",
        "outputs.exact.match": 1.0,
    }
    assert json.loads((tmp_path / "out" / "result.json").read_text())["metrics"] == {"exact.match": 0.5}


def test_a_row_that_cannot_be_scored_is_left_out_of_the_mean_and_told(tmp_path: Path) -> None:
    def picky(question: str) -> dict[str, float]:
        if question == "b?":
            raise ValueError("no b")
        return {"score": 1.0}

    result = evaluate(data=write_rows(tmp_path / "rows.jsonl"), evaluators={"picky": picky})

    assert result["metrics"] == {"picky.score": 1.0}
    assert result["rows"][1]["outputs.picky.score"] is None
    assert result["errors"] == [{"row": 1, "what": "picky", "type": "ValueError", "message": "no b"}]


def test_a_wrong_mapping_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="truht") as caught:
        evaluate(
            data=write_rows(tmp_path / "rows.jsonl"),
            evaluators={"f1": F1ScoreEvaluator()},
            evaluator_config={"default": {"answer": "${data.question}", "ground_truth": "${data.truht}"}},
        )
    assert caught.value.hint == "Did you mean 'truth'?"
