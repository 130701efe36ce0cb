"""Durations of the stages of real orders: empirical quantiles, in seconds.

Made by `python -m benchmarks.load_durations` from the samples in `examples/`; don't edit.

- PAYMENT, HANDOVER, DELIVERY, PROMISE and PURCHASES_BY_HOUR summarise 4,998 orders of the
  *Brazilian E-Commerce Public Dataset by Olist* (Olist and Andre Sionek, 2018), licence
  CC BY-NC-SA 4.0: name Olist, share alike, no commercial use. See examples/olist/README.md.
- RECEPTION, DEPARTURE, FLIGHT and HANDOUT summarise 7,932 transport legs of the *Cargo2000 DataSet*
  (Andreas Metzger and others), licence CC BY 4.0. See examples/cargo2000/README.md.
"""

# What share of the sample is not above each quantile.
PER_MILLE = (
    0, 10, 20, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600, 650, 700, 750,
    800, 850, 900, 950, 980, 990, 995, 998, 999, 1000,
)  # fmt: skip

# Bought to paid; 4,908.
PAYMENT = (
    360, 420, 480, 540, 600, 660, 720, 780, 840, 900, 1020, 1140, 1320, 1620, 2580, 5280,
    31920, 56640, 85980, 98100, 128_040, 183_120, 284_640, 325_980, 388_380, 469_620,
    481_680, 2_822_580,
)  # fmt: skip

# Paid to carrier; 4,845.
HANDOVER = (
    240, 8220, 13860, 29160, 43080, 55620, 67500, 77760, 87420, 98940, 115_920, 138_840,
    159_900, 183_000, 212_880, 243_660, 269_280, 311_280, 360_420, 429_480, 525_300,
    731_280, 1_179_720, 1_459_860, 1_857_780, 2_388_720, 2_930_340, 8_757_600,
)  # fmt: skip

# To customer; 4,853.
DELIVERY = (
    1380, 68340, 80820, 96720, 157_860, 223_980, 281_580, 351_420, 428_040, 459_300,
    519_480, 551_640, 608_340, 642_240, 703_440, 787_740, 880_500, 1_009_200, 1_131_300,
    1_305_240, 1_624_140, 2_078_940, 2_703_120, 3_354_600, 4_099_380, 5_169_780, 6_460_260,
    11_490_480,
)  # fmt: skip

# Bought to promised; 4,998.
PROMISE = (
    177_540, 482_640, 646_920, 897_060, 1_123_680, 1_291_200, 1_424_280, 1_568_160,
    1_671_120, 1_759_620, 1_840_920, 1_919_220, 2_002_200, 2_080_560, 2_164_980, 2_251_200,
    2_341_860, 2_438_940, 2_585_640, 2_724_300, 2_960_880, 3_368_520, 3_893_280, 4_330_320,
    4_690_140, 5_310_720, 5_561_580, 7_533_360,
)  # fmt: skip

# Air freight, until the airline has the freight; 11,874.
RECEPTION = (
    60, 300, 780, 1860, 3240, 4740, 6540, 8520, 10740, 13920, 17760, 22620, 28620, 35940,
    46680, 62280, 78900, 94080, 112_080, 157_380, 232_620, 442_620, 1_020_420, 1_965_240,
    2_217_300, 2_238_600, 2_274_360, 2_940_900,
)  # fmt: skip

# Air freight, until the flight departs; 16,167.
DEPARTURE = (
    60, 4800, 6060, 8160, 11160, 13620, 16080, 18600, 21360, 24600, 28440, 33120, 37560,
    41820, 46320, 51720, 57360, 63660, 71160, 81360, 95820, 134_880, 186_960, 225_720,
    279_540, 365_460, 491_820, 735_360,
)  # fmt: skip

# Air freight, until the freight is received from the flight; 16,167.
FLIGHT = (
    60, 4740, 6240, 7860, 9780, 11580, 13920, 18780, 24960, 29760, 32820, 35820, 38700,
    41340, 43800, 46680, 49740, 53160, 56520, 60480, 67680, 82800, 103_680, 150_480,
    175_440, 260_580, 300_840, 2_286_960,
)  # fmt: skip

# Air freight, until the freight is handed over; 11,874.
HANDOUT = (
    60, 240, 480, 2040, 4740, 7740, 10980, 15600, 21300, 28860, 38880, 48960, 59040, 68820,
    81000, 92880, 112_620, 149_280, 185_160, 246_000, 335_640, 605_460, 1_197_540,
    1_756_800, 2_624_400, 4_208_340, 5_301_060, 33_607_800,
)  # fmt: skip

# Bought in each hour, local time.
PURCHASES_BY_HOUR = (
    114, 56, 30, 15, 11, 13, 25, 50, 152, 235, 307, 366, 279, 346, 341, 303, 336, 301, 289,
    304, 306, 315, 283, 221,
)  # fmt: skip
