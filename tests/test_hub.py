"""From the name of a model to its directory, against a local stand-in for the hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_stand_in import COMMIT, HubStandIn

from cherche_rs.hub import model_directory

NEEDED = {
    "config.json": b"{}",
    "tokenizer.json": b'{"a": 1}',
    "tokenizer_config.json": b'{"b": 1}',
    "special_tokens_map.json": b'{"c": 1}',
    "vocab.txt": b"[PAD]",
    "modules.json": b"[]",
    "1_Pooling/config.json": b'{"d": 1}',
    "model.safetensors": b"weights",
}
NOT_NEEDED = {
    "pytorch_model.bin": b"pickled weights",
    "onnx/model.onnx": b"onnx",
    "onnx/config.json": b'{"e": 1}',
    "openvino/openvino_model.bin": b"openvino",
    "flax_model.msgpack": b"flax",
    "tf_model.h5": b"tensorflow",
    "README.md": b"readme",
    "train_script.py": b"script",
}

PROGRAM = """
import json, sys
from cherche_rs.hub import model_directory
name, options = json.loads(sys.argv[1])
try:
    print(json.dumps(["ok", str(model_directory(name, **options))]))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


@pytest.fixture
def hub():
    servers = []

    def start(models, **options):
        servers.append(HubStandIn(models, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def resolve(tmp_path):
    """Resolve a name in a fresh process: huggingface_hub reads its environment when imported."""

    def resolve(name, endpoint="http://127.0.0.1:9", environment=None, **options):
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("HF_", "HUGGING", "SENTENCE_TRANSFORMERS", "TRANSFORMERS"))
            and "proxy" not in key.lower()
        }
        variables = {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "hf-home"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **(environment or {}),
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps([name, options])],
            env={**clean, **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return resolve


def files_in(directory):
    folder = Path(directory)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_only_the_needed_files_are_downloaded(hub, resolve):
    server = hub({"owner/model": {**NEEDED, **NOT_NEEDED}})
    state, directory = resolve("owner/model", server.url)
    assert state == "ok", directory
    assert files_in(directory) == NEEDED
    assert server.downloaded() == sorted(NEEDED)


def test_a_name_without_an_owner_belongs_to_cross_encoder(hub, resolve):
    server = hub({"cross-encoder/model": NEEDED})
    state, directory = resolve("model", server.url)
    assert state == "ok", directory
    assert "models--cross-encoder--model" in directory


def test_pickled_weights_only_where_there_are_no_others(hub, resolve):
    pickled = {"config.json": b"{}", "vocab.txt": b"[PAD]", "pytorch_model.bin": b"pickled"}
    server = hub({"owner/model": {**pickled, "openvino/openvino_model.bin": b"no"}})
    state, directory = resolve("owner/model", server.url)
    assert state == "ok", directory
    assert files_in(directory) == pickled


def test_sharded_weights(hub, resolve):
    files = {
        "config.json": b"{}",
        "model.safetensors.index.json": b'{"weight_map": {}}',
        "model-00001-of-00002.safetensors": b"one",
        "model-00002-of-00002.safetensors": b"two",
    }
    server = hub({"owner/model": {**files, "pytorch_model-00001-of-00001.bin": b"no"}})
    state, directory = resolve("owner/model", server.url)
    assert state == "ok", directory
    assert files_in(directory) == files


def test_a_cached_model_is_used_offline(hub, resolve):
    server = hub({"owner/model": NEEDED})
    online = resolve("owner/model", server.url)
    assert online[0] == "ok"
    asked = len(server.requests)
    offline = {"HF_HUB_OFFLINE": "1"}
    assert resolve("owner/model", server.url, environment=offline) == online
    assert resolve("owner/model", server.url, local_files_only=True) == online
    assert len(server.requests) == asked, "the hub was asked"
    assert resolve("owner/model", "http://127.0.0.1:9") == online, "the hub is down"


def test_a_cached_model_is_not_downloaded_again(hub, resolve):
    server = hub({"owner/model": NEEDED})
    assert resolve("owner/model", server.url) == resolve("owner/model", server.url)
    assert server.downloaded() == sorted(NEEDED)


@pytest.mark.parametrize("where", ["argument", "variable"])
def test_the_cache_folder(hub, resolve, tmp_path, where):
    server = hub({"owner/model": NEEDED})
    folder = str(tmp_path / "models")
    given = (
        {"cache_folder": folder}
        if where == "argument"
        else {"environment": {"SENTENCE_TRANSFORMERS_HOME": folder}}
    )
    state, directory = resolve("owner/model", server.url, **given)
    assert state == "ok", directory
    assert Path(directory) == tmp_path / "models" / "models--owner--model" / "snapshots" / COMMIT


@pytest.mark.parametrize("where", ["argument", "variable"])
def test_the_token_is_sent(hub, resolve, where):
    server = hub({"owner/private": NEEDED}, tokens={"owner/private": "hf_secret"})
    given = (
        {"token": "hf_secret"}
        if where == "argument"
        else {"environment": {"HF_TOKEN": "hf_secret"}}
    )
    state, directory = resolve("owner/private", server.url, **given)
    assert state == "ok", directory
    assert files_in(directory) == NEEDED
    assert {header for _, _, header in server.requests} == {"Bearer hf_secret"}


def test_no_token_is_sent_if_none_is_wanted(hub, resolve):
    server = hub({"owner/model": NEEDED})
    environment = {"HF_TOKEN": "hf_secret"}
    assert resolve("owner/model", server.url, environment=environment, token=False)[0] == "ok"
    assert {header for _, _, header in server.requests} == {None}


def test_a_model_the_hub_does_not_know(hub, resolve):
    server = hub({})
    error, message = resolve("owner/absent", server.url)
    assert error == "FileNotFoundError"
    assert "owner/absent" in message
    assert "token" in message
    assert server.url in message


def test_a_private_model_with_a_wrong_token(hub, resolve):
    server = hub({"owner/private": NEEDED}, tokens={"owner/private": "hf_secret"})
    error, message = resolve("owner/private", server.url, token="hf_wrong")
    assert error == "FileNotFoundError"
    assert "token" in message


def test_a_gated_model(hub, resolve):
    server = hub({"owner/gated": NEEDED}, gated=["owner/gated"])
    error, message = resolve("owner/gated", server.url)
    assert error == "PermissionError"
    assert "owner/gated" in message


def test_a_revision(hub, resolve):
    server = hub({"owner/model": NEEDED})
    assert resolve("owner/model", server.url, revision=COMMIT)[0] == "ok"
    error, message = resolve("owner/model", server.url, revision="v2")
    assert error == "FileNotFoundError"
    assert "v2" in message


@pytest.mark.parametrize(
    "options",
    [{}, {"environment": {"HF_HUB_OFFLINE": "1"}}, {"local_files_only": True}],
    ids=["unreachable", "offline", "local_files_only"],
)
def test_not_cached_and_no_hub(resolve, options):
    error, message = resolve("cross-encoder/model", **options)
    assert error == "FileNotFoundError"
    assert "cross-encoder/model" in message
    assert "in the cache" in message
    assert "give its path" in message, "says how to go on without the hub"


def test_a_download_that_was_cut_short(hub, resolve):
    server = hub({"owner/model": NEEDED})
    _, directory = resolve("owner/model", server.url)
    (Path(directory) / "model.safetensors").unlink()
    assert resolve("owner/model", server.url) == ["ok", directory]
    assert files_in(directory) == NEEDED


def test_an_error_of_the_hub(hub, resolve):
    server = hub({"owner/model": NEEDED}, broken=True)
    error, message = resolve("owner/model", server.url)
    assert error == "FileNotFoundError"
    assert "500" in message


def test_a_directory_is_used_as_it_is(tmp_path):
    assert model_directory(tmp_path) == tmp_path
    assert model_directory(str(tmp_path)) == tmp_path


def test_a_file_is_not_a_directory(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=r"model\.safetensors"):
        model_directory(file)


@pytest.mark.parametrize(
    "name", ["no/such/directory", "/no/such", "./no", "../no", "~/no", Path("owner/model")]
)
def test_a_directory_that_does_not_exist(name):
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        model_directory(name)


@pytest.mark.parametrize("name", ["", "owner/mo del", "owner/--", "owner\n/model", "a\0b"])
def test_what_cannot_be_a_name(name):
    with pytest.raises(ValueError, match="neither a directory nor the name of a model"):
        model_directory(name)


def test_what_is_no_name_at_all():
    with pytest.raises(TypeError):
        model_directory(3)
