"""Language models of a few kilobytes, made on the spot: an encoder (BERT) and a causal one (Llama, GPT-2)."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

CORPUS = [
    "cart position in m: 0.25, pole angle in rad: -0.04. Action: push left. The episode goes on.",
    "Angle in rad: 0.52, torque: 1.25, speed: 3.",
    "状态: 高度 (米): 12.5， 速度: -3。 行动: 等待。",
]
SIZES = {"width": 16, "roles": 8}
"""Options of a small head."""


def save_causal(folder: Path, *, seed: int = 0, kind: str = "llama") -> Path:
    """A random causal LM with a byte-level tokenizer and an opening token; Llama's has the head that predicts words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind == "llama":
            sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
            config = LlamaConfig(vocab_size=400, num_key_value_heads=2, max_position_embeddings=512, **sizes)
            # Wider than usual: states of a random LM must depend on words and numbers enough to be told apart.
            config.initializer_range = 0.2
            LlamaForCausalLM(config).save_pretrained(folder)
        else:
            GPT2Model(GPT2Config(vocab_size=400, n_embd=16, n_layer=2, n_head=2, n_positions=512)).save_pretrained(
                folder
            )
    fast.save_pretrained(folder)
    return folder


def save_encoder(folder: Path, *, seed: int = 0) -> Path:
    """A random BERT with a WordPiece tokenizer that reads bytes of two languages."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    split = pre_tokenizers.BertPreTokenizer()
    corpus = [*CORPUS, "abcdefghijklmnopqrstuvwxyz 0 1 2 3 4 5 6 7 8 9 + -"]
    words = {word for text in corpus for word, _ in split.pre_tokenize_str(text)}
    letters = set("".join(words))
    # Not trained: a trainer numbers what is equally frequent as it comes, so that no two processes have one model.
    pieces = [*special, *sorted(words | letters | {f"##{letter}" for letter in letters})]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = split
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="[MASK]", model_max_length=128, **names)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
        BertModel(BertConfig(vocab_size=400, initializer_range=0.2, **sizes)).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
