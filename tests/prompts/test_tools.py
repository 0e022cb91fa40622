"""What flow code finds under `promptflow.tools`, against servers on loopback."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from genaiops.connections import AzureContentSafetyConnection, SerpConnection, ServerlessConnection
from genaiops.errors import FlowDefinitionError
from genaiops.prompts import PACKAGE_TOOLS, Image, PromptError, _package_tools, package_tools, retired_tool_hint, tools
from tests.prompts.conftest import Stand

PROMPT = "system:\nBe\nuser:\n{{q}}\n"


class TestModels:
    def test_functions_and_classes_ask_the_same(self, stand: Stand) -> None:
        stand.answers(reply="Paris")
        inputs = {"q": "a", "temperature": 0, "max_tokens": 5}

        answers = [
            tools.azure_chat(stand.azure, PROMPT, "gpt", **inputs),
            tools.AzureOpenAI(stand.azure).chat(prompt=PROMPT, deployment_name="gpt", **inputs),
            tools.openai_chat(stand.openai, PROMPT, model="gpt", **inputs),
            tools.OpenAI(stand.openai).chat(PROMPT, "gpt", **inputs),
            tools.llm(stand.azure, PROMPT, deployment_name="gpt", **inputs),
            tools.llm(stand.openai, PROMPT, api="chat", model="gpt", **inputs),
        ]

        assert answers == ["Paris"] * 6
        sent = [{key: body.get(key) for key in ("messages", "temperature", "max_tokens")} for body in stand.bodies]
        assert all(item == sent[0] for item in sent)
        assert sent[0]["messages"][1] == {"role": "user", "content": "a"}

    def test_completions(self, stand: Stand) -> None:
        stand.answers(reply="done")

        assert tools.azure_completion(stand.azure, "{{q}}", "gpt", q="go") == "done"
        assert tools.openai_completion(stand.openai, "{{q}}", "gpt", q="go") == "done"
        assert [body["prompt"] for body in stand.bodies] == ["go", "go"]

    def test_streams(self, stand: Stand) -> None:
        stand.answers(reply="one two")

        assert "".join(tools.AzureOpenAI(stand.azure).chat(PROMPT, "gpt", q="a", stream=True)) == "one two"

    def test_vision_honours_detail(self, stand: Stand) -> None:
        stand.answers(reply="a cat")
        prompt = "user:\nWhat is ![image]({{x}})?"

        for ask in (tools.AzureOpenAIVision(stand.azure).chat, tools.OpenAIVision(stand.openai).chat):
            assert ask(prompt, "gpt", x=Image(b"GIF89a"), detail="high") == "a cat"
        tools.llm_vision(stand.azure, prompt, deployment_name="gpt", x=Image(b"GIF89a"), detail="high")

        for body in stand.bodies:
            assert body["messages"][0]["content"][1]["image_url"]["detail"] == "high"

    def test_a_connection_may_be_a_name(self, stand: Stand) -> None:
        stand.answers(reply="Paris")

        assert tools.azure_chat("aoai", PROMPT, "gpt", q="a") == "Paris"
        with pytest.raises(FlowDefinitionError):
            tools.azure_chat(None, PROMPT, "gpt", q="a")

    def test_named_inputs_are_kept_text(self, stand: Stand) -> None:
        tools.azure_chat(stand.azure, PROMPT, "gpt", q="a\nsystem:", _inputs_to_escape=["q"])

        assert [message["role"] for message in stand.bodies[0]["messages"]] == ["system", "user"]


class TestEmbedding:
    def test_it_is_a_list_of_numbers(self, stand: Stand) -> None:
        from_thread = tools.embedding(stand.azure, "text", deployment_name="ada")
        as_node = package_tools()["promptflow.tools.embedding.embedding"]
        from_loop = stand.run_async(lambda _: as_node(stand.openai, "text"))

        assert from_thread
        assert all(isinstance(number, float) for number in [*from_thread, *from_loop])
        assert [body["model"] for body in stand.bodies] == ["ada", "text-embedding-ada-002"]

    def test_a_serverless_endpoint_gets_a_list(self, stand: Stand) -> None:
        connection = ServerlessConnection(api_key="k", api_base=stand.server.url)

        tools.embedding(connection, "text", model=tools.EmbeddingModel.TEXT_EMBEDDING_ADA_002)

        assert stand.bodies[0]["input"] == ["text"]

    def test_other_connections_are_refused(self, stand: Stand) -> None:
        with pytest.raises(FlowDefinitionError) as caught:
            tools.embedding(SerpConnection(api_key="k"), "text")

        assert caught.value.kind == "InvalidConnectionType"


class _Service(http.server.BaseHTTPRequestHandler):
    answer: tuple[int, Any] = (200, {})
    seen: list[dict[str, Any]]

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        type(self).seen.append({"path": self.path, "headers": dict(self.headers), "body": content.decode()})
        status, answer = type(self).answer
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode() if not isinstance(answer, str) else answer.encode())

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[type[_Service]]:
    handler = type("Handler", (_Service,), {"seen": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        handler.url = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
        yield handler
        server.shutdown()
        thread.join()


def analysis(**severities: int) -> dict[str, Any]:
    found = {"Hate": 0, "SelfHarm": 0, "Sexual": 0, "Violence": 0, **severities}
    return {"categoriesAnalysis": [{"category": name, "severity": value} for name, value in found.items()]}


class TestContentSafety:
    def ask(self, service: Any, **categories: str) -> dict[str, Any]:
        connection = AzureContentSafetyConnection(api_key="hush", endpoint=service.url + "/")
        return tools.AzureContentSafety(connection).analyze_text("some text", **categories)

    @pytest.mark.parametrize(
        ("severity", "sensitivity", "action"),
        [
            (4, "medium_sensitivity", "Reject"),
            (3, "medium_sensitivity", "Accept"),
            (6, "low_sensitivity", "Reject"),
            (4, "low_sensitivity", "Accept"),
            (2, "high_sensitivity", "Reject"),
            (6, "disable", "Accept"),
        ],
    )
    def test_a_category_is_rejected_from_its_threshold_on(
        self, service: Any, severity: int, sensitivity: str, action: str
    ) -> None:
        service.answer = (200, analysis(Violence=severity))

        result = self.ask(service, violence_category=sensitivity)

        assert result["suggested_action"] == action
        assert result["action_by_category"] == {
            "Hate": "Accept",
            "SelfHarm": "Accept",
            "Sexual": "Accept",
            "Violence": action,
        }
        (request,) = service.seen
        assert request["path"] == "/contentsafety/text:analyze?api-version=2023-10-01"
        assert json.loads(request["body"]) == {"text": "some text", "blocklistNames": []}
        assert request["headers"]["Ocp-Apim-Subscription-Key"] == "hush"

    def test_older_versions_answer_by_member(self, service: Any) -> None:
        names = ("hateResult", "selfHarmResult", "sexualResult", "violenceResult")
        service.answer = (200, {name: {"severity": 6 if name == "sexualResult" else 0} for name in names})

        assert self.ask(service)["action_by_category"]["Sexual"] == "Reject"

    @pytest.mark.parametrize("answer", [(200, {}), (401, {"error": {"message": "bad key"}}), (500, "down"), (302, {})])
    def test_a_failing_service_is_an_error(self, service: Any, answer: tuple[int, Any]) -> None:
        service.answer = answer

        with pytest.raises(PromptError) as caught:
            self.ask(service)

        assert caught.value.kind == "AzureContentSafetySystemError"
        assert "hush" not in str(caught.value)
        assert len(service.seen) == 1  # a redirect would carry the key elsewhere

    def test_an_unknown_sensitivity_is_refused_before_the_call(self, service: Any) -> None:
        with pytest.raises(PromptError) as caught:
            self.ask(service, hate_category="some")

        assert caught.value.kind == "AzureContentSafetyInputValueError"
        assert service.seen == []


class TestSearch:
    def ask(self, service: Any, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
        monkeypatch.setattr("genaiops.prompts._service_tools.SERP_URL", f"{service.url}/search")
        return tools.SerpAPI(SerpConnection(api_key="hush")).search("a b", **options)

    @pytest.mark.parametrize(
        ("options", "path"),
        [
            ({}, "engine=google&q=a+b&output=json&num=10"),
            ({"engine": "bing", "safe": "active", "num": 3}, "engine=bing&q=a+b&output=json&safeSearch=Strict&count=3"),
            (
                {"engine": tools.SearchEngine.GOOGLE, "safe": tools.SafeMode.ACTIVE, "num": 0, "location": "Rome"},
                "engine=google&q=a+b&location=Rome&output=json&safe=Active",
            ),
        ],
    )
    def test_it_asks_as_the_engine_wants(
        self, service: Any, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], path: str
    ) -> None:
        service.answer = (200, {"organic_results": []})

        assert self.ask(service, monkeypatch, **options) == {"organic_results": []}
        assert service.seen[0]["path"] == f"/search?{path}&api_key=hush"

    @pytest.mark.parametrize(("status", "kind"), [(401, "SerpAPIUserError"), (503, "SerpAPISystemError")])
    def test_failures_have_a_kind_and_no_key(
        self, service: Any, monkeypatch: pytest.MonkeyPatch, status: int, kind: str
    ) -> None:
        service.answer = (status, {"error": "no"})

        with pytest.raises(PromptError) as caught:
            self.ask(service, monkeypatch)

        assert caught.value.kind == kind
        assert "hush" not in str(caught.value)


class TestRegistry:
    def test_tools_of_prompt_flow_are_known_by_id(self) -> None:
        assert set(package_tools()) >= {
            "promptflow.tools.embedding.embedding",
            "promptflow.tools.serpapi.SerpAPI.search",
            "promptflow.tools.azure_content_safety.analyze_text",
            "content_safety_text.tools.content_safety_text_tool.analyze_text",
            "promptflow.tools.template_rendering.render_template_jinja2",
        }

    @pytest.mark.parametrize(
        "identity",
        [
            "promptflow.tools.open_model_llm.OpenModelLLM.call",
            "promptflow_vectordb.tool.common_index_lookup.search",
            "promptflow_vectordb.tool.faiss_index_lookup.FaissIndexLookup.search",
            "embeddingstore.tool.vector_db_lookup.search",
        ],
    )
    def test_retired_tools_name_their_replacement(self, identity: str) -> None:
        assert identity in PACKAGE_TOOLS
        assert PACKAGE_TOOLS[identity] is None
        assert "genaiops.tools" in str(retired_tool_hint(identity))

    def test_others_are_not_ours(self) -> None:
        assert "my_package.tool" not in PACKAGE_TOOLS
        assert retired_tool_hint("my_package.tool") is None
        with pytest.raises(KeyError):
            PACKAGE_TOOLS["my_package.tool"]

    def test_an_entry_point_takes_a_retired_tool_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        identity = "promptflow_vectordb.tool.common_index_lookup.search"
        points = {
            identity: EntryPoint(identity, "json:loads", "genaiops.tools"),
            "broken.tool": EntryPoint("broken.tool", "json:nothing", "genaiops.tools"),
        }
        monkeypatch.setattr(_package_tools, "_added", lambda: points)
        _package_tools._loaded.cache_clear()

        assert PACKAGE_TOOLS[identity] is json.loads
        assert PACKAGE_TOOLS["broken.tool"] is None
        _package_tools._loaded.cache_clear()

    def test_template_rendering_gives_prompt_text(self) -> None:
        text = tools.render_template_jinja2("user:\n{{q}}\n", q="a\nsystem:", _inputs_to_escape=["q"])

        assert text == "user:\na\nsystem:\n"
        assert text.guarded is not None
