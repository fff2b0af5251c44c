"""`glihamba harmonize`: harmonize files through the daemon or in this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from glihamba import __version__
from glihamba.commands import choices, documents
from glihamba.commands.choices import Wanted, choose
from glihamba.commands.common import Bar, bar, device_option, json_option, print_json, say, serve_command
from glihamba.commands.pictures import Picture, Worker, pairs, passed_over
from glihamba_client.host import Choice
from glihamba_proto.checks import STRONGEST

# After one of these failures the next picture would fail in the same way.
_HOPELESS = {
    *(
        "NOT_INSTALLED",
        "START_FAILED",
        "START_SLOW",
        "DAEMON_FROZEN",
        "SANDBOXED",
        "COMMAND_REFUSED",
        "NO_ANSWER",
        "REMOTE_GONE",
        "BAD_ADDRESS",
        "TLS_FAILED",
    ),
    *("FILE_MISSING", "BAD_TOKEN", "SERVER_TOO_OLD", "CLIENT_TOO_OLD", "CLIENT_TOO_NEW"),
    *("UNKNOWN_MODEL", "MODEL_NOT_INSTALLED", "MODEL_DAMAGED"),
}
_NAMED = 20  # files that are passed over and named


@click.command()
@click.argument("composite", type=click.Path(path_type=Path))
@click.option("--mask", type=click.Path(path_type=Path), help="Mask file (or folder): white is the object.")
@click.option(
    "--layer", default="", metavar="NAME", help="The object's layer in an OpenRaster document (.ora)."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Output file (or folder).")
@click.option("--model", default="", help="Model to use; see: glihamba models list.  [default: the daemon's]")
@click.option(
    "--strength",
    type=click.FloatRange(0, STRONGEST),
    default=1.0,
    show_default=True,
    help="0 changes nothing. 1 is the model's full correction.",
)
@click.option(
    "--amount",
    metavar="PART=VALUE",
    multiple=True,
    callback=choices.amounts,
    help="How much of a part of the correction, -1 to 2: light, warmth, contrast, saturation or local (light"
    " that differs over the object). May be given several times.",
)
@click.option(
    "--variants", is_flag=True, help="Write up to three corrections to choose from: OUTPUT-1, OUTPUT-2, ..."
)
@click.option(
    "--lut",
    type=click.Path(path_type=Path),
    metavar="FILE.cube",
    help="Write the correction as a look-up table, for video and other editors; see: glihamba apply.",
)
@device_option
@click.option("--local", is_flag=True, help="Work in this process instead of the daemon.")
@click.option("--remote", default="", metavar="HOST:PORT", help="Use a daemon on another machine, by TLS.")
@click.option("--token-file", default="", help="File with the remote daemon's token.")
@click.option("--ca-file", default="", help="PEM file of the authority that signed its certificate.")
@click.option("--cluster", is_flag=True, help="Use all machines that Ray has: see above.")
@json_option
@click.pass_context
def harmonize(
    context: click.Context,
    /,
    composite: Path,
    mask: Path | None,
    layer: str,
    output: Path | None,
    amount: dict[str, float],
    variants: bool,
    lut: Path | None,
    cluster: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Recolour the object that MASK marks in COMPOSITE so that it fits its scene.

    Files are PNG, JPEG, TIFF or WebP, and AVIF as input. The bit depth, the colour profile, EXIF, XMP and
    transparency are kept. Pixels outside the mask do not change (PNG, TIFF and WebP are written without
    loss, JPEG at quality 95). The mask has the size of the picture as displayed. If it has transparency,
    that is the mask, otherwise its brightness.

    With folders, each composite is paired with the mask of its name (photo.jpg with photo.png). Bad files
    are skipped and listed at the end, and the exit status is 1 if there were any.

    With --cluster (and the extra of that name), a folder, or the pictures of a CSV file with the columns
    composite, mask and output (paths relative to it), go to the Ray cluster that RAY_ADDRESS names, or to all
    cores of this machine. Every machine must find the files under the same path. Existing outputs are
    kept, so the same command resumes an interrupted job. Failed pictures are listed in a CSV file that can be
    run again.

    \b
      glihamba harmonize composite.tif --mask mask.png -o harmonized.tif --strength 0.8
      glihamba harmonize composite.jpg --mask mask.png -o harmonized.jpg --variants --amount warmth=0.5
      glihamba harmonize frame.png --mask mask.png --lut shot.cube
      glihamba harmonize composites/ --mask masks/ -o harmonized/
      glihamba harmonize picture.ora --layer cat -o harmonized.ora
      glihamba harmonize pictures.csv --cluster
    """
    several = composite.is_dir() or cluster
    if several and (variants or lut):
        raise click.UsageError("--variants and --lut take one picture: name its file.")
    if cluster:
        from glihamba.commands import cluster as job

        if amount:
            raise click.UsageError("--cluster applies whole corrections: leave out --amount.")
        return job.harmonize(composite, mask, output, options, as_json)
    if layer or documents.is_one(composite):
        if mask or variants or lut or not (layer and output):
            raise click.UsageError(documents.USE)
        work = Worker(
            _service(options), Choice(options["model"], options["strength"], amounts=_message(amount))
        )
        with bar(not as_json) as shown:
            done = documents.harmonize(work, composite, layer, output, shown.show_job)
        print_json(done) if as_json else _say([done])
        return 0
    if mask is None or (output is None and (lut is None or variants)):
        named = "mask" if mask is None else "output"
        raise click.MissingParameter(
            ctx=context, param=next(p for p in context.command.params if p.name == named)
        )
    service = _service(options)
    if output is not None and output.is_dir() and not several:
        from glihamba.image_files import output_name

        output = output / output_name(composite)
    work = Worker(service, Choice(options["model"], options["strength"], amounts=_message(amount)))
    if variants or lut:
        return _choices(work, composite, mask, output, Wanted(variants, lut, amount), as_json)
    assert output is not None
    if composite.is_dir():
        return _folder(work, pairs(composite, mask, output), passed_over(composite), as_json)
    with bar(not as_json) as shown:
        done = work.harmonize(Picture(composite, mask, output), shown.show_job)
    print_json(done) if as_json else _say([done])
    return 0


