"""The outer app: the doors, what operators read and send, and what anyone may see.

Nobody of the regulator is known here."""

from __future__ import annotations

from fastapi import FastAPI

from anxin.domain.party import OUTSIDE
from anxin.domain.person import Side
from anxin.evidence.note import parse_vkey
from anxin.evidence.proofs import Proofs
from anxin.faces import (
    alarms,
    attachments,
    bench,
    charger_page,
    complaints,
    driver_check,
    events,
    finder,
    log,
    mail,
    meters,
    occupancy,
    ocpi,
    ocpp,
    open_data,
    open_ocpi,
    people,
    places,
    reading,
    refused,
    session,
    sso,
    status,
    tcec102,
    uploads,
    uptime_claims,
    webhooks,
    webpages,
)
from anxin.faces.app import assembled
from anxin.faces.surveillance import quality
from anxin.flow.assured import AssuredConnectors
from anxin.flow.complaints import Complaints
from anxin.flow.driver_check import DriverCheck
from anxin.flow.finder import Finder
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer
from anxin.trust.vault import load_or_make_key


def create_app(platform: Platform) -> FastAPI:
    """Return the app. It starts the platform's intake with itself and stops it after the last request."""
    signer, folder = log_signer(platform.settings), log_folder(platform.settings)
    found = Finder(platform, AssuredConnectors(platform))
    token_key = load_or_make_key(platform.settings.data_dir / "secrets" / "token.key")
    return assembled(
        platform, "安心充电 Anxin Charging", OUTSIDE,
        (
            status.router(platform, folder, signer),
            meters.router(platform, signer),
            ocpp.router(platform, signer),
            tcec102.router(platform, signer, token_key),
            ocpi.router(platform, signer),
            reading.router(platform, signer),
            occupancy.router(platform),
            uptime_claims.outer(platform),
            refused.entries(platform),
            refused.corrections(platform, signer),
            bench.results(platform, signer),
            bench.seals(platform, signer),
            uploads.router(platform, signer),
            alarms.outer(platform),
            quality(platform),
            attachments.router(platform),
            complaints.public(Complaints(platform)),
            charger_page.router(platform),
            driver_check.router(DriverCheck(platform, Proofs(folder, parse_vkey(signer.vkey)), signer)),
            log.router(folder, signer),
            events.router(platform),
            session.router(platform),
            sso.router(platform, Side.OUTER),
            people.router(platform),
            finder.router(found),
            open_data.router(found),
            open_ocpi.router(found),
            webhooks.router(platform),
            mail.router(platform),
            places.router(platform),
            webpages.router("driver"),
            webpages.router("portal"),
        ),
    )  # fmt: skip
