"""The daemon for cases inside either editor: hold and release its jobs, and start one of another person."""

import json
import os

from pictures import write

FOLDER = os.path.realpath(os.environ["GLIHAMBA_DATA_DIR"])
HOLD, BEGAN, GAVE_UP = (os.path.join(FOLDER, name) for name in ("hold", "began", "gave-up"))


def hold():
    """Make the daemon begin no job from here on."""
    for path in (HOLD, BEGAN, GAVE_UP):
        if os.path.exists(path):
            os.remove(path)
    write(HOLD, b"")


def let_go():
    if os.path.exists(HOLD):
        os.remove(HOLD)


def person(folder, **note):
    """A data folder of another person. `note` is the content of the file that install.py writes there."""
    os.makedirs(folder)
    with open(os.path.join(folder, "settings.json"), "w") as file:
        json.dump({"model": "statistics", "language": "en"}, file)
    if note:
        with open(os.path.join(folder, "daemon.json"), "w") as file:
            json.dump(note, file)
    return folder


def command():
    """How a daemon is started here."""
    with open(os.path.join(FOLDER, "daemon.json"), encoding="utf-8") as file:
        return json.load(file)["command"]


def python(code):
    """A command that runs `code` in the daemon's Python."""
    words = command()
    return [*words[: words.index("-m")], "-c", code]


def endless(began):
    """A command of a daemon whose jobs never end. A job that begins makes the file `began`."""
    code = (
        "import pathlib, time; from glihamba.engine.runner import Runner; "
        f"Runner.run = lambda *_: (pathlib.Path({began!r}).touch(), time.sleep(600)); "
        "from glihamba.cli import main; main()"
    )
    return [*python(code), "serve", "--device", "cpu"]


def mend(folder):
    """Have the next daemon of that folder be the usual one."""
    write(os.path.join(folder, "daemon.json"), json.dumps({"command": command()}).encode())


def process(folder):
    """The process id of the daemon of that folder."""
    with open(os.path.join(folder, "run", "endpoint.json"), encoding="utf-8") as file:
        return json.load(file)["pid"]
