"""Images: written in two ways, read from files, base64 and public hosts only."""

from __future__ import annotations

import base64
import http.server
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.prompts import (
    Image,
    ImageLoader,
    PromptError,
    Text,
    absolute_image_paths,
    find_images,
    image_to_json,
    images_to_base64,
    images_to_text,
    is_image_dict,
    load_image,
    load_images,
    persist_images,
)
from genaiops.prompts._image_download import download_image, is_public_address

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 8
BASE64 = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF1234WEBPVP8 ", "image/webp"),
        (b"text", "image/*"),
        (b"", "image/*"),
    ],
)
def test_the_type_is_told_by_the_first_bytes(content: bytes, mime_type: str) -> None:
    assert Image(content).mime_type == mime_type


def test_an_image_is_bytes_that_print_their_hash() -> None:
    image = Image(b"GIF89a", "image/GIF", "https://x/i.gif")
    again = pickle.loads(pickle.dumps(image))

    assert image == b"GIF89a"
    assert f"{image} {image!r}" == "Image(25c9b37a) Image(25c9b37a)"
    assert (again, again.mime_type, again.source_url) == (image, "image/gif", "https://x/i.gif")
    assert image.to_base64() == "R0lGODlh"
    assert image.to_base64(with_type=True) == "data:image/gif;base64,R0lGODlh"
    assert (image.serialize(), image.serialize(len)) == ("Image(25c9b37a)", 6)


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        ({"data:image/png;path": "a.png"}, "basic", True),
        ({"data:image/*;base64": "x"}, "basic", True),
        ({"data:image/png;url": "x", "b": 1}, "basic", False),
        ({"data:text/plain;path": "x"}, "basic", False),
        ({"type": "image_url", "image_url": {"url": "x"}}, "basic", False),
        ({"type": "image_url", "image_url": {"url": "x"}}, "openai-vision", True),
        ({"type": "image_file", "image_file": {"path": "x"}}, "openai-vision", True),
        ({"type": "image_url", "image_url": "x"}, "openai-vision", False),
        ({"type": "image_file", "image_file": {"url": "x"}}, "openai-vision", False),
        ({"type": "image_url", "image_url": {"url": "x"}}, None, True),
        ({"data:image/png;path": "a.png"}, None, True),
    ],
)
def test_mappings_that_are_images(value: dict[str, Any], form: str | None, expected: bool) -> None:
    assert is_image_dict(value, form) is expected


@pytest.mark.parametrize(
    "value",
    [
        BASE64,
        f"data:image/png;base64,{BASE64}",
        "a.png",
        {"data:image/png;base64": BASE64},
        {"data:image/png;path": "a.png"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BASE64}"}},
        {"type": "image_file", "image_file": {"path": "a.png"}},
        Image(PNG),
    ],
)
def test_all_ways_to_write_one_image(tmp_path: Path, value: Any) -> None:
    (tmp_path / "a.png").write_bytes(PNG)

    image = load_image(value, folder=tmp_path)

    assert (image, image.mime_type) == (PNG, "image/png")


@pytest.mark.parametrize(
    "value",
    [
        "",
        3,
        "no.png",
        "../outside.png",
        "/etc/hostname",
        {"data:image/png;path": "../outside.png"},
        {"data:image/png;base64": "%%%"},
        {"data:image/png;url": "file:///etc/hostname"},
        {"data:image/png;url": "no url"},
        {"x": 1},
        "x\0y.png",
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, value: Any) -> None:
    (tmp_path / "outside.png").write_bytes(PNG)
    (tmp_path / "flow").mkdir()

    with pytest.raises(PromptError) as caught:
        load_image(value, folder=tmp_path / "flow")

    assert caught.value.kind == "InvalidImageInput"


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes(PNG)
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "in.png").symlink_to(tmp_path / "outside.png")

    with pytest.raises(PromptError, match="leads out"):
        load_image("in.png", folder=tmp_path / "flow")
    assert ImageLoader(tmp_path / "flow", allowed=[tmp_path]).image("in.png") == PNG


def test_a_large_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    loader = ImageLoader(tmp_path, max_bytes=10)

    for value in ("a.png", BASE64):
        with pytest.raises(PromptError, match="larger than 10 bytes"):
            loader.image(value)


