"""The daemon as the use case's service: found, started or remote, as the settings say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glihamba_client import launcher, remote
from glihamba_client.client import NAME, Client, Task
from glihamba_client.host import AS_PREDICTED, Capture, Choice, Harmonized, Plane
from glihamba_client.patience import patiently
from glihamba_client.settings import Settings
from glihamba_proto.endpoint import Endpoint


class DaemonService:
    """Harmonizes in the daemon. `command` replaces the installed way to start it; `name` is the host's.

    service = DaemonService(Settings())
    run(harmonize_layer(host, service))
    """

    def __init__(
        self, settings: Settings | None = None, command: Sequence[str] | None = None, name: str = NAME
    ) -> None:
        self.settings = settings or Settings()
        self._command, self._name = command, name

    def with_settings(self, settings: Settings) -> DaemonService:
        """The same host's service with other settings."""
        return DaemonService(settings, self._command, self._name)

    def start(self, capture: Capture, choice: Choice = AS_PREDICTED) -> Task[Harmonized]:
        async def work(task: Task[Harmonized]) -> Harmonized:
            async def attempt() -> Harmonized:
                client = Client(await self.connect(task), self._name, self.settings.language)
                return await client.harmonize(
                    capture,
                    model=choice.model or self.settings.model,
                    strength=choice.strength,
                    transform=choice.transform,
                    amounts=choice.amounts,
                    report=task.report,
                )

            return await patiently(attempt, task.report)

        return Task(work, "glihamba-job")

    def predict(self, composite: Plane, mask: Plane, model: str = "") -> Task[Any]:
        """The corrections to choose from: the contract's `PredictResponse`.

        The planes may be scaled down: 512 pixels for the longer side show a network all that it can see.
        """

        async def work(task: Task[Any]) -> Any:
            async def attempt() -> Any:
                client = Client(await self.connect(task), self._name, self.settings.language)
                return await client.predict(composite, mask, model=model or self.settings.model)

            return await patiently(attempt, task.report)

        return Task(work, "glihamba-predict")

    def ask(self) -> Task[tuple[Any, list[Any]]]:
        """What the daemon says of itself, a `ServerInfo`, and its models; starts it if need be."""

        async def work(task: Task[Any]) -> tuple[Any, list[Any]]:
            client = Client(await self.connect(task), self._name, self.settings.language)
            return await client.info(), await client.models()

        return Task(work, "glihamba-ask")

    async def connect(self, task: Task[Any] | None = None) -> Endpoint:
        """Where the daemon answers; starts it when it is this machine's and none does."""
        if not self.settings.remote:
            report = task.report if task else lambda progress: None
            return await launcher.connect(self._command, report)
        found = remote.endpoint(self.settings)
        await Client(found).info()
        return found
