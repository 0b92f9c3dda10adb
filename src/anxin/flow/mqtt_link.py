"""The way to an MQTT broker, the same for the platform's door and for a meter: address, login, TLS, topics.

Whoever holds the broker can at most keep records and receipts from arriving, or show who sends how often. He cannot
read a record (it is sealed), make one (it is signed), or make a meter forget one (the receipt is signed by the log).
"""

from __future__ import annotations

import logging
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from anxin.domain.errors import PolicyError
from anxin.settings import Settings

LOG = logging.getLogger("anxin.mqtt")
PORTS = {"mqtt": 1883, "mqtts": 8883}
VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
KEEP_ALIVE_S = 30
#: Bytes of the file with user and password: two lines.
MAX_LOGIN_BYTES = 4_096
#: Messages of ours that may wait for the broker; a receipt beyond it is dropped, and given again when it is asked for.
MAX_UNSENT = 10_000
#: Bytes of records that wait in the door to be kept: a hundred of the largest.
MAX_WAITING_BYTES = 128 * 1024 * 1024
#: Answers in one message: a receipt has 900 bytes, and brokers bound messages by 128 kB and more.
MAX_ANSWERS = 100


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker and how one speaks to it. `login` is user and password; it stands in no log and no representation."""

    host: str
    port: int
    tls: bool = False
    version: str = "3.1.1"
    ca_file: str = ""
    login: tuple[str, str] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def broker_of(settings: Settings) -> Broker:
    """Return the broker that the settings name. Raises PolicyError naming the setting at fault."""
    url = urlsplit(settings.mqtt_url)
    if url.username or url.password:
        raise PolicyError("ANXIN_MQTT_URL holds a login: put user and password into the file ANXIN_MQTT_LOGIN_FILE")
    try:
        port = url.port or PORTS.get(url.scheme, 0)
    except ValueError:
        port = 0
    if url.scheme not in PORTS or not url.hostname or not port or url.path not in ("", "/") or url.query:
        raise PolicyError("ANXIN_MQTT_URL must be mqtt://host:port or mqtts://host:port")
    if settings.mqtt_version not in VERSIONS:
        raise PolicyError(f"ANXIN_MQTT_VERSION must be 3.1.1 or 5, not {settings.mqtt_version!r}")
    levels = settings.mqtt_topic_prefix.split("/")
    if not all(levels) or any(c in settings.mqtt_topic_prefix for c in "+#\0"):
        raise PolicyError("ANXIN_MQTT_TOPIC_PREFIX has empty levels or wildcards")
    if any(c in settings.mqtt_share_group for c in "/+#\0"):
        raise PolicyError("ANXIN_MQTT_SHARE_GROUP has a slash or a wildcard")
    login = _login(settings.mqtt_login_file) if settings.mqtt_login_file else None
    return Broker(url.hostname, port, url.scheme == "mqtts", settings.mqtt_version, settings.mqtt_ca_file, login)


def _login(path: str) -> tuple[str, str]:
    try:
        data = Path(path).read_bytes()
        user, password = data.decode().splitlines() if len(data) <= MAX_LOGIN_BYTES else []
    except (OSError, ValueError):
        raise PolicyError("ANXIN_MQTT_LOGIN_FILE must name a file of two lines: user, password") from None
    return user, password


def topic(prefix: str, meter_id: str, leaf: str) -> str:
    """Return a topic of one meter. Its id stands percent-encoded (RFC 3986), so that it is one level and one spelling
    whatever it holds; leaf is `records`, `receipts` or `problems`."""
    return f"{prefix}/{topic_id(meter_id)}/{leaf}"


def topic_id(meter_id: str) -> str:
    """Return how a meter's id stands in a topic."""
    return quote(meter_id, safe="")


class Link:
    """One connection that comes back by itself.

    The session is clean on purpose: what a broker holds for us is never needed, because a meter sends again until it
    has our receipt. So no backlog of a broker has to be trusted, and none that is hours old arrives at once.

    `connected`, `disconnected` and `received` are called in the network's thread; what they raise is logged, because
    it would end the thread.
    """

    def __init__(
        self,
        broker: Broker,
        name: str,
        *,
        connected: Callable[[], None],
        disconnected: Callable[[], None],
        received: Callable[[MQTTMessage], None],
        manual_ack: bool = False,
        window: int = 1_000,
        max_packet_bytes: int = 0,
    ) -> None:
        self.broker = broker
        self.window = window
        five = broker.version == "5"
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{name}-{secrets.token_hex(6)}",
            clean_session=None if five else True,
            protocol=VERSIONS[broker.version],
            manual_ack=manual_ack,
        )
        self._callbacks = connected, disconnected, received
        self.client.on_connect = self._on_connect
        self.client.on_connect_fail = lambda *_: LOG.warning("%s cannot be reached; trying again", self.broker)
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = lambda _, __, message: _guarded(received, message)
        self.client.max_inflight_messages_set(window)
        self.client.max_queued_messages_set(MAX_UNSENT)
        if broker.login is not None:
            self.client.username_pw_set(*broker.login)
        if broker.tls:
            self.client.tls_set_context(_tls_context(broker.ca_file))
        self._properties: Properties | None = None
        if five:
            self._properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            self._properties.ReceiveMaximum = min(window, 65_535)
            if max_packet_bytes:
                self._properties.MaximumPacketSize = max_packet_bytes

    def _on_connect(self, client: Client, _: Any, __: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            LOG.error("%s refuses: %s", self.broker, reason)
            return
        # paho does not keep to the broker's own window by itself, and a broker may hang up on those who do not.
        client._max_inflight_messages = min(self.window, getattr(properties, "ReceiveMaximum", self.window))
        LOG.info("connected to %s", self.broker)
        _guarded(self._callbacks[0])

    def _on_disconnect(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        LOG.info("disconnected from %s: %s", self.broker, reason)
        _guarded(self._callbacks[1])

    def start(self, least_wait_s: int = 1, longest_wait_s: int = 60) -> None:
        """Connect in a thread, and again whenever the connection is lost: after 1, 2, 4, ... seconds."""
        self.client.reconnect_delay_set(least_wait_s, longest_wait_s)
        host, port = self.broker.host, self.broker.port
        if self._properties is None:
            self.client.connect_async(host, port, KEEP_ALIVE_S)
        else:
            self.client.connect_async(host, port, KEEP_ALIVE_S, clean_start=True, properties=self._properties)
        self.client.loop_start()

    @property
    def alive(self) -> bool:
        """Whether the network thread runs. paho ends it on an exception and tells nobody."""
        thread = self.client._thread
        return thread is not None and thread.is_alive()

    def publish(self, name: str, payload: bytes) -> MQTTMessageInfo | None:
        """Publish with QoS 1; return None where it was not even queued. That a broker took it proves nothing."""
        if not self.client.is_connected():
            return None
        info = self.client.publish(name, payload, qos=1)
        return info if info.rc in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN) else None

    def stop(self) -> None:
        """Disconnect; what was not sent is dropped."""
        self.client.disconnect()
        self.client.drop_out_messages()
        self.client.loop_stop()


def _guarded(callback: Callable[..., None], *values: Any) -> None:
    try:
        callback(*values)
    except Exception:
        LOG.exception("in the network's thread")


def _tls_context(ca_file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError):
        raise PolicyError("ANXIN_MQTT_CA_FILE must name a file of certificates (PEM)") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