def test_images_inside_values_are_found_and_replaced(tmp_path: Path) -> None:
    value = {"a": [{"data:image/png;base64": BASE64}, "text"], "b": 1}

    loaded = load_images(value, folder=tmp_path)

    assert list(find_images(loaded)) == [PNG]
    assert images_to_text(loaded) == {"a": [str(Image(PNG)), "text"], "b": 1}
    assert images_to_base64(loaded) == value


@pytest.mark.parametrize("form", ["basic", "openai-vision"])
def test_persisted_images_load_again(tmp_path: Path, form: str) -> None:
    value = {"a": [Image(PNG)], "b": Image(b"GIF89a", source_url="https://x/i.gif")}

    stored = persist_images(value, tmp_path, subfolder="images", message_format=form)

    again = load_images(stored["a"], folder=tmp_path, message_format=form)
    assert again == [PNG]
    assert [path.suffix for path in (tmp_path / "images").iterdir()] == [".png"]
    assert "https://x/i.gif" in str(stored["b"])


def test_without_a_folder_an_image_becomes_base64() -> None:
    assert image_to_json(Image(PNG)) == {"data:image/png;base64": BASE64}
    assert image_to_json(Image(PNG), message_format="openai-vision") == {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{BASE64}"},
    }


def test_text_parts_keep_their_annotations(tmp_path: Path) -> None:
    part = {"type": "text", "text": {"value": "hi", "annotations": [1]}}

    (text,) = load_images([part], folder=tmp_path, message_format="openai-vision")

    assert (text, type(text)) == ("hi", Text)
    assert images_to_text([text]) == [part]
    assert Text("hi").serialize() == {"type": "text", "text": "hi"}


def test_paths_become_absolute(tmp_path: Path) -> None:
    value = [{"data:image/png;path": "a.png"}, {"data:image/png;url": "u"}]

    assert absolute_image_paths(value, tmp_path) == [{"data:image/png;path": str(tmp_path / "a.png")}, value[1]]


def test_an_unknown_message_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError) as caught:
        ImageLoader(tmp_path, message_format="html")

    assert caught.value.kind == "InvalidMessageFormatType"


@given(st.binary(max_size=60))
def test_bytes_survive_base64(content: bytes) -> None:
    if content:
        assert load_image(Image(content).to_base64(with_type=True)) == content


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
        ("2606:4700::1", True),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public_address(address) is public


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        port = self.server.server_address[1]
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header(
                "Location", {"/to/image": "/image", "/to/file": "file:///etc/hostname"}.get(self.path, self.path)
            )
            self.end_headers()
            return
        if self.path.startswith("/to-name"):
            self.send_response(301)
            self.send_header("Location", f"http://localhost:{port}/image")
            self.end_headers()
            return
        self.send_response(200 if self.path.startswith("/image") else 404)
        self.end_headers()
        self.wfile.write(PNG)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_images_are_downloaded_over_redirects(site: str) -> None:
    for path in ("/image", "/to/image", "/image?size=2"):
        assert download_image(site + path, 1000, is_allowed=lambda _: True) == PNG


@pytest.mark.parametrize("path", ["/no", "/to/file", "/to/loop"])
def test_downloads_that_lead_nowhere_are_refused(site: str, path: str) -> None:
    with pytest.raises(PromptError):
        download_image(site + path, 1000, is_allowed=lambda _: True)


def test_a_download_that_is_too_large_is_refused(site: str) -> None:
    with pytest.raises(PromptError, match="larger"):
        download_image(site + "/image", 5, is_allowed=lambda _: True)


def test_own_hosts_are_never_asked(site: str, tmp_path: Path) -> None:
    for url in (site + "/image", site.replace("127.0.0.1", "localhost") + "/image"):
        with pytest.raises(PromptError, match="not public"):
            load_image(url, folder=tmp_path)


def test_each_hop_is_looked_at(site: str) -> None:
    seen: list[str] = []

    def first_only(address: str) -> bool:
        seen.append(address)
        return len(seen) == 1

    with pytest.raises(PromptError, match="not public"):
        download_image(site + "/to-name", 1000, is_allowed=first_only)


def test_a_query_is_not_shown() -> None:
    with pytest.raises(PromptError) as caught:
        download_image("http://127.0.0.1:9/i.png?signature=hush", 1000)

    assert "hush" not in str(caught.value)
