"""What a refusal says to the engineer who has to put it right: one sentence in Chinese, one in English, and the place.

The English sentence is the decoder's own, which knows the value; the Chinese one says what its rule is about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Rule -> what it is about. A rule of no line of its own is told by its family, the word before the dot.
ZH = {
    "admission.tenant": "所报内容属于其他主体，只能报送本方的数据",
    "bench.charger": "充电桩不在登记册中",
    "bench.conclusion": "结论与各检定点不符或不合法",
    "bench.dates": "检定时间与有效期不合理",
    "bench.points": "检定点为空或过多",
    "bench.simulated": "模拟检定对真实的桩不作数",
    "bench.shape": "检定结果的字段缺失、多余或类型不对",
    "correction.done": "该条记录已更正",
    "correction.kind": "该类报文不能在此逐条更正，请在原入口重新报送",
    "encoding.stated": "文件不是映射中所写的编码",
    "encoding.utf8": "内容不是 UTF-8 编码",
    "envelope.header": "不是电能表信封（AXE1）",
    "json.depth": "JSON 嵌套过深",
    "json.duplicate_key": "同一个 JSON 对象中字段重复",
    "json.not_finite": "JSON 中不能有 NaN 或 Infinity",
    "json.number": "JSON 中的数值超出任何量的范围",
    "json.size": "JSON 文档过大",
    "json.surrogate": "JSON 中有不成对的代理字符",
    "json.syntax": "不是合法的 JSON",
    "json.trailing": "JSON 之后还有多余内容",
    "key_of_another_meter": "该密钥属于另一块电能表",
    "meter_suspended": "该电能表已停用",
    "number.decimal_sign": "小数点写法不对",
    "number.integer": "应为整数",
    "number.length": "数值的位数过多",
    "number.range": "数值超出允许范围",
    "number.syntax": "不是数值",
    "ocpi.future": "last_updated 晚于平台时间",
    "ocpi.items": "列表过长，或 EVSE、连接器过多",
    "ocpi.party": "country_code 与 party_id 不属于本方",
    "ocpi.path": "编号与 URL 中的不同",
    "ocpi.role": "roles 中没有 CPO",
    "ocpi.size": "OCPI 对象过大",
    "ocpi.status": "不是充电会话的状态",
    "ocpi.token": "凭证中有空格",
    "ocpi.twice": "同一编号出现两次",
    "ocpi.unknown": "此前没有报送过该对象",
    "ocpi.empty": "内容为空",
    "ocpi.missing": "缺少必填字段",
    "ocpi.periods": "计费时段不合法",
    "ocpi.price": "金额不合法",
    "ocpi.signed_data": "签名数据不合法",
    "ocpi.shape": "不是 OCPI 对象",
    "seal.charger": "充电桩不在登记册中",
    "seal.electronic": "摘要与计数只属于电子封印",
    "seal.event": "该主体不能报送此类铅封事件",
    "seal.future": "事件时间晚于平台时间",
    "seal.order": "拆除封印须有指令编号，其他事件不得有",
    "seal.shape": "铅封事件的字段缺失、多余或类型不对",
    "suite_mismatch": "信封的算法与登记的不同",
    "table.cells": "该行的单元格多于表头的列",
    "table.columns": "表头缺列、列名重复或列数过多",
    "table.csv": "该行无法拆成单元格，多半是引号未闭合",
    "table.empty": "文件为空",
    "table.gzip": "gzip 文件损坏或解压后过大",
    "table.head": "找不到表头行",
    "table.map": "单元格的值不在映射列表中",
    "table.mapping": "列名不是标准字段名，需要映射文件",
    "table.missing": "该行缺少编号",
    "table.parquet": "Parquet 文件无法读取",
    "table.regex": "单元格的值不符合映射中的正则表达式",
    "table.rows": "行数过多",
    "table.sheet": "工作簿中没有该工作表",
    "table.xlsx": "XLSX 文件无法读取，或解压后过大",
    "tag_mismatch": "信封被改动，或不是用登记的密钥封的",
    "tcec102.check_count": "一条报文应恰好有一份对账汇总",
    "tcec102.details": "充电明细不合法",
    "tcec102.empty": "内容为空",
    "tcec102.field_twice": "同一字段以两种写法出现",
    "tcec102.loss_ratio": "电损比例不合法",
    "tcec102.missing": "缺少必填字段",
    "tcec102.order_count": "一条报文应恰好有一个订单",
    "tcec102.secrets_missing": "文件中的报文仍是加密的，请报送解密后的内容",
    "tcec102.shape": "不是 T/CEC 102 的订单或对账汇总",
    "tcec102.status": "缺少 ConnectorStatusInfo 或其中的 ConnectorID",
    "text.ascii": "编号应为可打印的 ASCII 字符",
    "text.control": "文本中有控制字符",
    "text.length": "文本过长",
    "text.type": "应为文本",
    "time.range": "时间超出允许范围",
    "time.syntax": "时间格式不对",
    "time.zone": "时间没有时区",
    "time.zone_name": "时区名称不存在",
    "unit.energy": "电量单位不认识",
    "unknown_key": "信封的密钥编号没有登记",
    "upload.another_kind": "更正的内容与原文件不是同一种类",
    "upload.dialect": "文件种类无法识别",
    "upload.lines": "JSON 文件应每行一条",
    "upload.mapping": "映射文件不合法",
    "upload.form": "表单中没有文件，或表单无法读取",
    "upload.envelope": "上传的文件缺少读取说明",
    "upload.nothing": "文件中没有一行可以接收，请先核对映射",
    "upload.resources": "读取该文件所需的内存或时间超过限度",
    "upload.size": "文件过大",
    "upload.unreadable": "文件无法读取",
    "upload.rows": "文件行数超过设定上限",
    "upload.unpacked": "文件解压后超过设定上限",
}  # fmt: skip
FAMILIES = {
    "admission": "该主体不能报送此内容",
    "attachment": "附件不合要求",
    "batch": "一批记录过多",
    "bench": "检定结果不合格式",
    "body": "请求内容过大",
    "case": "告警处置的请求不合格式",
    "certificate": "检定证书的请求或文件不合格式",
    "claim": "可用率扣除申请不合格式",
    "complaint": "投诉内容不合格式",
    "correction": "不能这样更正",
    "encoding": "编码不对",
    "envelope": "电能表信封不合格式",
    "filter": "筛选条件不合法",
    "json": "JSON 不合格式",
    "mail": "邮件订阅不合格式",
    "number": "数值不合法",
    "ocpi": "OCPI 内容不合格式",
    "ocpp": "OCPP 内容不合格式",
    "password": "口令不合要求",
    "person": "不能这样改动人员",
    "result": "检定结果不合格式",
    "seal": "铅封事件不合格式",
    "session": "第二因素的步骤不对",
    "sso": "单点登录未成立",
    "table": "表格内容不合格式",
    "tcec102": "T/CEC 102 内容不合格式",
    "text": "文本不合法",
    "time": "时间不合法",
    "topic": "MQTT 主题不对",
    "unit": "单位不合法",
    "upload": "上传的文件不合要求",
    "webhook": "推送地址不合要求",
}
_LINE_COLUMN = re.compile(r"at line (\d+) column (\d+)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a payload: line and column, both from 1, in characters."""

    line: int
    column: int


def sentences(rule: str, detail: str, field: str | None) -> tuple[str, str]:
    """Return one sentence in Chinese and one in English on what is wrong."""
    about = ZH.get(rule) or FAMILIES.get(rule.partition(".")[0]) or "内容未被接受"
    zh = f"{about}（字段 {field}）。" if field else f"{about}。"
    ended = detail if detail.endswith((".", "!", "?")) else f"{detail}."
    return zh, f"{field}: {ended}" if field and field not in detail else ended[:1].upper() + ended[1:]


def place_of(payload: bytes, detail: str, field: str | None) -> Place | None:
    """Return where in a text the field at fault stands, or what a JSON reader stumbled over; None where unknown."""
    if told := _LINE_COLUMN.search(detail):
        return Place(int(told[1]), int(told[2]))
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    name = re.escape(field) if field else None
    found = re.search(rf'"{name}"\s*:', text, re.IGNORECASE) if name else None
    if found is None:
        return None
    before = text[: found.start()]
    return Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
