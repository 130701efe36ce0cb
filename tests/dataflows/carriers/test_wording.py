"""Words of carriers: each table's phrases, with real texts, and the names of carriers."""

import pytest

from dataflows.carriers.wording import (
    PRECEDENCE,
    Code,
    Phrase,
    Wording,
    canonical_carrier,
    canonical_names,
    plain,
    tables,
)
from dataflows.definition_files import read_lifecycle

TEXTS = [
    # Yunda
    ("COLLECTED", "[丁市戊区公司]进行揽件扫描"),
    ("IN_TRANSIT", "[丁市戊区公司]进行下级地点扫描，将发往：甲市网点包"),
    ("IN_TRANSIT", "[甲市分拨中心]在分拨中心进行卸车扫描"),
    ("IN_TRANSIT", "[甲市分拨中心]从站点发出，本次转运目的地：甲市乙区丙公司"),
    ("IN_TRANSIT", "到达目的地网点浙江宁波鄞州区邱隘公司，快件将很快进行派送"),
    ("OUT_FOR_DELIVERY", "进行派件扫描；派送业务员：某某；联系电话：13800000000"),
    ("DELIVERED", "[甲市乙区丙公司便民寄存分部]快件已被 已签收 签收"),
    ("DELIVERED", "快件已被 图片 签收"),
    ("DELIVERED", "在河南南阳公司卧龙分部进行签收扫描，快件已被 已签收 签收"),
    ("READY_FOR_PICKUP", "快件已被 丰巢智能柜 代签收。"),
    ("READY_FOR_PICKUP", "快件已被【丰巢的某某】代收"),
    ("READY_FOR_PICKUP", "快件已放丰巢柜"),
    ("DELIVERED", "快件已放门口智能柜，已签收"),
    ("RETURN_TO_SENDER", "客户拒收，快件退回"),
    # ZTO
    ("COLLECTED", "【北京市】 【北京业务部】（010-0000000） 的 某某 （13800000000） 已揽收"),
    ("IN_TRANSIT", "【石家庄市】 快件离开 【石家庄】 已发往 【长安三部】"),
    ("IN_TRANSIT", "【北京市】 快件已经到达 【北京对外经贸】"),
    ("OUT_FOR_DELIVERY", "的某某（13800000000） 正在第1次派件, 请保持电话畅通,并耐心等待"),
    ("DELIVERED", "快件已在 【长安三部】 签收,签收人: 本人, 感谢使用中通快递,期待再次为您服务!"),
    ("DELIVERED", "[苏州市] [苏州横泾]的派件已签收 感谢使用中通快递,期待再次为您服务!"),
    ("READY_FOR_PICKUP", "您的快递已暂存至[快宝的38栋中通快递快递超市]，请及时领取。"),
    # YTO
    ("COLLECTED", "【某公司】 已收件"),
    ("IN_TRANSIT", "【浙江省嘉兴市秀洲公司】 已收入"),
    ("IN_TRANSIT", "浦东转运中心公司 已发出,下一站 上海转运中心"),
    ("OUT_FOR_DELIVERY", "【浙江省嘉兴市秀洲公司】 派件人 :某某 派件中 派件员电话13800000000"),
    ("DELIVERED", "客户 签收人 :null 已签收 感谢使用圆通速递，期待再次为您服务"),
    ("DELIVERED", "客户 签收人: 已签收，签收人凭取货码签收。 已签收 感谢使用圆通速递"),
    ("DELIVERY_FAILED", "【福建省厦门市文屏分部公司】 失败签收录入 某某"),
    ("DELIVERY_FAILED", "派送不成功，政府机关、学校等特殊单位，正在安排处理中。"),
    ("READY_FOR_PICKUP", "快件已被明福智富广场二座速递易【自提柜】代收，请及时取件。"),
    # STO
    ("COLLECTED", "申通快递 广东东莞凤岗分部收件员 已揽件"),
    ("IN_TRANSIT", "山西晋中公司-已发往-山西晋中高校新区分部"),
    ("OUT_FOR_DELIVERY", "上海浦东寒亭营业厅-寒亭某某(13800000000)-派件中"),
    ("DELIVERED", "已签收,签收人是（同事代签）先生/女士，如有疑问请联系派件员某某(13800000000)"),
    ("RETURN_TO_SENDER", "快件已被退回商家/发件人如有疑问可咨询商家或联系（13800000000）"),
    # SF
    ("COLLECTED", "顺丰速运 已收取快件"),
    ("IN_TRANSIT", "快件在【某营业点】完成分拣，准备发往【某中转场】"),
    ("IN_TRANSIT", "[武汉市]快件已发车"),
    ("OUT_FOR_DELIVERY", "[武汉市]正在派送途中,请您准备签收(派件人:某某,电话:13800000000)"),
    ("OUT_FOR_DELIVERY", "快件交给某某，正在派送途中（联系电话：13800000000）"),
    (
        "DELIVERY_FAILED",
        "快件派送不成功(因电话无人接听),正在处理中,待再次派送",
    ),
    (
        "READY_FOR_PICKUP",
        "快件派送至【丰巢智能快递柜】,请您凭取件码至丰巢快递柜领取您的快递.",
    ),
    ("READY_FOR_PICKUP", "代签收(京东快递柜 ),感谢使用顺丰,期待再次为您服务"),
    ("DELIVERED", "[昆明市]已签收(放单车棚 ),感谢使用顺丰,期待再次为您服务"),
    ("DELIVERED", "已簽收，感謝使用順豐"),
    ("OUT_FOR_DELIVERY", "快件交給某某，正在派送途中"),
    # EMS
    ("COLLECTED", "【湖北省远安东庄坪营业厅】已收寄"),
    ("IN_TRANSIT", "离开【远安东庄坪营业厅】，下一站【宜昌市】"),
    ("IN_TRANSIT", "到达广东省邮政速递物流有限公司深圳航空邮件处理中心处理中心（经转）"),
    ("OUT_FOR_DELIVERY", "金川揽投部安排投递（投递员姓名：某某;联系电话：13800000000）"),
    ("DELIVERED", "投递并签收，签收人：他人收 超市"),
    ("DELIVERED", "【某支局】已妥投 发收室收"),
    ("DELIVERY_FAILED", "未妥投，收件人不在指定地址"),
    ("RETURNED", "退回妥投"),
    ("RETURN_TO_SENDER", "收件人拒收，邮件退回"),
    ("IN_TRANSIT", "到达某某投递部"),
    # JD
    ("LABEL_CREATED", "揽收任务已分配给某某"),
    ("IN_TRANSIT", "货物已完成分拣，离开【北京顺义分拣中心】"),
    ("IN_TRANSIT", "货物已分配，等待配送"),
    ("OUT_FOR_DELIVERY", "配送员开始配送，请您准备收货，配送员，某某，手机号，13800000000"),
    ("OUT_FOR_DELIVERY", "您的快件正在派送中，请您准备签收（快递员：某某，联系电话：13800000000）"),
    ("DELIVERED", "货物已完成配送，感谢您选择京东物流"),
    ("DELIVERED", "您的快件已由本人签收，感谢您使用京东物流，期待再次为您服务"),
    ("READY_FOR_PICKUP", "您的快件已由【三和苑柜子】代收，感谢您使用京东物流，期待再次为您服务。"),
    ("READY_FOR_PICKUP", "[华南众包站]您的快件已由便利店代收，感谢您使用京东物流"),
    ("DELIVERED", "您的快件已由【客户指定地点】代收，感谢您使用京东物流，期待再次为您服务。"),
    # J&T
    ("COLLECTED", "快件揽收"),
    ("IN_TRANSIT", "发件扫描"),
    ("OUT_FOR_DELIVERY", "出仓扫描"),
    ("OUT_FOR_DELIVERY", "【某网点】的兔兔快递员：某某（13800000000）正在为您派件"),
    ("READY_FOR_PICKUP", "代理点收入扫描"),
    ("DELIVERED", "快件签收"),
    ("RETURNED", "退件签收"),
    ("COLLECTED", "Parcel picked up by courier"),
    ("OUT_FOR_DELIVERY", "Courier is on the way to your address"),
    # usual of several
    ("COLLECTED", "货物已完成揽收"),
    ("COLLECTED", "您的快件已被收取"),
    ("IN_TRANSIT", "快件已从 苏州 发出"),
    ("IN_TRANSIT", "邮件已交航空公司运输"),
    ("DELIVERY_FAILED", "因电话无人接听，本次派送未成功"),
    ("DELIVERY_FAILED", "客户要求改期派送"),
    ("DELIVERY_FAILED", "联系不上收件人，暂未派送"),
    ("DELIVERY_FAILED", "签收失败"),
    ("READY_FOR_PICKUP", "已投递至丰巢智能快递柜"),
    ("DELIVERED", "客户签收，感谢使用"),
    ("DELIVERED", "收件人已取走邮件"),
    ("DELIVERED", "快件已从驿站取出"),
    ("DELIVERED", "用户已从丰巢柜取出"),
    ("DELIVERED", "拍照签收"),
    ("RETURN_TO_SENDER", "因拒收退回始发地"),
    ("RETURN_TO_SENDER", "收件人拒收，安排退回"),
    ("RETURNED", "退回件已被寄件人签收"),
    ("RETURNED", "您的退件已由寄件方签收"),
    ("RETURNED", "已退回签收"),
    # abroad
    ("DELIVERED", "[01000]Final delivery Delivered to: X"),
    ("OUT_FOR_DELIVERY", "Out for Delivery"),
    ("DELIVERY_FAILED", "Item could not be delivered: addressee absent"),
]

