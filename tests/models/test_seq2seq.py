"""The encoder-decoder: any language, numbers as slots or digits, scores that depend on nothing but the text."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.errors import ModelError
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.contract import RewardModelContract
from rmgym.models.files import MANIFEST, digest_of, write_model
from rmgym.models.neural import encode
from rmgym.models.seq2seq import Seq2SeqRewardModel, answer_of, sinusoids
from rmgym.models.tokenizer import NUMBER, PAD, SIGN, shared_phrases, train_tokenizer
from rmgym.text.batch import TextBatch
from rmgym.text.numbers import split_template

TINY = {"vocab_size": 640, "embedding_dim": 32, "hidden_dim": 64, "num_layers": 2}
FIELDS = ("cosine of the angle", "sine of the angle", "angular velocity in rad/s")
STATE = ", ".join(f"{name}: {{:.2f}}" for name in FIELDS)
STEP = f"Task: swing it up. State: {STATE}. Action: torque in N m: {{:.2f}}. Next state: {STATE}. "
GOES_ON, ENDS = STEP + "The episode goes on.", STEP + "The episode terminated here."


def pendulum(size, seed, template=GOES_ON):
    """Steps of a pendulum with their true rewards, in words."""
    rng = np.random.default_rng(seed)
    angle, velocity, torque = rng.uniform(-np.pi, np.pi, size), rng.uniform(-8, 8, size), rng.uniform(-2, 2, size)
    then = np.clip(velocity + 0.05 * (15 * np.sin(angle) + 3 * torque), -8, 8)
    moved = angle + 0.05 * then
    columns = [np.cos(angle), np.sin(angle), velocity, torque, np.cos(moved), np.sin(moved), then]
    texts = TextBatch(
        templates=(template,),
        template_index=np.zeros(size, np.int32),
        numbers=np.round(np.stack(columns, 1), 2).reshape(-1),
        offsets=np.arange(size + 1) * len(columns),
    )
    return texts, -(angle**2 + 0.1 * velocity**2 + 0.001 * torque**2).astype(np.float32)


MIXED = TextBatch.concatenate(
    [
        pendulum(3, 0)[0],
        pendulum(3, 1, ENDS)[0],
        TextBatch.from_strings(["The light is red.", "灯是红的， 亮度 3.5。", "", "7"]),
    ]
)


def make(seed=1, **options):
    model = Seq2SeqRewardModel.create(seed=seed, **{**TINY, **options})
    model.prepare(MIXED)
    return model


class TestSlots(RewardModelContract):
    def make_model(self):
        return make()

    def make_other(self):
        return make(seed=2)


class TestDigits(RewardModelContract):
    def make_model(self):
        return make(fusion="digits")

    def make_other(self):
        return make(fusion="slots")


class TestOfOneCard(RewardModelContract):
    def make_model(self):
        model = make()
        model.card_hash = "0123456789abcdef"
        return model

    def texts(self):
        return pendulum(5, 2)[0]

    test_saved_and_loaded = None  # as above, and another process costs seconds


SHARED = {fusion: make(fusion=fusion) for fusion in ("slots", "digits")}


@pytest.mark.parametrize("fusion", ["slots", "digits"])
@given(rows=st.lists(st.integers(0, len(MIXED) - 1), min_size=1, max_size=20), micro_batch=st.integers(1, 8))
@settings(max_examples=15)
def test_a_score_depends_on_nothing_but_the_text(fusion, rows, micro_batch):
    model = SHARED[fusion]
    alone = np.concatenate([model.predict(MIXED[[i]]).mean for i in range(len(MIXED))])
    model.micro_batch = micro_batch
    np.testing.assert_allclose(model.predict(MIXED[rows]).mean, alone[rows], atol=1e-5, rtol=0)


@pytest.mark.parametrize("fusion", ["slots", "digits"])
def test_training_mode_without_dropout_scores_alike(fusion):
    """With gradients PyTorch takes another road through attention than without."""
    model = make(fusion=fusion).train()
    with_gradient = model(encode(MIXED))[:, 0].detach().numpy()
    np.testing.assert_allclose(with_gradient, model.predict(MIXED).mean, atol=1e-5, rtol=0)


@pytest.mark.parametrize("fusion", ["slots", "digits"])
def test_values_sign_place_and_words_count(fusion):
    texts = ["a: 1.50, b: 2.00", "a: 2.00, b: 1.50", "a: -1.50, b: 2.00", "a: 1.51, b: 2.00", "a: 1.50, c: 2.00"]
    mean = make(fusion=fusion).predict(texts).mean
    assert len(np.unique(mean)) == len(texts)


@pytest.mark.parametrize(
    ("text", "numbers", "places"),
    [
        ("State: 0.5 and 2", [0.5, 2.0], [3, 7]),  # S|tate|:|_ and _a|n|d|_
        ("7", [7.0], [0]),  # nothing stands before it: a token of its own
        ("7 8", [7.0, 8.0], [0, 1]),
    ],
)
def test_a_number_is_added_to_the_token_before_it(text, numbers, places):
    model = make()
    inputs = encode(TextBatch.from_strings([text]))
    embedded, lengths = model._embed_slots(inputs)
    ids, slots = model._join(inputs.templates[0])
    assert lengths.tolist() == [len(ids)]
    assert slots == places
    assert (ids[0] == NUMBER) == text.startswith("7")
    assert ids.count(NUMBER) == ids[:1].count(NUMBER)
    by_hand = model.embedding.weight[torch.tensor(ids)] + sinusoids(len(ids), 32)
    by_hand[slots] += model.numbers(torch.tensor(numbers))
    torch.testing.assert_close(embedded[0], by_hand)


def test_digits_are_signed_and_single():
    model = make(fusion="digits")
    template = TextBatch.from_strings(["x: -0.25, y: 13"]).templates[0]
    ids, slots = model._join(template, [-0.25, 13.0])
    first, last = slots
    assert ids[first - 4 : first + 1] == [SIGN[c] for c in "-0.25"]
    assert ids[last - 2 : last + 1] == [SIGN[c] for c in "+13"]


def test_every_weight_learns():
    model = make().train()
    model(encode(MIXED)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_layers_do_not_start_as_copies():
    layers = make().encoder.layers
    assert not torch.equal(layers[0].linear1.weight, layers[1].linear1.weight)


def test_it_learns_a_pendulum_from_200_ratings():
    train, ratings = pendulum(200, 1)
    unseen, truth = pendulum(500, 2)
    model = Seq2SeqRewardModel.create(seed=0, **TINY)
    model.prepare(train)
    model.offset.fill_(float(ratings.mean()))
    model.scale.fill_(float(ratings.std()))
    target = torch.from_numpy((ratings - ratings.mean()) / ratings.std())
    steps, rng = 100, np.random.default_rng(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.1)
    model.train()
    for _ in range(steps):
        rows = rng.choice(200, 32, replace=False)
        loss = (model(encode(train[rows]))[:, 0] - target[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    predicted = model.predict(unseen).mean
    explained = 1 - np.square(predicted - truth).sum() / np.square(truth - truth.mean()).sum()
    assert explained > 0.9


def test_random_weights_come_from_the_seed_alone():
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = make(seed=5).digest
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(456)
    assert make(seed=5).digest == first != make(seed=6).digest


def test_dropout_never_blurs_a_score():
    model = make(dropout=0.5).train()
    assert np.array_equal(model.predict(MIXED).mean, model.predict(MIXED).mean)
    assert model.training


@pytest.mark.parametrize(
    ("preset", "vocabulary", "width", "hidden", "layers"),
    [("small", 2_000, 128, 256, 3), ("reference", 10_000, 256, 512, 4)],
)
def test_presets(preset, vocabulary, width, hidden, layers):
    model = create_reward_model("seq2seq", preset=preset)
    assert model.embedding.weight.shape == (vocabulary, width)
    assert len(model.encoder.layers) == len(model.decoder.layers) == layers
    assert {layer.linear1.out_features for layer in [*model.encoder.layers, *model.decoder.layers]} == {hidden}


def test_options_win_over_the_preset():
    model = create_reward_model("seq2seq", preset="reference", num_layers=1, vocab_size=600)
    assert model.embedding.weight.shape == (600, 256)
    assert len(model.encoder.layers) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vocabsize": 600}, "did you mean 'vocab_size'"),
        ({"preset": "refrence"}, "did you mean 'reference'"),
        ({"fusion": "slot"}, "'slots' or 'digits'"),
        ({"num_layers": "three"}, "'num_layers'"),
        ({"num_layers": 0}, "sizes are positive"),
        ({"embedding_dim": 30}, "even multiple of num_heads"),
        ({"vocab_size": 100}, "at least 512"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(ModelError, match=said):
        create_reward_model("seq2seq", **options)


@pytest.mark.parametrize("fusion", ["slots", "digits"])
def test_a_text_that_is_too_long_is_refused_with_advice(fusion):
    long = TextBatch.from_strings(["red " * 40 + "1.5"])
    model = Seq2SeqRewardModel.create(**TINY, max_tokens=20, fusion=fusion)
    with pytest.raises(ModelError, match="at most 20 tokens") as caught:
        model.predict(long)
    assert "raise max_tokens" in str(caught.value)
    model.prepare(long)  # now the phrase that stands in every text is one token
    assert len(model.predict(long)) == 1
    with pytest.raises(ModelError, match="at most 20 tokens"):
        model.predict(["blue " * 40])


def test_the_vocabulary_is_fixed_once():
    model = make()
    before = model.extra_texts()
    model.prepare(TextBatch.from_strings(["quite other words 1 2 3"]))
    assert model.extra_texts() == before


def test_the_digest_counts_the_tokenizer():
    one, other = Seq2SeqRewardModel.create(**TINY), Seq2SeqRewardModel.create(**TINY)
    assert one.digest == other.digest
    one.prepare(MIXED)
    assert one.digest != other.digest


def test_a_model_without_its_tokenizer_is_refused(tmp_path):
    model = make()
    for texts in ({}, {"tokenizer": "{}"}):
        said = {"model": "seq2seq", "config": model.describe()["config"], "card_hash": None}
        said["digest"] = digest_of({"model": "seq2seq", **said["config"]}, model.state_dict(), texts)
        write_model(tmp_path, said, model.state_dict(), texts)
        assert (tmp_path / MANIFEST).exists()
        with pytest.raises(ModelError, match="fit it again"):
            load_reward_model(tmp_path)


TOKENIZER = train_tokenizer([GOES_ON, ENDS, "状态: 灯是红的， 亮度: {:.1f}。", "状态: 灯是绿的， 亮度: {:.1f}。"], 700)
ODD = ["状态: 灯是蓝的。", "<pad><number><0x41>[MASK]", " two  spaces\t\n", "🤖 é \0 สวัสดี", "+-.0123456789", ""]


@given(st.one_of(st.text(), st.sampled_from(ODD)))
@settings(max_examples=100)
def test_nothing_is_unknown_and_decoding_gives_the_text_back(text):
    ids = TOKENIZER.encode(text).ids
    assert TOKENIZER.decode(ids, skip_special_tokens=False) == text
    assert not {PAD, NUMBER} & set(ids)


def test_trained_chinese_needs_no_bytes_and_new_characters_are_bytes():
    assert TOKENIZER.encode("灯是绿的").tokens == ["灯", "是", "绿", "的"]
    assert TOKENIZER.encode("蓝").tokens == ["<0xE8>", "<0x93>", "<0x9D>"]


@pytest.mark.parametrize("size", [512, 640, 2000])
def test_a_vocabulary_is_never_larger_than_asked(size):
    many = [f"{'abcdefgh'[i % 8]}{chr(0x4E00 + i)} tells about {'qrstuvwx'[i // 8 % 8] * 5}" for i in range(1600)]
    tokenizer = train_tokenizer(many, size)
    assert tokenizer.get_vocab_size() <= size
    assert max(tokenizer.encode(many[7] + "新").ids) < size


def test_training_a_tokenizer_twice_gives_the_same():
    templates = [GOES_ON, ENDS, *(f"the {w} light" for w in ("red", "green", "blue"))]
    assert train_tokenizer(templates, 700).to_str() == train_tokenizer(templates, 700).to_str()


def test_what_stands_in_every_text_is_one_token():
    tokenizer = train_tokenizer([GOES_ON, ENDS], 2000)
    lengths = [len(tokenizer.encode(piece).ids) for piece in split_template(GOES_ON)[0]]
    assert lengths[:-1] == [1] * 7
    assert tokenizer.encode(". The episode goes on.").tokens == [". The episode ", "goes", " on", "."]
    assert tokenizer.encode(". The episode terminated here.").tokens == [". The episode ", "terminated", " here", "."]


@pytest.mark.parametrize(
    ("texts", "phrases"),
    [
        ([("a red lamp", " on"), ("a red door", " on")], ["a red "]),
        ([("it is red: ", ", size: ", "."), ("it is blue: ", ", size: ", ".")], [", size: ", "it is "]),
        ([("one two", "three four")], ["three four", "one two"]),
        ([("one two",), ("three",)], []),
        ([("x y", " z"), ("x y z",)], ["x y"]),  # never across a slot
        ([], []),
    ],
)
def test_shared_phrases(texts, phrases):
    assert shared_phrases(texts) == phrases


def test_the_quick_way_to_read_one_query_is_the_decoders():
    torch.manual_seed(0)
    layer = torch.nn.TransformerDecoderLayer(16, 4, 32, 0.0, activation="gelu", batch_first=True, norm_first=True)
    decoder = torch.nn.TransformerDecoder(layer, 3, norm=torch.nn.LayerNorm(16))
    with torch.no_grad():
        for parameter in decoder.parameters():  # biases too, which start at zero
            parameter += 0.3 * torch.randn_like(parameter)
    query, memory = torch.randn(1, 16, requires_grad=True), torch.randn(5, 7, 16, requires_grad=True)
    padding = torch.arange(7) >= torch.tensor([7, 3, 1, 6, 7])[:, None]
    inputs = [query, memory, *decoder.parameters()]
    for mask in (None, padding):
        expected = decoder(query.expand(5, 1, 16), memory, memory_key_padding_mask=mask)[:, 0]
        answer = answer_of(decoder, query, memory, mask)
        torch.testing.assert_close(answer, expected, atol=1e-5, rtol=1e-4)
        gradients, by_decoder = (torch.autograd.grad(out[:, 0].sum(), inputs) for out in (answer, expected))
        torch.testing.assert_close(gradients, by_decoder, atol=1e-4, rtol=1e-4)


def test_dropout_acts_in_the_decoder_while_training():
    model = make(dropout=0.5).train()
    for layer in model.encoder.layers:
        layer.eval()
    inputs = encode(MIXED)
    assert not torch.equal(model(inputs), model(inputs))
