"""`assay up` from the first step to the last process ended."""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack, aclosing, suppress

from rich.console import Console

from assay.cli.up.options import Options
from assay.cli.up.process import Child
from assay.cli.up.show import Screen
from assay.cli.up.state import State, opened
from assay.cli.up.steps import Steps
from assay.clock import Clock, SystemClock
from assay.errors import AssayError, FailedPreconditionError

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_up(options: Options) -> int:
    """Do what was asked for; the exit status.

    Raises:
        AssayError: a step failed.
    """
    screen = Screen(Console(file=sys.stdout))
    with opened(options.state, options.trust_domain) as state:
        try:
            return asyncio.run(_Up(options, state, screen, SystemClock()).run())
        except BrokenPipeError:
            raise
        except OSError as error:
            hint = "make room there, or use another folder with --state"
            message = f"cannot write to {options.state}: {error.strerror or error}"
            raise FailedPreconditionError(message, hint=hint) from None


class _Up:
    def __init__(self, options: Options, state: State, screen: Screen, clock: Clock) -> None:
        self._options = options
        self._screen = screen
        self._clock = clock
        self._server = Child("server", state.server_log)
        self._agent = Child("agent", state.agent_log)
        self._steps = Steps(state, self._server, self._agent, clock)
        self._ready = False

    async def run(self) -> int:
        """Until a signal, or with --once until the SVIDs are verified."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        if task is not None:
            for number in SIGNALS:
                loop.add_signal_handler(number, task.cancel)
        async with AsyncExitStack() as children:
            # Ended in reverse order: the agent says good-bye to a server that still listens.
            children.push_async_callback(self._server.stop)
            children.push_async_callback(self._agent.stop)
            try:
                await self._bring_up()
                self._ready = True
                if not self._options.once:
                    await self._stay()
            except asyncio.CancelledError:
                self._screen.show_stopping()
                return 0 if self._ready else INTERRUPTED
        return 0

    async def _bring_up(self) -> None:
        steps, level = self._steps, self._options.log_level
        with self._screen.step("Starting the server", "Server started"):
            await steps.start_server(level)
        with self._screen.step("Registering this user", f"Registered unix:{steps.selector} as {steps.user_id}"):
            await steps.register()
        kept = "took up the SVID it kept" if steps.state.has_agent_svid() else "attested by its node certificate"
        with self._screen.step("Starting the agent", f"Agent started, {kept}"):
            await steps.start_agent(level)
        with self._screen.step("Fetching SVIDs", "Fetched and verified an X.509-SVID and a JWT-SVID"):
            fetched = await steps.fetch()
        self._screen.show_fetched(steps, fetched, self._clock.now())

    async def _stay(self) -> None:
        self._screen.show_running()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._server.wait_ended())
                group.create_task(self._agent.wait_ended())
                group.create_task(self._follow())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _follow(self) -> None:
        """Show each new X.509-SVID as it comes. That the stream ends is shown by the daemons' own end."""
        with suppress(AssayError):
            async with self._steps.client() as client, aclosing(client.watch_x509()) as contexts:
                known = (await anext(contexts)).default
                async for context in contexts:
                    if context.default != known:
                        known = context.default
                        self._screen.show_rotated(known, self._clock.now())
