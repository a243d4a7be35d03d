"""The flags of both daemons' `run` and `validate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.cli.taking import Flags
from assay.config.check import Override
from assay.config.document import Document, KeyPath
from assay.config.source import read


def _option(flag: str, text: str, metavar: str | None = None) -> Any:  # noqa: ANN401 - as typer has it
    return typer.Option(flag, help=text, metavar=metavar)


@dataclass(frozen=True, kw_only=True)
class DaemonFlags(Flags):
    """What both daemons' `run` and `validate` take."""

    config: Annotated[Path | None, _option("--config", "Configuration file: HCL, JSON or TOML.", "FILE")] = None
    expand_env: Annotated[bool, _option("--expand-env", "Expand $VARIABLES in the configuration file.")] = False
    trust_domain: Annotated[str | None, _option("--trust-domain", "Such as example.org.", "NAME")] = None
    data_dir: Annotated[Path | None, _option("--data-dir", "For what must outlive the process.", "DIR")] = None
    socket_path: Annotated[Path | None, _option("--socket-path", "The Unix socket to serve.", "PATH")] = None
    log_level: Annotated[str | None, _option("--log-level", "DEBUG, INFO, WARN or ERROR.", "LEVEL")] = None
    log_format: Annotated[str | None, _option("--log-format", "text or json.", "FORMAT")] = None
    log_file: Annotated[Path | None, _option("--log-file", "Log here, not to standard output.", "FILE")] = None
    log_source_location: Annotated[bool, _option("--log-source-location", "Say where in the code.")] = False

    def document(self, default: Path, without: Document, env: Mapping[str, str]) -> Document:
        """The file named, or the default one if it is there, or what stands for no file.

        Raises:
            ConfigError: the file is not there, or not readable.
        """
        if self.config is None and not default.exists():
            return without
        return read(self.config or default, env=env if self.expand_env else None)

    def overrides(self, flags: Mapping[KeyPath, str]) -> list[Override]:
        """The values given, for the keys they stand for."""
        given = ((path, flag, getattr(self, flag[2:].replace("-", "_"))) for path, flag in flags.items())
        return [Override(path, flag, _plain(value)) for path, flag, value in given if value not in {None, False}]


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