def _message(amounts: dict[str, float]) -> Any:
    """Return the contract's Amounts, or None for a whole correction."""
    from glihamba_proto import harmonizer_pb2 as pb

    return pb.Amounts(**amounts) if amounts else None


def _choices(
    work: Worker, composite: Path, mask: Path, output: Path | None, wanted: Wanted, as_json: bool
) -> int:
    """Write a picture's variants or its look-up table. Returns the exit status."""
    with bar(not as_json) as shown:
        done = choose(work, composite, mask, output, wanted, shown.show_job)
    print_json(done) if as_json else _say(done)
    return 0


def _say(done: list[dict[str, Any]]) -> None:
    """Print what was written, and what there is to know of it."""
    said: set[str] = set()
    for facts in done:
        for message in facts["messages"]:
            if message not in said:
                say(f"Note: {message}", err=True)
            said.add(message)
        say(f"{facts['output']}: {facts.get('text') or _made(facts)}")


def _made(facts: dict[str, Any]) -> str:
    """Return by what a picture was harmonized, and which variant it is."""
    kind = f", variant {facts['kind']}" if "kind" in facts else ""
    return f"harmonized by {facts['model']} on {facts['device']} in {facts['seconds']:.1f} s{kind}"


def _folder(work: Worker, pictures: list[Picture], others: list[str], as_json: bool) -> int:
    """Harmonize all pictures and report the results, even if Ctrl-C or a general failure ends the job.

    Returns the exit status.
    """
    done: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    try:
        with bar(not as_json) as shown:
            _in_order(work, pictures, shown, done, failed)
    except BaseException:
        if done or failed:
            _tell(len(pictures), done, failed, others, as_json)
        raise
    _tell(len(pictures), done, failed, others, as_json)
    return 1 if failed else 0


def _in_order(
    work: Worker,
    pictures: list[Picture],
    shown: Bar,
    done: list[dict[str, Any]],
    failed: list[dict[str, str]],
) -> None:
    from glihamba import cli, ctrl_c
    from glihamba.commands.overlap import UnderWay, in_order
    from glihamba_proto.errors import Failure

    said: set[str] = set()

    def waiting(one: UnderWay) -> None:
        number, name = len(done) + len(failed), one.picture.composite.name
        shown.show("all", f"{number + 1} of {len(pictures)}: {name}", number, len(pictures))
        if one.progress is not None:
            shown.show_job(one.progress)

    for one in in_order(work, pictures, waiting):
        picture = one.picture
        try:
            done.append(one.written())
        except Exception as error:
            code = error.code if isinstance(error, Failure) else "INTERNAL"
            to_be_seen = code == "INTERNAL" and os.environ.get("GLIHAMBA_DEBUG")
            if code in _HOPELESS or to_be_seen or ctrl_c.pressed():
                raise
            reason = cli.sentence(error)
            failed.append({"composite": str(picture.composite), "code": code, "reason": reason})
            continue
        for message in done[-1]["messages"]:
            if message not in said:  # the daemon's notice is the same for all pictures
                shown.say(f"{picture.composite.name}: {message}")
            said.add(message)


def _tell(
    count: int,
    done: list[dict[str, Any]],
    failed: list[dict[str, str]],
    others: list[str],
    as_json: bool,
) -> None:
    """Print what became of the pictures. others: names of files in their folder that are no pictures."""
    if as_json:
        print_json({"done": done, "failed": failed, "passed_over": others})
        return
    say(f"{len(done)} of {count} pictures harmonized.")
    for failure in failed:
        say(f"  {Path(failure['composite']).name}: {failure['reason']}", err=True)
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        say(f"Passed over, because they are no pictures: {', '.join(others[:_NAMED])}{more}.", err=True)


def _service(options: dict[str, Any]) -> Any:
    """Return the service that the options ask for. Raises ClientError and BadSetting."""
    from glihamba import settings as table

    settings = table.in_force(device=options["device"])
    if options["local"] and options["remote"]:
        raise click.UsageError("Give either --local or --remote.")
    if options["local"]:
        from glihamba.commands.local import LocalService

        return LocalService(settings)
    from glihamba_client.service import DaemonService
    from glihamba_client.settings import Settings

    remote = {name: options[name] for name in ("remote", "token_file", "ca_file")}
    wanted = Settings(**remote, language="en")  # the command line prints English
    service = DaemonService(wanted, serve_command(options["device"]), f"glihamba harmonize/{__version__}")
    if options["device"] in ("cpu", "cuda"):
        _check_device(service, options["device"])
    return service


def _check_device(service: Any, wanted: str) -> None:
    """Raise ClientError if the running daemon uses another device than --device asks for."""
    from glihamba_client.client import Client, call
    from glihamba_client.errors import ClientError

    async def info() -> Any:
        return await Client(await service.connect()).info(timeout=60)

    told = call(info)
    if told.device.kind != wanted:
        raise ClientError(
            "BAD_REQUEST",
            told.notice  # the daemon was asked for the same device and could not use it
            or f"The daemon that runs uses {told.device.name or told.device.kind}, not {wanted}: "
            "end it first (glihamba stop), or add --local.",
        )
