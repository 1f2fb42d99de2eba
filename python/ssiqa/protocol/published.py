"""What the paper reports for the rows that we run: PLCC and SRCC on the test part of B, from its tables 1 and 3 to 5.

The authors' scripts print averages over the better half of their runs; ours are over all seeds.
"""

PUBLISHED: dict[str, dict[tuple[str, str], tuple[float, float]]] = {
    "table1": {
        ("live-csiq*", "SS-IQA"): (0.964, 0.949),
        ("csiq-live", "SS-IQA"): (0.948, 0.952),
        ("tid2013-kadid10k*", "SS-IQA"): (0.892, 0.866),
        ("kadid10k-tid2013*", "SS-IQA"): (0.929, 0.940),
        ("livec-koniq10k", "SS-IQA"): (0.741, 0.724),
        ("koniq10k-livec", "SS-IQA"): (0.806, 0.780),
        ("livefb-spaq", "SS-IQA"): (0.420, 0.426),
        ("spaq-livefb", "SS-IQA"): (0.429, 0.386),
    },
    "table3": {
        ("live-csiq*", "baseline"): (0.957, 0.940),
        ("live-csiq*", "+ IL"): (0.963, 0.948),
        ("live-csiq*", "+ KRR"): (0.961, 0.947),
        ("live-csiq*", "SS-IQA"): (0.964, 0.949),
    },
    "table4": {
        ("kadid10k-tid2013*", "baseline"): (0.918, 0.927),
        ("kadid10k-tid2013*", "+ IL"): (0.927, 0.938),
        ("kadid10k-tid2013*", "+ KRR"): (0.921, 0.928),
        ("kadid10k-tid2013*", "SS-IQA"): (0.929, 0.940),
    },
    "table5": {
        ("csiq-live", "Q=1"): (0.938, 0.946),
        ("csiq-live", "Q=2"): (0.943, 0.949),
        ("csiq-live", "Q=3"): (0.948, 0.952),
        ("csiq-live", "Q=4"): (0.937, 0.946),
        ("csiq-live", "Q=6"): (0.952, 0.958),
        ("kadid10k-tid2013*", "Q=1"): (0.925, 0.936),
        ("kadid10k-tid2013*", "Q=2"): (0.928, 0.935),
        ("kadid10k-tid2013*", "Q=3"): (0.929, 0.940),
        ("kadid10k-tid2013*", "Q=4"): (0.929, 0.938),
        ("kadid10k-tid2013*", "Q=6"): (0.931, 0.942),
    },
}
