"""`anxin serve` and `anxin run`: the platform on this machine; `run` lets a virtual city speak to it."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from anxin.domain.party import Party, Role
from anxin.flow import serving
from anxin.settings import Settings, load_settings

JUDGE_NICE, OCCUPANCY_NICE, WATCH_NICE = 5, 10, 15
DEFAULT_CHARGERS, DEFAULT_SPEED = 400, 48.0


def add_parser(subparsers: Any) -> None:
    """Add `serve` to the program's parser."""
    _common(
        subparsers.add_parser(
            "serve", help="启动平台 · start the platform", description="启动平台。 Start the platform on this machine."
        )
    )


def add_run_parser(subparsers: Any) -> None:
    """Add `run` to the program's parser."""
    run_parser = subparsers.add_parser(
        "run",
        help="启动平台与虚拟城市 · the platform with a virtual city",
        description="启动平台，由一座虚拟城市经同样的接口上传数据。 "
        "Start the platform; a virtual city speaks to it through the same doors as anyone.",
    )
    _common(run_parser)
    run_parser.add_argument(
        "--chargers", type=int, default=DEFAULT_CHARGERS, help="虚拟城市的充电桩数 · chargers (%(default)s)"
    )
    run_parser.add_argument("--seed", type=int, default=1, help="种子 · seed of the city (%(default)s)")
    run_parser.add_argument(
        "--mqtt",
        metavar="URL",
        help="MQTT 代理；三分之一的电能表经由它上传 · broker for a third of the meters (ANXIN_MQTT_URL)",
    )
    run_parser.add_argument(
        "--speed", type=_speed, default=DEFAULT_SPEED, help="追赶时的时钟倍速 · how fast it catches up (%(default)s)"
    )


