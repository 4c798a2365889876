"""The sentences of the API, in English and Chinese (measured: they follow the client's Accept-Language)."""

from typing import Literal

Language = Literal["en", "zh"]

_IN_BOTH: dict[str, str] = {
    "name.too_long.documented": "token name is too long",
    "group.refused": "no access to group",
    "keys.too_many": "已达到最大令牌数量限制 ({max})",
    "id.empty": "id 或 userId 为空！",
    "id.not_found": "record not found",
    "id.not_a_number": 'strconv.Atoi: parsing "{id}": invalid syntax',
    "id.too_large": 'strconv.Atoi: parsing "{id}": value out of range',
    "search.double": "搜索模式中不允许包含连续的 % 通配符",
    "search.too_many": "搜索模式中最多允许包含 2 个 % 通配符",
    "search.too_short": "使用模糊搜索时，关键词长度至少为 2 个字符",
    "key.just_exhausted": (
        "[sk-{head}***{tail}] 该令牌额度已用尽 !token.UnlimitedQuota && token.RemainQuota = {remain_quota}"
    ),
    "key.not_bearer": "Invalid Bearer token",
    "key.ip": "您的 IP 不在令牌允许访问的列表中",
    "key.group": "无权访问 {group} 分组",
    "log.retired": "该接口已废弃",
    "data.too_long": "时间跨度不能超过 1 个月",
    "data.start": "invalid start_timestamp",
    "data.end": "invalid end_timestamp",
    "data.range": "invalid time range",
    "reserve.account_empty": "用户额度不足, 剩余额度: {left}",
    "reserve.account_short": "预扣费额度失败, 用户剩余额度: {left}, 需要预扣费额度: {needs}",
    "reserve.key_short": "token quota is not enough, token remain quota: {left}, need quota: {needs}",
}

_ENGLISH: dict[str, str] = _IN_BOTH | {
    "auth.missing": "Unauthorized, not logged in and no access token provided",
    "auth.wrong": "Unauthorized, invalid access token",
    "auth.no_user": "Unauthorized, New-Api-User header not provided",
    "auth.bad_user": "Unauthorized, New-Api-User header format error",
    "auth.other_user": "Unauthorized, New-Api-User does not match logged in user",
    "name.too_long": "Token name is too long",
    "quota.negative": "Quota value cannot be negative",
    "quota.too_large": "Quota value exceeds valid range, maximum is {max}",
    "enable.expired": (
        "Token has expired and cannot be enabled. Please modify the expiration time or set it to never expire"
    ),
    "enable.exhausted": (
        "Token quota is exhausted and cannot be enabled. Please modify the remaining quota or set it to unlimited"
    ),
    "auto_groups.too_many": "A token can select at most {max} Auto groups",
    "auto_groups.duplicate": "Auto group {group} is duplicated",
    "auto_groups.invalid": "Auto group {group} is unavailable or unauthorized",
    "params.invalid": "Invalid parameters",
    "batch.too_many": "Too many items in batch request, maximum is {max}",
    "key.invalid": "Invalid token",
    "key.missing": "Token not provided",
    "key.expired": "This token has expired",
    "key.exhausted": "This token quota is exhausted TokenStatusExhausted[sk-{head}***{tail}]",
    "key.disabled": "This token status is unavailable",
    "model.missing": "Model name not specified, model name cannot be empty",
    "model.forbidden": "This token has no access to model {model}",
    "model.unknown": "No available channel for model {model} under group {group} (distributor)",
    "request.invalid": "Invalid request: {error}",
}

_CHINESE: dict[str, str] = _IN_BOTH | {
    "auth.missing": "无权进行此操作，未登录且未提供 access token",
    "auth.wrong": "无权进行此操作，access token 无效",
    "auth.no_user": "无权进行此操作，未提供 New-Api-User",
    "auth.bad_user": "无权进行此操作，New-Api-User 格式错误",
    "auth.other_user": "无权进行此操作，New-Api-User 与登录用户不匹配",
    "name.too_long": "令牌名称过长",
    "quota.negative": "额度值不能为负数",
    "quota.too_large": "额度值超出有效范围，最大值为 {max}",
    "enable.expired": "令牌已过期，无法启用，请先修改令牌过期时间，或者设置为永不过期",
    "enable.exhausted": "令牌可用额度已用尽，无法启用，请先修改令牌剩余额度，或者设置为无限额度",
    "auto_groups.too_many": "每个令牌最多可选择 {max} 个 Auto 分组",
    "auto_groups.duplicate": "Auto 分组 {group} 重复",
    "auto_groups.invalid": "Auto 分组 {group} 不可用或无权访问",
    "params.invalid": "无效的参数",
    "batch.too_many": "批量请求数量过多，最多 {max} 条",
    "key.invalid": "无效的令牌",
    "key.missing": "未提供令牌",
    "key.expired": "该令牌已过期",
    "key.exhausted": "该令牌额度已用尽 TokenStatusExhausted[sk-{head}***{tail}]",
    "key.disabled": "该令牌状态不可用",
    "model.missing": "未指定模型名称，模型名称不能为空",
    "model.forbidden": "该令牌无权访问模型 {model}",
    "model.unknown": "分组 {group} 下模型 {model} 无可用渠道（distributor）",
    "request.invalid": "无效的请求，{error}",
}


def sentence(key: str, language: Language, **values: object) -> str:
    """The API's sentence for `key` in that language, filled with `values`."""
    return (_CHINESE if language == "zh" else _ENGLISH)[key].format(**values)


class Refused(Exception):  # noqa: N818 - a refusal is an answer of the API, not an error of the sandbox
    """The API says no: which sentence it says, and the HTTP status it says it with (200, mostly)."""

    def __init__(self, key: str, *, status: int = 200, code: str = "", **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.status = status
        self.code = code
        self.values = values
