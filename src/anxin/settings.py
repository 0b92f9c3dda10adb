"""All settings of the platform in one typed class. Each is read from the environment as ANXIN_<NAME IN CAPITALS>;
an unknown ANXIN_ key, or a value of the wrong kind, refuses to start."""

from __future__ import annotations

import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from anxin.domain.errors import PolicyError

PREFIX = "ANXIN_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings with their defaults; docs/operations.md has a row for each.

    data_dir              everything that the platform keeps: embedded PostgreSQL, keys, published log
    database_url          an external PostgreSQL (15 or later); empty: the embedded one
    outer_database_url, regulator_database_url   the same database as the roles of the two apps; empty: roles are made
    host, port            where the outer app listens: doors, operators, the public
    regulator_host, regulator_port   where the regulator's app listens, for the inner network
    log_origin            name of the evidence log, first line of every checkpoint
    policy_file           policy in force; empty: the one that comes with the software
    alarm_policy_file     how findings become alarms, and their deadlines; empty: what comes with the software
    holidays_file         holidays and worked weekends; empty: those of the State Council that come with the software
    zone                  IANA zone of dialects whose times carry none
    max_body_bytes        a larger request is refused before it is read
    max_batch             messages in one batch request of a meter
    max_skew_s            a T/CEC TimeStamp farther from our clock is refused (ac1982/tcec-ev-charging: 5 minutes)
    token_valid_s         validity of a T/CEC AccessToken (T/CEC 102.4: 7200 s in the published examples)
    pull_stations_minutes how often operators' platforms are asked for their stations
    pull_status_seconds   how often they are asked for the states of their connectors
    pull_orders_minutes   how often they are asked for orders that their checks list and that did not come
    pull_attempts, pull_retry_s   how often, and how many seconds apart, a platform that is away is asked again
    pull_timeout_s        seconds in which an answer must be here as a whole
    refused_kept          entries of the failed-write ledger kept for each sender
    upload_max_bytes      bytes of one uploaded file
    upload_max_unpacked_bytes   bytes that it unpacks to (XLSX, Parquet, .gz), by what it states and by what it is
    upload_max_rows       rows of one uploaded file
    upload_readers        uploads read at once, each in a process of its own
    commit_interval_ms    how long a group commit waits for company
    max_queue             messages waiting for a commit; beyond it the platform answers 503 with Retry-After
    party_rate_per_s      messages a second of one party, and requests with its token; beyond it 429 with Retry-After
    party_burst           as many at once, after a silence
    address_rate_per_s    requests a second from one address that turn out to be nobody's
    address_burst         as many at once
    guesses_per_minute    credentials from one address that do not hold, at one door
    request_within_s      a request that has not arrived as a whole by then ends with its connection
    max_connections       connections and requests at once; beyond it 503
    web_processes         processes that serve the outer app; each counts rates and connections for itself
    least_free_mb         less room in the data folder, and the platform says that it is not ready
    publish_interval_ms   how often the log's tiles and checkpoint are written
    witnesses             file of the log's witnesses, a line each: verifier key, URL; empty: none
    witness_quorum        cosignatures that make a checkpoint a witnessed one
    judge_batch           messages decoded and judged in one go
    judge_window_days     facts so many days around a change are judged again with it
    ocpp_max_frame_bytes  a larger frame of a charger is refused and its connection closed
    ocpp_max_connections  chargers connected at once; beyond it the answer is 503 with Retry-After
    ocpp_frames_per_s     frames read of one charger a second; it is read more slowly beyond it, and nothing is lost
    ocpp_heartbeat_s      interval of heartbeats that a charger is told at its boot
    ocpp_idle_s           a charger that says nothing for so long is disconnected
    ocpp_vendor_id        vendor id under which a charger may ask for receipts (DataTransfer)
    public_url            how others reach this platform, without a slash at its end; empty: as they address it
    regulator_url         how the regulator's people reach their app, in the same way
    session_idle_s        a person's session that is not used for so long is over (NIST SP 800-63B: 30 minutes)
    session_absolute_s    a person logs in again after so long at the latest (NIST SP 800-63B: 12 hours)
    second_factor         whose people need a second factor: `regulator`, `all` or `nobody`
    oidc_issuer           issuer of the single sign-on (OpenID Connect), https; empty: none
    oidc_app              whose people it logs in: `regulator` or `outer`
    oidc_client_id        who this platform is there
    oidc_client_secret_file   file of its secret; empty: a client without one
    oidc_claim            claim of the ID token that is a person's login
    ocpi_country_code, ocpi_party_id, ocpi_name   who this platform is over OCPI
    ocpi_hosts            `public`: an operator's OCPI platform may be any public host, by https; `named`: only those
                          that the administrator named for him
    ocpi_timeout_s        an operator's OCPI platform that does not answer so long is given up
    mqtt_url              broker of the meters' MQTT door, mqtt://host:port or mqtts://host:port; empty: no such door
    mqtt_version          3.1.1 or 5
    mqtt_topic_prefix     levels before the meter's id
    mqtt_login_file       file of two lines, user and password
    mqtt_ca_file          certificates (PEM) that the broker's is checked against; empty: the system's
    mqtt_share_group      shared subscription group, where several platforms' processes share the records
    mqtt_window           messages that the broker may hand over before they are answered
    events_connections    event streams at once of one process; beyond it 503
    events_per_party      event streams at once of one party; beyond it 429
    events_heartbeat_s    an event stream with nothing to say gives a sign of life so often
    events_send_s         an event stream whose reader takes nothing for so long is cut
    events_days           events are kept so many days for those who come again
    webhooks_per_party    endpoints of one operator, and of the regulator
    webhook_hosts         hosts (`name` or `name:port`, comma between) that endpoints may have though they are not
                          public, and without TLS; every other host must be public, by https
    webhook_timeout_s     an endpoint that has not answered by then is tried again
    webhook_retry_s, webhook_retry_max_s   pause after a failure, doubled after each further one up to the second
    webhook_attempts      attempts before an event becomes a dead letter
    webhook_pause_hours   an endpoint that fails for so long is paused and its owner told
    webhook_old_secret_hours   how long the old secret signs beside a new one
    webhook_at_once       calls to endpoints under way at the same moment
    mail_url              mail server: smtps://host:port, smtp://host:port (STARTTLS, demanded), or
                          smtp+local://127.0.0.1:port without TLS; empty: no mail
    mail_login_file       file of two lines, user and password
    mail_ca_file          certificates (PEM) that the server's is checked against; empty: the system's
    mail_from             address that mails come from
    mail_wait_s           how long a mail waits for company after the first event that it tells of
    mail_gap_s            between two mails of one subscription; what happens meanwhile is one mail
    mail_digest_hour      hour of the daily digest, in `zone`
    mail_per_minute       mails handed over in a minute, of all subscriptions
    mail_per_party        subscriptions of one person
    mail_retry_s          pause after a mail was put off, doubled after each further time
    mail_timeout_s        a mail server that does not answer so long is given up
    attachment_max_bytes  bytes of one attachment of an alarm
    attachments_per_alarm, attachments_alarm_max_bytes   how many an alarm has, and their bytes
    complaints_per_address_hour   drivers' complaints from one address in an hour
    complaints_per_order_day      complaints on one order number in a day that are compared with orders
    pack_key_file, pack_cert_file   key and certificate (PEM) that sign evidence packs' summaries; empty: own ones
    certificates_unconfirmed   `marked`: a certificate that rests on unconfirmed limits may be issued, says so on its
                          face, and its issuer says that he knows; `refuse`: none is issued
    complaints_line       whom a driver calls, on a charger's public page (12315: the consumers' line of the State)
    public_rate_per_s     questions on chargers and certificates a second from one address; beyond it 429
    public_burst          as many at once
    finder_rate_per_s     questions for the nearest chargers a second from one address; beyond it 429 with Retry-After
    finder_burst          as many at once
    open_data_downloads   downloads of open data under way at once of one process; beyond it 503
    open_data_publisher   who publishes the open data; empty: ocpi_name
    open_data_licence     licence of the open data, by its SPDX identifier or name
    open_data_licence_url   where its text is
    open_data_country     country (ISO 3166-1 alpha-3) of stations outside China, where the register holds any
    log_level             debug, info, warning or error
    """

    data_dir: Path = Path("data")
    database_url: str = ""
    outer_database_url: str = ""
    regulator_database_url: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    regulator_host: str = "127.0.0.1"
    regulator_port: int = 8081
    log_origin: str = "anxin.example/log"
    policy_file: str = ""
    alarm_policy_file: str = ""
    holidays_file: str = ""
    zone: str = "Asia/Shanghai"
    max_body_bytes: int = 16 * 1024 * 1024
    max_batch: int = 1_000
    max_skew_s: int = 300
    token_valid_s: int = 7_200
    pull_stations_minutes: int = 60
    pull_status_seconds: int = 60
    pull_orders_minutes: int = 60
    pull_attempts: int = 3
    pull_retry_s: int = 60
    pull_timeout_s: int = 30
    refused_kept: int = 10_000
    upload_max_bytes: int = 16 * 1024 * 1024
    upload_max_unpacked_bytes: int = 256 * 1024 * 1024
    upload_max_rows: int = 200_000
    upload_readers: int = 2
    commit_interval_ms: int = 5
    max_queue: int = 20_000
    party_rate_per_s: int = 500
    party_burst: int = 5_000
    address_rate_per_s: int = 100
    address_burst: int = 1_000
    guesses_per_minute: int = 30
    request_within_s: int = 30
    max_connections: int = 20_000
    web_processes: int = 1
    least_free_mb: int = 1_024
    publish_interval_ms: int = 1_000
    witnesses: str = ""
    witness_quorum: int = 1
    judge_batch: int = 2_000
    judge_window_days: int = 4
    ocpp_max_frame_bytes: int = 262_144
    ocpp_max_connections: int = 20_000
    ocpp_frames_per_s: int = 20
    ocpp_heartbeat_s: int = 300
    ocpp_idle_s: int = 900
    ocpp_vendor_id: str = "anxin-charging"
    public_url: str = ""
    regulator_url: str = ""
    session_idle_s: int = 1_800
    session_absolute_s: int = 43_200
    second_factor: str = "regulator"
    oidc_issuer: str = ""
    oidc_app: str = "regulator"
    oidc_client_id: str = ""
    oidc_client_secret_file: str = ""
    oidc_claim: str = "preferred_username"
    ocpi_country_code: str = "CN"
    ocpi_party_id: str = "AXC"
    ocpi_name: str = "安心充电 Anxin Charging"
    ocpi_hosts: str = "public"
    ocpi_timeout_s: int = 10
    mqtt_url: str = ""
    mqtt_version: str = "3.1.1"
    mqtt_topic_prefix: str = "meter/v1"
    mqtt_login_file: str = ""
    mqtt_ca_file: str = ""
    mqtt_share_group: str = ""
    mqtt_window: int = 1_000
    events_connections: int = 1_000
    events_per_party: int = 20
    events_heartbeat_s: int = 15
    events_send_s: int = 20
    events_days: int = 90
    webhooks_per_party: int = 10
    webhook_hosts: str = ""
    webhook_timeout_s: int = 15
    webhook_retry_s: int = 5
    webhook_retry_max_s: int = 3_600
    webhook_attempts: int = 12
    webhook_pause_hours: int = 24
    webhook_old_secret_hours: int = 24
    webhook_at_once: int = 200
    mail_url: str = ""
    mail_login_file: str = ""
    mail_ca_file: str = ""
    mail_from: str = "anxin@localhost"
    mail_wait_s: int = 10
    mail_gap_s: int = 300
    mail_digest_hour: int = 8
    mail_per_minute: int = 60
    mail_per_party: int = 5
    mail_retry_s: int = 60
    mail_timeout_s: int = 30
    attachment_max_bytes: int = 10 * 1024 * 1024
    attachments_per_alarm: int = 50
    attachments_alarm_max_bytes: int = 64 * 1024 * 1024
    complaints_per_address_hour: int = 10
    complaints_per_order_day: int = 3
    pack_key_file: str = ""
    pack_cert_file: str = ""
    certificates_unconfirmed: str = "marked"
    complaints_line: str = "12315"
    public_rate_per_s: int = 2
    public_burst: int = 30
    finder_rate_per_s: int = 5
    finder_burst: int = 50
    open_data_downloads: int = 4
    open_data_publisher: str = ""
    open_data_licence: str = "CC-BY-4.0"
    open_data_licence_url: str = "https://creativecommons.org/licenses/by/4.0/"
    open_data_country: str = "CHN"
    log_level: str = "info"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of an environment. Raises PolicyError naming the key at fault."""
    found = os.environ if environment is None else environment
    hints = typing.get_type_hints(Settings)
    names = {f.name for f in fields(Settings)}
    values: dict[str, Any] = {}
    for key, text in found.items():
        if not key.startswith(PREFIX):
            continue
        name = key[len(PREFIX) :].lower()
        if name not in names:
            raise PolicyError(f"unknown setting {key}: docs/operations.md lists those there are")
        values[name] = _value(key, text, hints[name])
    return Settings(**values)


def _value(key: str, text: str, kind: Any) -> Any:
    if kind is int:
        if not text.isdecimal() or not int(text):
            raise PolicyError(f"setting {key} must be a whole number above zero, not {text!r}")
        return int(text)
    return kind(text)
