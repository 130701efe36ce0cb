"""Places where generated parcels are scanned (WGS 84)."""

PLACES = tuple(
    b'{"name":"%s","lat":%.2f,"lon":%.2f}' % place
    for place in (
        (b"Shanghai hub", 31.23, 121.47),
        (b"Beijing hub", 39.90, 116.40),
        (b"Guangzhou hub", 23.13, 113.26),
        (b"Shenzhen depot", 22.54, 114.06),
        (b"Hangzhou depot", 30.27, 120.15),
        (b"Chengdu hub", 30.57, 104.07),
        (b"Wuhan hub", 30.59, 114.31),
        (b"Xi'an depot", 34.34, 108.94),
        (b"Nanjing depot", 32.06, 118.80),
        (b"Chongqing hub", 29.56, 106.55),
        (b"Shenyang hub", 41.80, 123.43),
        (b"Qingdao depot", 36.07, 120.38),
        (b"Kunming depot", 25.04, 102.71),
        (b"Harbin depot", 45.80, 126.53),
        (b"Zhengzhou hub", 34.75, 113.63),
        (b"Hong Kong airport", 22.31, 113.91),
    )
)
