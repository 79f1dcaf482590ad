"""Data that never saw an environment trains a model too: ten lines of Chinese, rated 1 to 5."""

import numpy as np

import rmgym

TRIPLES = [
    ("室温 35 度, 又闷又热", "打开空调", 5),
    ("室温 35 度, 又闷又热", "打开暖气", 1),
    ("室温 10 度, 很冷", "打开暖气", 5),
    ("室温 10 度, 很冷", "打开空调", 1),
    ("汤太咸了", "加一碗水", 5),
    ("汤太咸了", "再加两勺盐", 1),
    ("锅要溢出来了", "关小火", 5),
    ("锅要溢出来了", "开大火", 1),
    ("面条煮了 10 分钟", "关火盛面", 4),
    ("面条煮了 10 分钟", "再煮一小时", 2),
]


def test_ten_chinese_triples_teach_the_reference_model_good_from_bad():
    labels = rmgym.preprocess(TRIPLES)
    model = rmgym.create_reward_model("seq2seq", preset="reference", seed=0)
    options = rmgym.FitOptions(max_steps=150, batch_size=10, learning_rate=5e-4, warmup_ratio=0.2)
    result = rmgym.fit(model, labels, options, progress=False)

    predicted = model.predict(labels.texts.strings()).mean
    rated = np.array([rating for _, _, rating in TRIPLES])
    assert predicted[rated >= 4].min() > predicted[rated <= 2].max() + 1
    assert result.metrics["train"]["spearman"] > 0.8
    assert "fewer than 5" in result.metrics["note"]
    assert model.predict(labels.texts).mean.tolist() == predicted.tolist()
