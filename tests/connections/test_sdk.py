"""The SDK is imported without its classes of requests and replies; whoever asks for them gets all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

LATER = "from genaiops.connections._sdk import load_sdk; load_sdk()\n"


def run(code: str) -> Any:
    """What a fresh interpreter prints as JSON: what is imported in this one must not matter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_most_classes_of_requests_and_replies_wait_until_somebody_asks() -> None:
    code = "import json, sys\nprint(json.dumps(sum(name.startswith('openai.types') for name in sys.modules)))"

    ours, usual = run(LATER + code), run("import openai\n" + code)

    assert ours < usual / 2


def test_user_code_finds_the_same_names_as_after_a_usual_import() -> None:
    code = (
        "import json, openai, openai.types as types, openai.types.responses as responses\n"
        "from openai.types.chat import ChatCompletion\n"
        "from openai.types.shared_params import FunctionDefinition\n"
        "from openai.types import *\n"
        "body = {'id': 'a', 'object': 'chat.completion', 'created': 0, 'model': 'm', 'choices': []}\n"
        "names = [dir(module) for module in (openai, types, types.chat, responses)]\n"
        "print(json.dumps([names, ChatCompletion.model_validate(body).model_dump(), type(types).__name__]))"
    )

    assert run(LATER + code) == run("import openai\n" + code)


def test_threads_that_ask_at_the_same_moment_all_get_their_answer() -> None:
    code = (
        "import importlib, json, threading\n"
        "asked = [('openai.types', 'Batch'), ('openai.types.responses', 'Response'), ('openai.types.beta', 'Thread'),\n"
        "    ('openai.types.chat', 'ChatCompletion'), ('openai.resources.chat.completions', 'AsyncCompletions'),\n"
        "    ('openai.resources.responses', 'Responses'), ('openai.types.realtime', 'Session')] * 3\n"
        "gate, got = threading.Barrier(len(asked)), []\n"
        "def ask(module, name):\n"
        "    gate.wait()\n"
        "    got.append(hasattr(importlib.import_module(module), name) or name == 'Session')\n"
        "threads = [threading.Thread(target=ask, args=item, daemon=True) for item in asked]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join(60)\n"
        "print(json.dumps([len(got), all(got)]))"
    )

    assert run(LATER + code) == [21, True]


def test_a_client_of_user_code_works_after_our_import() -> None:
    code = (
        "import asyncio, json\n"
        "from openai import AsyncOpenAI\n"
        "from genaiops.testing import ModelServer, ModelServerOptions\n"
        "async def main():\n"
        "    async with ModelServer(ModelServerOptions(reply='Paris')) as server:\n"
        "        client = AsyncOpenAI(api_key='k', base_url=server.url + '/v1')\n"
        "        asked = [{'role': 'user', 'content': 'hi'}]\n"
        "        reply = await client.chat.completions.create(model='m', messages=asked)\n"
        "        await client.close()\n"
        "        return [type(reply).__name__, reply.choices[0].message.content]\n"
        "print(json.dumps(asyncio.run(main())))"
    )

    assert run(LATER + code) == ["ChatCompletion", "Paris"]


def test_modules_that_bear_only_the_usual_order_are_imported_in_it() -> None:
    """Some releases of the SDK have modules that import each other in a circle."""
    circle = (
        "from genaiops.connections import _sdk\n"
        "fill = _sdk._LaterModule._fill\n"
        "def refuse(module):\n"
        "    if module.__name__ == 'openai.types.responses': raise ImportError('partially initialized')\n"
        "    fill(module)\n"
        "_sdk._LaterModule._fill = refuse\n"
    )
    code = (
        "import json, openai, openai.types as types, openai.types.responses as responses\n"
        "from openai.types.responses import Response\n"
        "names = [dir(module) for module in (openai, types, types.chat, responses, openai.types.responses)]\n"
        "print(json.dumps([names, Response.__name__, openai.types.chat.ChatCompletion.__name__]))"
    )

    assert run(circle + LATER + code) == run("import openai\n" + code)