NOTHING = [
    "您的快件尚未签收",
    "正在联系收件人",
    "快件到站，请您准备签收",
    "签收前请当面验货，如有破损可拒收",
    "如有疑问请联系派件员",
    "等待客户签收",
    "请客户签收",
    "An unrecognized scan type",
    "",
]


@pytest.mark.parametrize(("status", "text"), TEXTS)
def test_the_usual_words_of_the_carriers_are_read(status: str, text: str) -> None:
    assert Wording().status_of(text) == status


@pytest.mark.parametrize("text", NOTHING)
def test_words_that_announce_or_deny_something_are_not_taken_for_it(text: str) -> None:
    assert Wording().status_of(text) is None


@pytest.mark.parametrize(("status", "text"), TEXTS[:12])
def test_full_width_letters_and_spaces_make_no_difference(status: str, text: str) -> None:
    spaced = "\u3000".join(text).replace("[", "［").replace(":", "：")
    assert Wording().status_of(spaced) == status


def test_phrases_of_the_settings_go_before_the_tables_and_what_they_ignore() -> None:
    wording = Wording({"物业已签收": "READY_FOR_PICKUP", "尚未签收": "LOST"})
    assert wording.status_of("物业已签收") == "READY_FOR_PICKUP"
    assert wording.status_of("您的快件尚未签收") == "LOST"


