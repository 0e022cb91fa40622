"""A model that takes its time: pieces come one by one, and who hangs up is noticed."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from aiohttp import web


class SlowModel:
    """OpenAI's chat interface on loopback: `pieces` come `gap_s` apart, a whole answer takes as long as all of them."""

    def __init__(self, pieces: int = 5, gap_s: float = 0.1) -> None:
        self.pieces, self.gap_s = pieces, gap_s
        self.finished = self.aborted = 0
        self.headers: list[dict[str, str]] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port: int = runner.addresses[0][1]
        self._ready.set()
        await self._stopped.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        body = await request.json()
        try:
            response = await (self._stream(request, body) if body.get("stream") else self._whole())
        except (asyncio.CancelledError, ConnectionError):
            self.aborted += 1
            raise
        self.finished += 1
        return response

    async def _whole(self) -> web.Response:
        await asyncio.sleep(self.pieces * self.gap_s)
        text = "".join(f"p{number} " for number in range(self.pieces))
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 7, "completion_tokens": self.pieces, "total_tokens": 7 + self.pieces}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return web.json_response(
            {"id": "1", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage}
        )

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(self.pieces):
            delta = {"role": "assistant", "content": f"p{number} "}
            await self._event(response, choices=[{"index": 0, "delta": delta, "finish_reason": None}])
            await asyncio.sleep(self.gap_s)
        await self._event(response, choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 7, "completion_tokens": self.pieces, "total_tokens": 7 + self.pieces}
            await self._event(response, choices=[], usage=usage)
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _event(self, response: web.StreamResponse, **fields: Any) -> None:
        data = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", **fields}
        await response.write(f"data: {json.dumps(data)}\n\n".encode())
