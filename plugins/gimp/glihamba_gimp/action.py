"""One act of harmonizing, from the person's choice to the new layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gi.repository import Gegl, Gimp

from glihamba_client import __version__, settings
from glihamba_client.errors import ClientError
from glihamba_client.harmonize_layer import guarded, run
from glihamba_client.host import Choice, Steps
from glihamba_client.preview import PARTS
from glihamba_client.service import DaemonService
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto import places
from glihamba_proto.errors import Failure

from .host import GimpHost

if TYPE_CHECKING:
    from .dialog import Picked

NAME = f"gimp/{__version__}"


def harmonize(
    procedure: Gimp.Procedure,
    mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
) -> tuple[Gimp.Layer | None, str]:
    """The new group, of several the highest; or None and the sentence that says why.

    The sentence is empty when the person has cancelled.
    """
    Gegl.init(None)
    language = ""
    try:
        chosen = settings.read(places.settings_file())
        language = chosen.language
        host = GimpHost(image, drawables, language)
        service = DaemonService(chosen, name=NAME)
        if mode == Gimp.RunMode.INTERACTIVE:
            from . import dialog  # needs a display

            picked = dialog.ask(procedure, config, host, service)
            if picked is None:
                return None, ""
            host.set_up(config.get_property("scene"), config.get_property("edge"))
            work = chosen_in_dialog(host, config, picked)
        else:
            host.set_up(config.get_property("scene"), config.get_property("edge"))
            work = asked_for(host, config, service)
    except Failure as error:
        return None, error.sentence(language)
    except Exception as error:
        failure = ClientError("HOST_FAILED", reason=f"{type(error).__name__}: {error}")
        return None, failure.sentence(language)
    run(guarded(host, work, language))
    return (host.added[-1] if host.added else None), host.failure


def asked_for(host: GimpHost, config: Gimp.ProcedureConfig, service: DaemonService) -> Steps[None]:
    """The work that the arguments ask for."""
    if config.get_property("editable"):
        return host.add_filters(service, choice_of(config))
    if config.get_property("all"):
        return host.add_all(service, choice_of(config))
    return host.add_pixels(service, [choice_of(config)])


def chosen_in_dialog(host: GimpHost, config: Gimp.ProcedureConfig, picked: Picked) -> Steps[None]:
    """The work that the person asks for."""
    if picked.small is not None and picked.fit is not None:
        return host.add_filter(picked.small, picked.fit, picked.strength)
    if not picked.corrections:
        return asked_for(host, config, picked.service)
    asked = choice_of(config)
    choices = [replace(asked, transform=one, strength=strength) for one, strength in picked.corrections]
    return host.add_pixels(picked.service, choices)


def choice_of(config: Gimp.ProcedureConfig) -> Choice:
    """What the arguments say."""
    amounts = {name: config.get_property(name) for name in PARTS}
    asked = None if all(amount == 1 for amount in amounts.values()) else pb.Amounts(**amounts)
    return Choice(config.get_property("model"), config.get_property("strength"), amounts=asked)