def test_every_entry_names_a_status_and_a_source() -> None:
    codes = set(read_lifecycle().codes)
    for name, table in tables().items():
        assert set(table.phrases) <= set(PRECEDENCE), name
        rows: list[tuple[str, Phrase | Code]] = [
            (status, phrase) for status, all_of in table.phrases.items() for phrase in all_of
        ]
        assert {status for status, _ in rows} | {
            row.status for row in table.codes.values()
        } <= codes
        used = {phrase.source for _, phrase in rows} | {row.source for row in table.codes.values()}
        assert used == set(table.sources), name


def test_every_phrase_is_found_in_its_own_text() -> None:
    """A phrase that another one always hides is dead."""
    wording = Wording()
    dead = [
        (name, status, phrase.text)
        for name, table in tables().items()
        for status, phrases in table.phrases.items()
        for phrase in phrases
        if wording.status_of(phrase.text.replace("*", "某")) != status
    ]
    assert dead == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("shunfeng", "sf"), ("SF", "sf"), ("顺丰速运", "sf"), ("順豐速運", "順豐速運"),
        ("yuantong", "yto"), ("YTO", "yto"), ("zhongtong", "zto"), ("shentong", "sto"),
        ("yunda", "yunda"), ("ems", "ems"), ("jd", "jd"), ("jtexpress", "jt"),
        ("J&T Express", "jt"),
        ("speedpost", "speedpost"), ("Fedex", "Fedex"), ("", ""),
    ],
)  # fmt: skip
def test_a_carrier_has_one_code_whatever_it_is_called(name: str, code: str) -> None:
    assert canonical_carrier(name) == code


def test_no_name_belongs_to_two_carriers() -> None:
    names = [
        (plain(name), table.carrier.code)
        for table in tables().values()
        if table.carrier
        for name in {plain(name) for name in (table.carrier.code, *table.carrier.aliases)}
    ]
    assert len(names) == len(canonical_names())
    assert {"yunda", "zto", "yto", "sto", "sf", "ems", "jd", "jt"} == {code for _, code in names}
