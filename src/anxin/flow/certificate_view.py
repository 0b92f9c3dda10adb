"""From a certificate's document to what its paper shows. Nothing else goes in: a checker draws the same page again."""

from __future__ import annotations

import dataclasses
import json
from typing import Any
from zoneinfo import ZoneInfo

from anxin.domain.errors import FormatError
from anxin.domain.quantities import moment_of
from anxin.domain.verification import Item, ItemResult, LoadPoint, Outcome, PointResult, VerificationResult
from anxin.formats.verification_result import result_in
from anxin.report.certificate import CertificateView, ItemRow, PointRow
from anxin.report.pack_summary import Field, Words

FORMAT = "anxin-certificate-1"
MEMBERS = frozenset({
    "format", "number", "kind", "issued_utc_ms", "issuer", "zone", "address", "charger", "procedure_title",
    "unconfirmed", "signer_sha256", "result",
})  # fmt: skip
_TITLES = {
    "certificate": Words("充电桩检定证书", "Certificate of verification · EV charger"),
    "notice": Words("检定结果通知书", "Notice of failure · EV charger"),
}
_CONCLUSIONS = {"certificate": Words("合格", "passed"), "notice": Words("不合格，停止使用", "failed: not to be used")}
_WARNINGS = {
    "certificate": Words(
        "本证书所依据的限值或数据未经官方文本确认，不作为法定检定结论。",
        "This certificate rests on limits or numbers not confirmed against the official text: no legal conclusion.",
    ),
    "notice": Words(
        "本通知书所依据的限值或数据未经官方文本确认。",
        "This notice rests on limits or numbers not confirmed against the official text.",
    ),
}
_SPECIMEN = Words("样本 · 虚拟城市的充电桩，无法律效力", "SPECIMEN · a charger of a virtual city, without legal effect")
ITEMS = {
    Item.APPEARANCE: ("外观与功能", "appearance and function"),
    Item.WORKING_ERROR: ("工作误差", "working error"),
    Item.CLOCK_ERROR: ("时钟时刻误差", "clock moment error"),
    Item.INSULATION: ("绝缘电阻", "insulation resistance"),
    Item.INDICATION_ERROR: ("示值误差", "indication error"),
    Item.AMOUNT_ERROR: ("付费金额误差", "error of the amount to pay"),
}
_OUTCOMES = {Outcome.PASS: "合格 pass", Outcome.FAIL: "不合格 fail", Outcome.INDETERMINATE: "无结论 none"}
_KINDS = {"first": "首次检定 first", "periodic": "后续检定 periodic", "after_repair": "修理后检定 after repair",
          "inspection": "使用中检查 inspection"}  # fmt: skip
_METHODS = {"virtual": "虚负荷 virtual load", "real": "实负荷 real load"}


def view_of(document: bytes, sha256: str) -> CertificateView:
    """Return what the paper of a document shows. Raises FormatError `certificate.shape`, `result.*`."""
    try:
        d = json.loads(document)
        # Only a specimen says what it is: papers from before have one form.
        specimen = d.pop("specimen", False)
        if d.keys() != MEMBERS or d["format"] != FORMAT or (specimen is not True and b'"specimen"' in document):
            raise FormatError("certificate.shape", f"no document of the form {FORMAT}")
        result = result_in(d["result"])
        if result.simulated and not specimen:
            raise FormatError("certificate.shape", "of a simulated run, and not marked as a specimen")
        view = _view(d, result, document.decode(), sha256)
        return dataclasses.replace(view, specimen=_SPECIMEN) if specimen else view
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise FormatError("certificate.shape", f"not a certificate's document: {type(error).__name__}") from None


