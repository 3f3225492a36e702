"""The command line, with the field's names and meanings. `COMMANDLINE_ARGS` is read first, the command line wins."""

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from modules.core.errors import InvalidOption
from modules.core.named import closest

PORT_WITH_PAGE, PORT_API_ONLY = 7860, 7861
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What the server was started with."""

    port: int
    listen: bool
    exit: bool
    data_dir: Path
    models_dir: Path
    ckpt: Path | None
    ckpt_dir: Path | None
    vae_dir: Path | None
    lora_dir: Path | None
    embeddings_dir: Path | None
    no_hashing: bool
    api: bool
    nowebui: bool
    autolaunch: bool
    use_cpu: tuple[str, ...]
    device_id: str
    no_half: bool
    medvram: bool
    lowvram: bool
    xformers: bool
    gradio_auth: str
    api_auth: str
    offline: bool
    api_server_stop: bool

    @property
    def host(self) -> str:
        """The address to bind: this machine only, unless --listen."""
        return "0.0.0.0" if self.listen else "127.0.0.1"

    @property
    def memory(self) -> str:
        """The engine's memory policy: normal, medvram or lowvram."""
        return "lowvram" if self.lowvram else "medvram" if self.medvram else "normal"

    @property
    def serves_api(self) -> bool:
        """Whether /sdapi/v1 is there."""
        return self.api or self.nowebui


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidOption(message)


def parse_flags(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Flags:
    """Flags from `COMMANDLINE_ARGS` and the command line. Raises InvalidOption with a sentence that says what to do."""
    words = [*shlex.split(environment.get("COMMANDLINE_ARGS", "")), *arguments]
    parser = _parser()
    values, unknown = parser.parse_known_args(words)
    if unknown:
        raise InvalidOption(_unknown(unknown[0], parser))
    return _checked(values)


def _unknown(word: str, parser: argparse.ArgumentParser) -> str:
    flag = word.split("=")[0]
    known = list(parser._option_string_actions)  # pyright: ignore[reportPrivateUsage]
    meant = closest(flag, known) if flag.startswith("-") else None
    hint = f"; did you mean {meant}?" if meant else "; ./webui.sh --help lists all flags"
    return f"unknown flag {flag!r}{hint}"


def _checked(values: Any) -> Flags:
    _check_logins(values)
    data_dir = Path(values.data_dir or ROOT).expanduser().resolve()
    models_dir = Path(values.models_dir or data_dir / "models").expanduser().resolve()
    port = values.port or (PORT_API_ONLY if values.nowebui else PORT_WITH_PAGE)
    if not 0 < port < 65536:
        raise InvalidOption(f"--port is {port}; it must be between 1 and 65535")
    known: dict[str, Any] = vars(values) | {
        "port": port,
        "data_dir": data_dir,
        "models_dir": models_dir,
        "ckpt": _path(values.ckpt),
        "ckpt_dir": _path(values.ckpt_dir),
        "vae_dir": _path(values.vae_dir),
        "lora_dir": _path(values.lora_dir),
        "embeddings_dir": _path(values.embeddings_dir),
        "use_cpu": tuple(values.use_cpu),
    }
    return Flags(**known)


def _check_logins(values: Any) -> None:
    for flag, text in (("--gradio-auth", values.gradio_auth), ("--api-auth", values.api_auth)):
        if text:
            _check_login(flag, text)
    if not values.listen:
        return
    if not values.gradio_auth and not values.nowebui:
        raise InvalidOption(
            "--listen lets everybody on the network use this server; add a login with --gradio-auth name:password"
        )
    if (values.api or values.nowebui) and not values.api_auth:
        raise InvalidOption(
            "--listen with the API lets everybody on the network use it; add a login with --api-auth name:password"
        )


def _check_login(flag: str, text: str) -> None:
    for pair in text.split(","):
        name, _, password = pair.strip().partition(":")
        if not name or not password:
            raise InvalidOption(
                f"{flag} holds a login without a name or password; write {flag} name:password,name2:password2"
            )


def logins(text: str) -> dict[str, str]:
    """Names and passwords of `--gradio-auth` or `--api-auth`.

    >>> logins("ann:secret,bob:a:b")
    {'ann': 'secret', 'bob': 'a:b'}
    """
    pairs = [pair.strip().partition(":") for pair in text.split(",") if pair.strip()]
    return {name: password for name, _, password in pairs}


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser().resolve() if text else None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="webui.sh", description="Atelier: a web UI for text-to-image models.", allow_abbrev=False)
    yes: Any = {"action": "store_true"}
    server = parser.add_argument_group("server")
    server.add_argument(
        "--port", type=int, default=0, help=f"port to serve on ({PORT_WITH_PAGE}; {PORT_API_ONLY} with --nowebui)"
    )
    server.add_argument("--listen", **yes, help="serve the whole network, not only this machine; needs a login")
    server.add_argument("--gradio-auth", default="", metavar="NAME:PASSWORD[,…]", help="logins for the page")
    server.add_argument("--api-auth", default="", metavar="NAME:PASSWORD[,…]", help="logins for the HTTP API")
    server.add_argument("--api", **yes, help="serve the HTTP API under /sdapi/v1 beside the page")
    server.add_argument("--api-server-stop", **yes, help="let clients of the HTTP API end the server")
    server.add_argument("--nowebui", **yes, help="serve the HTTP API alone, without the page")
    server.add_argument("--autolaunch", **yes, help="open the page in the browser when it is up")
    server.add_argument("--offline", **yes, help="never download anything, not even when asked to")
    server.add_argument("--exit", **yes, help="prepare everything, then end")
    _add_paths(parser.add_argument_group("folders"))
    _add_device(parser.add_argument_group("device and memory"))
    return parser


def _add_paths(group: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]
    group.add_argument("--data-dir", help="where outputs, settings and extensions live (the folder of webui.sh)")
    group.add_argument("--models-dir", help="where the models live (<data-dir>/models)")
    group.add_argument("--ckpt", help="checkpoint to load first; it is listed wherever it lies")
    group.add_argument("--ckpt-dir", help="a further folder with checkpoints")
    group.add_argument("--vae-dir", help="a further folder with autoencoders (VAE)")
    group.add_argument("--lora-dir", help="a further folder with LoRA files")
    group.add_argument("--embeddings-dir", help="textual inversion embeddings (<data-dir>/embeddings)")
    group.add_argument("--no-hashing", action="store_true", help="never compute the SHA-256 of large model files")


def _add_device(group: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]
    yes: Any = {"action": "store_true"}
    group.add_argument(
        "--use-cpu", nargs="+", default=[], metavar="all", help="'all': use the CPU even where there is a GPU"
    )
    group.add_argument("--device-id", default="", help="which CUDA device to use (all of them)")
    group.add_argument("--no-half", **yes, help="32-bit numbers everywhere: slower, more memory, never NaN by overflow")
    group.add_argument("--medvram", **yes, help="keep only the part in use on the GPU")
    group.add_argument("--lowvram", **yes, help="keep only the layer in use on the GPU: very slow, fits small cards")
    group.add_argument("--xformers", **yes, help="attention by xformers, where it is installed (CUDA only)")
