"""The settings table, and that the plugins' client finds the daemon's files where the daemon puts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glihamba import settings
from glihamba_proto import places

# Absolute on the system that runs the test, so that the overrides are legal everywhere.
ELSEWHERE = str(Path(Path.cwd().anchor) / "elsewhere" / "glihamba data")
ENVIRONMENTS = [
    {},
    {"XDG_DATA_HOME": "/home/someone/.var/app/org.kde.krita/data", "XDG_RUNTIME_DIR": "/run/user/1000"},
    {"LOCALAPPDATA": "C:\\Users\\someone\\AppData\\Local"},
    {"SNAP_REAL_HOME": "/home/someone", "SNAP": "/snap/krita/1"},
    {"GLIHAMBA_DATA_DIR": ELSEWHERE},
    {"GLIHAMBA_RUNTIME_DIR": ELSEWHERE},
    {"GLIHAMBA_DATA_DIR": "~/kept", "GLIHAMBA_RUNTIME_DIR": f"  {ELSEWHERE}  "},
]


@pytest.mark.parametrize("platform", ["linux", "win32", "darwin"])
@pytest.mark.parametrize("environ", ENVIRONMENTS)
def test_client_and_daemon_agree_on_the_endpoint(platform: str, environ: dict[str, str]) -> None:
    loaded = settings.in_force(environ, platform=platform)
    assert places.data_folder(platform, environ) == loaded.data_dir
    assert places.runtime_folder(platform, environ) == loaded.runtime_dir
    assert places.endpoint_file(platform, environ) == loaded.endpoint_file


def test_the_rule_for_each_system() -> None:
    home = Path.home()
    sandboxed = {"XDG_DATA_HOME": str(home / ".var/app/org.kde.krita/data")}
    assert places.endpoint_file("linux", sandboxed) == home / ".local/share/glihamba/run/endpoint.json"
    assert places.data_folder("darwin", {}) == home / "Library/Application Support/glihamba"
    assert places.data_folder("win32", {"LOCALAPPDATA": ELSEWHERE}) == Path(ELSEWHERE, "glihamba")
    assert places.data_folder("win32", {}) == home / "AppData/Local/glihamba"


def test_a_relative_folder_is_refused_by_both_in_the_same_words() -> None:
    environ = {"GLIHAMBA_DATA_DIR": "kept/here"}
    sentence = (
        "GLIHAMBA_DATA_DIR must be an absolute path, but is 'kept/here': write the whole path, or unset it."
    )
    with pytest.raises(settings.BadSetting) as daemon:
        settings.in_force(environ)
    with pytest.raises(ValueError, match="must be an absolute path") as client:
        places.endpoint_file(environ=environ)
    assert str(daemon.value) == str(client.value) == sentence


def test_environment_then_overrides() -> None:
    environ = {
        "GLIHAMBA_DEVICE": "CPU",
        "GLIHAMBA_THREADS": " 3 ",
        "GLIHAMBA_UNLOAD_MINUTES": "0.5",
        "GLIHAMBA_LOG_LEVEL": "",
    }
    loaded = settings.in_force(environ, threads=None, queue_length=4)
    assert (loaded.device, loaded.threads, loaded.unload_minutes) == ("cpu", 3, 0.5)
    assert (loaded.queue_length, loaded.log_level) == (4, "info")
    assert settings.in_force(environ, device="cuda").device == "cuda"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("GLIHAMBA_DEVICE", "gpu", "GLIHAMBA_DEVICE must be one of auto, cpu, cuda, but is 'gpu'."),
        (
            "GLIHAMBA_THREADS",
            "many",
            "GLIHAMBA_THREADS must be a whole number from 0 to 1024, but is 'many'.",
        ),
        ("GLIHAMBA_THREADS", "-1", "GLIHAMBA_THREADS must be a whole number from 0 to 1024, but is '-1'."),
        (
            "GLIHAMBA_QUEUE_LENGTH",
            "0",
            "GLIHAMBA_QUEUE_LENGTH must be a whole number from 1 to 256, but is '0'.",
        ),
        (
            "GLIHAMBA_EXIT_MINUTES",
            "nan",
            "GLIHAMBA_EXIT_MINUTES must be a number from 0 to 1000000, but is 'nan'.",
        ),
        (
            "GLIHAMBA_CHUNK_BYTES",
            "9e9",
            "GLIHAMBA_CHUNK_BYTES must be a whole number from 4096 to 4194304, but is '9e9'.",
        ),
    ],
)
def test_a_bad_value_is_one_sentence(variable: str, value: str, sentence: str) -> None:
    with pytest.raises(settings.BadSetting) as raised:
        settings.in_force({variable: value})
    assert str(raised.value) == sentence


def test_a_bad_override_names_the_option() -> None:
    with pytest.raises(settings.BadSetting) as raised:
        settings.in_force({}, pixel_limit=0)
    assert str(raised.value) == "pixel limit must be a whole number from 1 to 2147483647, but is '0'."
    with pytest.raises(TypeError, match="no such setting: colour"):
        settings.in_force({}, colour="blue")


def test_every_setting_says_what_it_is() -> None:
    table = {row.name: row for row in settings.describe(settings.in_force({"GLIHAMBA_THREADS": "2"}))}
    assert table["threads"] == (
        "threads", "GLIHAMBA_THREADS", "int", "0", "2", "CPU threads for a network; 0: one for each core",
    )  # fmt: skip
    assert table["device"].type == "auto|cpu|cuda"
    assert all(row.help and row.default for row in table.values())


def test_settings_load_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "grpc", "platformdirs")
    code = f"import glihamba.settings, sys; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert shown.stdout.strip() == "[]"