def _view(d: dict[str, Any], r: VerificationResult, document: str, sha256: str) -> CertificateView:
    zone, kind = ZoneInfo(d["zone"]), d["kind"]
    passed, charger = kind == "certificate", d["charger"]

    def day(utc_ms: int) -> str:
        return moment_of(utc_ms, zone).strftime("%Y-%m-%d")

    def minute(utc_ms: int) -> str:
        return moment_of(utc_ms, zone).strftime("%Y-%m-%d %H:%M")

    validity = [Field("检定日期", "verified on", day(r.ended_utc_ms))]
    if r.valid_to_utc_ms is not None:
        validity.append(Field("有效期至", "valid until", day(r.valid_to_utc_ms)))
    subject = [
        Field("充电桩编号", "charger", r.charger_id), Field("准确度等级", "accuracy class", r.accuracy_class),
        Field("运营单位", "operator", charger["operator"]), Field("充电站", "station", charger["station"]),
        Field("地址", "address", charger["address"] or "–"), Field("额定功率", "rated power", charger["power"] or "–"),
        Field("检定规程", "procedure", d["procedure_title"]), Field("检定类别", "kind", _KINDS[r.kind.value]),
        Field("检定方法", "method", _METHODS[r.method.value]), Field("检定编号", "run", r.run_id),
    ]  # fmt: skip
    ref = r.reference
    conditions = [
        Field("标准器", "standard", f"{ref.serial} · {ref.accuracy_class}"),
        Field("标准器证书", "its certificate", f"{ref.certificate_no} · {day(ref.valid_to_utc_ms)}"),
        Field("其不确定度", "its uncertainty", f"{percent(ref.expanded_uncertainty_ppm)} % (k = 2)"),
        Field("温湿度", "temperature, humidity", _climate(r)),
        Field("检定员", "verified by", r.verified_by), Field("核验员", "checked by", r.checked_by or "–"),
        Field("起止时间", "from, to", f"{minute(r.begun_utc_ms)} – {minute(r.ended_utc_ms)[11:]}"),
        Field("地点", "place", "–" if r.longitude is None else f"{r.longitude}, {r.latitude} ({r.crs})"),
        Field("软件", "software", f"{r.software} · {r.software_sha256[:16]}"),
        Field("规程数据", "procedure data", f"SHA-256 {r.procedure_sha256[:16]}"),
    ]  # fmt: skip
    return CertificateView(
        _TITLES[kind], passed, d["number"], minute(d["issued_utc_ms"]), d["issued_utc_ms"], d["issuer"],
        _CONCLUSIONS[kind], d["address"], document, sha256, _WARNINGS[kind] if d["unconfirmed"] else None, subject,
        validity, [_item(i) for i in r.items], [_point(p) for p in r.points], conditions, d["unconfirmed"],
        _notes(d),
    )  # fmt: skip


def _notes(d: dict[str, Any]) -> list[Words]:
    address = d["address"]
    return [
        Words(f"扫描二维码或打开 {address}，查看该桩现行检定状态；证书可被撤销，以查询结果为准。",
              f"The QR code opens {address}: how this charger stands now. A certificate may be revoked."),
        Words("离线核验：anxin check 本文件 --cert 平台证书。机器可读结果随文件附带，其摘要印于页脚。",
              "Offline: anxin check FILE --cert the platform's certificate. The machine-readable result is attached;"
              " its digest is printed below."),
        Words(f"签名证书 SHA-256：{d['signer_sha256']}", f"the signer's certificate, SHA-256: {d['signer_sha256']}"),
    ]  # fmt: skip


def _item(i: ItemResult) -> ItemRow:
    zh, en = ITEMS[i.item]
    unit = f" {i.unit}" if i.unit else ""
    measured = f"{i.measured}{unit}" if i.measured is not None else (i.remark or "–")
    limit = f"{i.limit}{unit}" if i.limit is not None else "–"
    return ItemRow(zh, en, measured, limit, _OUTCOMES[i.outcome], i.outcome is not Outcome.PASS)


def _point(p: PointResult) -> PointRow:
    return PointRow(
        load_text(p.point), "  ".join(percent(e) for e in p.readings_ppm), percent(p.error_ppm),
        percent(p.rounded_ppm), f"±{percent(p.limit_ppm)}", percent(p.expanded_uncertainty_ppm),
        _OUTCOMES[p.outcome], p.outcome is not Outcome.PASS,
    )  # fmt: skip


def load_text(p: LoadPoint) -> str:
    """Return a load point as people say it: volts, amperes, phases."""
    phases = "DC" if p.phases == 0 else f"{p.phases}~"
    factor = "" if p.phases == 0 else f" · cosφ {decimal(p.power_factor_permille, 3)}"
    return f"{decimal(p.voltage_mv, 3)} V · {decimal(p.current_ma, 3)} A · {phases}{factor}"


def percent(ppm: int) -> str:
    """Return millionths as exact percent, without zeros at the end."""
    return decimal(ppm, 4)


def decimal(value: int, places: int) -> str:
    """Return `value` / 10**places, exact, without zeros at the end."""
    whole, rest = divmod(abs(value), 10**places)
    fraction = f"{rest:0{places}d}".rstrip("0")
    return ("-" if value < 0 else "") + str(whole) + (f".{fraction}" if fraction else "")


def _climate(r: VerificationResult) -> str:
    t = "–" if r.temperature_milli_c is None else f"{decimal(r.temperature_milli_c, 3)} °C"
    h = "–" if r.humidity_permille is None else f"{decimal(r.humidity_permille, 1)} %"
    return f"{t} / {h}"
