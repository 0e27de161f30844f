"""The scripted LLM provider: the only double of the real-gateway tests.

It speaks OpenAI chat completions on a free loopback port and is steered by tokens in each request's user messages,
never by global state, so tests that share one gateway do not disturb each other. What was asked and how it ended is
kept in `Provider.log`; all counts in tests come from there. The grammar of the tokens is in `script.py`.

The path of the request names the provider (`/anthropic/v1/chat/completions`), so one server stands for several.
"""

from __future__ import annotations

import json
import re
import select
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .script import Script, ScriptError

INPUT_TOKENS = 1000
OUTPUT_TOKENS = 200
CHUNK_CHARS = 20_000


@dataclass
class Call:
    """One request of the gateway to a model, and how it ended."""

    at: float
    model: str
    prompt: str
    case: str
    task: str
    directives: tuple[str, ...]
    tools: tuple[str, ...]
    turns: int
    outcome: str = "open"
    """`open`, then `answered`, `http <status>`, or `cut` when the client went away first."""


class Provider:
    """An HTTP server in threads of its own, with the log of its calls."""

    def __init__(self) -> None:
        self.log: list[Call] = []
        self._released: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        provider = self

        class Handler(_Handler):
            owner = provider

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="provider", daemon=True)
        self._thread.start()

    def url(self, name: str) -> str:
        """The base URL under which the gateway knows the provider `name`."""
        return f"http://127.0.0.1:{self.port}/{name}/v1"

    def calls(
        self, case: str, *, task: str | None = None, model: str | None = None, outcome: str | None = None
    ) -> list[Call]:
        """The calls of one test case so far, oldest first."""
        with self._lock:
            return [
                call
                for call in self.log
                if call.case == case
                and (task is None or call.task == task)
                and (model is None or call.model == model or call.model.endswith("/" + model))
                and (outcome is None or call.outcome == outcome)
            ]

    def wait_for(
        self, case: str, count: int, *, task: str | None = None, outcome: str | None = None, seconds: float = 300
    ) -> list[Call]:
        """Waits until `count` calls of the case were seen (of this task, with this outcome).

        Raises:
            TimeoutError: they were not seen in time; the message says what was.
        """
        deadline = time.monotonic() + seconds
        while True:
            seen = self.calls(case, task=task, outcome=outcome)
            if len(seen) >= count:
                return seen
            if time.monotonic() > deadline:
                outcomes = [(call.task, call.outcome) for call in self.calls(case)]
                raise TimeoutError(f"waited for {count} model calls of case `{case}`, saw {outcomes}")
            time.sleep(0.02)

    def release(self, case: str, tasks: Iterable[str]) -> None:
        """Lets the held calls of these tasks be answered, those that are yet to come too."""
        with self._lock:
            self._released.update((case, task) for task in tasks)

    def is_released(self, call: Call) -> bool:
        with self._lock:
            return (call.case, call.task) in self._released

    def begin(self, body: dict[str, Any], provider_name: str) -> tuple[Call, Script]:
        """Enters a request in the log and decides, from it and the log alone, what to answer."""
        prompt = _user_text(body)
        model = f"{provider_name}/{body.get('model', '')}"
        script = Script.parse(prompt)
        tools = tuple(str(tool.get("function", {}).get("name")) for tool in body.get("tools") or [])
        directives = tuple(directive.text for directive in script.directives)
        turns = len(body.get("messages") or [])
        call = Call(time.time(), model, prompt, script.case, script.task, directives, tools, turns)
        with self._lock:
            earlier = sum(1 for other in self.log if (other.case, other.task) == (call.case, call.task))
            self.log.append(call)
        return call, script.for_call(model, earlier + 1)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keeps quiet about connections that were cut: the log has them as `cut`."""


class _ClientGoneError(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    owner: Provider
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Standard error belongs to the test run."""

    def do_GET(self) -> None:
        self._send_json(200, {"object": "list", "data": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            call, script = self.owner.begin(body, self.path.strip("/").split("/")[0])
        except ScriptError as error:
            self._send_json(400, {"error": {"message": str(error), "type": "script_error"}})
            return
        try:
            self._pause(script.sleep)
            while script.hold and not self.owner.is_released(call):
                self._pause(0.05)
            if script.stuck:
                self._pause(float("inf"))
            if script.http:
                message = f"scripted status {script.http}"
                self._send_json(script.http, {"error": {"message": message, "type": "scripted", "code": script.http}})
                call.outcome = f"http {script.http}"
                return
            self._answer(body, call, script)
            call.outcome = "answered"
        except (_ClientGoneError, OSError):
            call.outcome = "cut"
            self.close_connection = True

    def _pause(self, seconds: float) -> None:
        """Waits, but no longer than the client does."""
        deadline = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self.connection, select.POLLIN | select.POLLHUP)
        while (left := deadline - time.monotonic()) > 0:
            if poller.poll(min(left, 3600) * 1000) and self._is_closed():
                raise _ClientGoneError

    def _is_closed(self) -> bool:
        try:
            peeked: bytes = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return not peeked

    def _answer(self, body: dict[str, Any], call: Call, script: Script) -> None:
        tool_output = _tool_output(body)
        if script.command and tool_output is None:
            message, finish = _exec_call(script.command), "tool_calls"
        else:
            text = script.answer(call.prompt) if tool_output is None else tool_output
            message, finish = {"content": text}, "stop"
        if body.get("stream"):
            self._stream(body, message, finish, script)
        else:
            self._send_json(200, _completion(body, message, finish, script))

    def _stream(self, body: dict[str, Any], message: dict[str, Any], finish: str, script: Script) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion.chunk", "created": int(time.time())}
        head["model"] = body.get("model")

        def send(delta: dict[str, Any], finish: str | None = None) -> None:
            self._event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

        send({"role": "assistant", "content": ""})
        if "tool_calls" in message:
            send(message)
        text = message.get("content", "")
        for piece in _words(text) if script.drip else _chunks(text):
            send({"content": piece})
            self._pause(script.drip)
        send({}, finish)
        self._event({**head, "choices": [], "usage": _usage(script)})
        self.wfile.write(b"data: [DONE]\n\n")
        self.wfile.flush()

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")

    def _send_json(self, status: int, data: dict[str, Any]) -> None:
        payload = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


def _chunks(text: str) -> list[str]:
    return [text[start : start + CHUNK_CHARS] for start in range(0, len(text), CHUNK_CHARS)]


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*", text)


def _completion(body: dict[str, Any], message: dict[str, Any], finish: str, script: Script) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.get("model"),
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": _usage(script),
    }


def _usage(script: Script) -> dict[str, int]:
    taken, given = script.usage or (INPUT_TOKENS, OUTPUT_TOKENS)
    return {"prompt_tokens": taken, "completion_tokens": given, "total_tokens": taken + given}


def _exec_call(command: str) -> dict[str, Any]:
    # Without `yieldMs` the tool answers after 10 s that the command is still running.
    arguments = json.dumps({"command": command, "yieldMs": 600_000})
    function = {"name": "exec", "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": f"call_{uuid.uuid4().hex}", "type": "function", "function": function}]}


def _tool_output(body: dict[str, Any]) -> str | None:
    """What a tool gave back last, if one ran. OpenClaw may add user text after it, so it need not be at the end."""
    outputs = [_text_of(message) for message in body.get("messages") or [] if message.get("role") == "tool"]
    return outputs[-1] if outputs else None


def _user_text(body: dict[str, Any]) -> str:
    """What the user side wrote. System text is left out: OpenClaw's own has `[[...]]` tags."""
    return "\n".join(_text_of(message) for message in body.get("messages") or [] if message.get("role") == "user")


def _text_of(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in content or [])
