"""The regulator's app, for the inner network: what the console reads and does. Nobody from outside is known here."""

from __future__ import annotations

from fastapi import FastAPI

from anxin.domain.party import REGULATOR
from anxin.domain.person import Side
from anxin.faces import (
    alarms,
    attachments,
    bench,
    book,
    certificates,
    chargers,
    complaints,
    events,
    log,
    mail,
    occupancy,
    packs,
    people,
    places,
    reading,
    refused,
    session,
    siting,
    sso,
    status,
    uptime_claims,
    webhooks,
    webpages,
)
from anxin.faces.app import assembled
from anxin.faces.surveillance import quality, triage
from anxin.flow.alarm_rules import load_rules
from anxin.flow.complaints import Complaints
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer


def create_app(platform: Platform) -> FastAPI:
    """Return the app. It starts the platform's intake with itself and stops it after the last request."""
    rules = load_rules(platform.settings)
    signer, folder = log_signer(platform.settings), log_folder(platform.settings)
    return assembled(
        platform, "安心充电 监管 Anxin Charging, the regulator's side", REGULATOR,
        (
            status.router(platform, folder, signer),
            reading.router(platform, signer),
            occupancy.router(platform),
            uptime_claims.inner(platform),
            siting.router(platform),
            refused.entries(platform),
            bench.seals(platform, signer),
            alarms.inner(platform),
            triage(platform),
            quality(platform),
            attachments.router(platform),
            packs.router(platform, rules),
            certificates.router(platform),
            chargers.router(platform),
            book.router(platform),
            complaints.router(platform, Complaints(platform)),
            log.router(folder, signer),
            events.router(platform),
            session.router(platform),
            sso.router(platform, Side.REGULATOR),
            people.router(platform),
            webhooks.router(platform),
            mail.router(platform),
            places.router(platform),
            webpages.router("console"),
        ),
    )  # fmt: skip