def _speed(text: str) -> float:
    speed = float(text)
    if not 1 < speed < 1e6:
        raise argparse.ArgumentTypeError("above 1")
    return speed


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="数据目录 · data folder (ANXIN_DATA_DIR, else data)")
    parser.add_argument("--port", type=int, help="外部端口 · outer port (ANXIN_PORT, else 8080)")
    parser.add_argument(
        "--regulator-port", type=int, help="监管端口 · the regulator's port (ANXIN_REGULATOR_PORT, else 8081)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until stopped. Returns 0. Raises InputError, PolicyError, StoreError where it cannot start."""
    settings = load_settings()
    given = {
        "data_dir": args.data and args.data.resolve(), "port": args.port, "regulator_port": args.regulator_port,
        "mqtt_url": getattr(args, "mqtt", None),
    }  # fmt: skip
    settings = dataclasses.replace(settings, **{k: v for k, v in given.items() if v is not None})
    settings = dataclasses.replace(settings, data_dir=settings.data_dir.resolve())
    serving.configure_log(dataclasses.replace(settings, log_level="warning"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the children run, it ends us as Ctrl-C does
    with serving.hold_folder(settings.data_dir):
        serving.require_port(settings.host, settings.port)
        serving.require_port(settings.regulator_host, settings.regulator_port, "--regulator-port")
        _serve(settings, args)
    print("已停止 · stopped", flush=True)
    return 0


def _serve(settings: Settings, args: argparse.Namespace) -> None:
    from anxin.assembly import open_platform
    from anxin.flow.face_roles import prepare_roles
    from anxin.store.embedded import EmbeddedServer

    server = None if settings.database_url else EmbeddedServer(settings.data_dir / "postgres")
    try:
        url = settings.database_url
        if server is not None:
            print("PostgreSQL …", file=sys.stderr)
            url = server.start().url
        note = ""
        platform = open_platform(settings, url)
        try:
            faces = prepare_roles(platform.database, settings)
            # QR codes of a virtual city's papers lead to this machine. The outer app is told no address: people
            # may call the machine by any of its names.
            here = address_of(settings) if args.command == "run" else ""
            regulator = partial(regulator_child, public_url=here)
            children = [
                serving.Child("judge", judge_child),
                serving.Child("desk", desk_child),
                serving.Child("log", log_child),
                serving.Child("pull", pull_child),
                serving.Child("occupancy", occupancy_child),
                serving.Child("notices", notices_child),
                serving.Child("watch", watch_child),
                *web_children(settings, faces.outer),
                serving.Child("regulator", regulator, url=faces.regulator),
            ]
            if settings.mqtt_url:
                children.append(serving.Child("mqtt", mqtt_child, url=faces.outer))
            if args.command == "run":
                note = _enrol(platform, settings, args)
                city = serving.city(settings.data_dir / "city", args.chargers, args.seed, args.speed)
                children.append(serving.Child("city", city, sender=True))
        finally:
            platform.database.close()
        base = address_of(settings)
        inside = f"http://{settings.regulator_host}:{settings.regulator_port}"
        told = f"""
安心充电 已启动 · Anxin Charging is running
  司机 · driver's page    {base}/driver/
  运营商 · portal         {base}/portal/
  监管 · console          {inside}/console/
  状态 · status page      {base}/
  接口 · interactive API  {base}/docs
  存证 · evidence log     {base}/log/checkpoint
{note}  停止 · stop             Ctrl-C
"""
        serving.run_children(settings, url, children, lambda: print(told, flush=True), server)
    finally:
        if server is not None:
            server.stop()


def address_of(settings: Settings) -> str:
    """Return where the outer app answers on this machine."""
    return f"http://{settings.host}:{settings.port}"


def _enrol(platform: Any, settings: Settings, args: argparse.Namespace) -> str:
    """Enter the virtual city's register, keys and secrets at the first start; say where the tokens are."""
    from anxin.city.meters import make_secret
    from anxin.flow import enrol
    from anxin.flow.city_people import enter_people
    from anxin.flow.drive_city import load_events
    from anxin.flow.make_city import content_key

    folder = settings.data_dir / "city"
    path = folder / "secrets.json"
    if not path.is_file():
        print("虚拟城市 · virtual city …", file=sys.stderr)
        city = load_events(folder, args.chargers, args.seed).city
        seed = city.options.seed
        keys = [content_key(make_secret(seed, n, m)) for n, m in enumerate(city.world.meter_code)]
        database, vault = platform.database, platform.vault
        enrol.enrol_register(database, vault, city.register, keys)
        operators = city.register.operators
        parties = [Party(o.operator_id, Role.OPERATOR, o.name, o.operator_id) for o in operators]
        serving.write_private(
            path,
            {
                "operators": {o.operator_id: enrol.new_tcec_secrets(database, vault, o.operator_id) for o in operators},
                "tokens": {p.party_id: enrol.new_token(database, vault, p) for p in parties}
                | {"inspector": enrol.new_token(database, vault, Party(enrol.INSPECTOR, Role.INSPECTOR, "检查员"))}
                | {"bench": enrol.new_token(database, vault, Party("BENCH-1", Role.BENCH, "检定装置"))},
                "people": enter_people(database, vault, parties[0].party_id),
            },
        )
    return f"  令牌与人员 · tokens, people  {path}\n  车主账单 · drivers' bills     {folder / 'bills.json'}\n"


def web_children(settings: Settings, url: str) -> list[serving.Child]:
    """Return the processes that serve the outer app, as many as the settings say."""
    numbers = range(1, settings.web_processes + 1)
    return [serving.Child("web" if n == 1 else f"web-{n}", partial(web_child, number=n), url=url) for n in numbers]


def web_child(settings: Settings, url: str, stop: threading.Event, number: int = 1) -> None:
    """Serve the outer app until stopped, as process `number` of those that share the port."""
    from anxin.assembly import open_face
    from anxin.faces.outer import create_app

    platform = open_face(settings, url)
    platform.owns_process = True
    if settings.web_processes > 1:
        platform.measures.share(settings.data_dir / "run", number, settings.web_processes, stop)
    _listen(create_app(platform), settings, settings.host, settings.port, stop, shared=settings.web_processes > 1)
    platform.database.close()


def regulator_child(settings: Settings, url: str, stop: threading.Event, public_url: str = "") -> None:
    """Serve the regulator's app until stopped. `public_url`: the outer app's address, if the settings do not say."""
    from anxin.assembly import open_face
    from anxin.faces.regulator import create_app

    settings = dataclasses.replace(settings, public_url=settings.public_url or public_url)
    platform = open_face(settings, url)
    platform.owns_process = True
    _listen(create_app(platform), settings, settings.regulator_host, settings.regulator_port, stop)
    platform.database.close()


def _listen(app: Any, settings: Settings, host: str, port: int, stop: threading.Event, *, shared: bool = False) -> None:
    import uvicorn

    from anxin.faces.connection import MAX_HEAD_BYTES, REST_S, guarded_protocol

    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False,
        http=guarded_protocol(settings.request_within_s), h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=REST_S, limit_concurrency=settings.max_connections, timeout_graceful_shutdown=3,
        ws_max_size=2 * settings.ocpp_max_frame_bytes,  # the door itself says why
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]

    def watch() -> None:
        stop.wait()
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()
    server.run(sockets=[serving.shared_socket(host, port)] if shared else None)


def mqtt_child(settings: Settings, url: str, stop: threading.Event) -> None:
    """Serve the meters' door over MQTT until stopped."""
    import asyncio

    from anxin.assembly import open_face
    from anxin.faces.mqtt import serve_meters

    platform = open_face(settings, url)
    platform.owns_process = True
    asyncio.run(serve_meters(platform, stop))
    platform.database.close()


def judge_child(settings: Settings, url: str, stop: threading.Event) -> None:
    """Judge until stopped."""
    # Evidence before judgement: where both want the processor, the doors have it first.
    os.nice(JUDGE_NICE)
    from anxin.flow.live import judge_for_ever

    with _platform(settings, url) as platform:
        judge_for_ever(platform, stop)


def pull_child(settings: Settings, url: str, stop: threading.Event) -> None:
    """Ask the operators' platforms until stopped."""
    from anxin.flow.tcec102_pull import pull_for_ever

    with _platform(settings, url) as platform:
        pull_for_ever(platform, stop)


def desk_child(settings: Settings, url: str, stop: threading.Event) -> None:
    """Make alarms of findings, and keep their deadlines, until stopped."""
    from anxin.flow.desk import desk_for_ever

    with _platform(settings, url, credentials=False) as platform:
        desk_for_ever(platform, stop)


def notices_child(settings: Settings, url: str, stop: threading.Event) -> None:
    """Tell of events, by webhook and mail, until stopped."""
    from anxin.flow.notices import tell_for_ever

    with _platform(settings, url, credentials=False) as platform:
        tell_for_ever(platform, stop)


def watch_child(settings: Settings, url: str, stop: threading.Event) -> None:
    """Look for what only many sessions show until stopped."""
    os.nice(WATCH_NICE)  # nobody waits for it
    from anxin.flow.surveillance import watch_for_ever

    with _platform(settings, url, credentials=False) as platform:
        watch_for_ever(platform, stop)


def occupancy_child(settings: Settings, url: str, stop: threading.Event) -> None:
    """Keep the roll-ups of what connectors are doing until stopped."""
    os.nice(OCCUPANCY_NICE)
    from anxin.flow.occupancy_keeping import keep_for_ever

    with _platform(settings, url, credentials=False) as platform:
        keep_for_ever(platform, stop)


@contextmanager
def _platform(settings: Settings, url: str, *, credentials: bool = True) -> Iterator[Any]:
    """A platform that works as the database's owner, closed at the end."""
    from anxin.assembly import open_platform

    platform = open_platform(settings, url, credentials=credentials)
    try:
        yield platform
    finally:
        platform.database.close()


def log_child(settings: Settings, url: str, stop: threading.Event) -> None:
    """Publish the evidence log until stopped."""
    from anxin.assembly import open_database
    from anxin.flow.publishing import publish_for_ever

    # It knows no party and holds no secret but the log's own key.
    database = open_database(url)
    publish_for_ever(database, settings, stop)
    database.close()
