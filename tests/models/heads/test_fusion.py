"""The late-fusion block against PyTorch's own attention."""

import torch
from torch import nn

from rmgym.models.heads.fusion import Block, FusionHead


def test_block_equals_torch_encoder_layer():
    torch.manual_seed(0)
    block = Block(16, 4, 32)
    layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0, activation="gelu", batch_first=True, norm_first=True)
    attention = layer.self_attn
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.cat([block.query.weight, block.key_value.weight]))
        attention.in_proj_bias.copy_(torch.cat([block.query.bias, block.key_value.bias]))
    attention.out_proj.load_state_dict(block.out.state_dict())
    layer.norm1.load_state_dict(block.norm_attention.state_dict())
    layer.norm2.load_state_dict(block.norm_feedforward.state_dict())
    layer.linear1.load_state_dict(block.up.state_dict())
    layer.linear2.load_state_dict(block.down.state_dict())
    tokens = torch.randn(3, 5, 16)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)
    expected = layer(tokens, src_key_padding_mask=~mask)
    torch.testing.assert_close(block(tokens, mask)[mask], expected[mask], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(block.first(tokens, mask), expected[:, 0], atol=1e-5, rtol=1e-5)


def test_the_first_token_alone_is_that_of_the_whole_block():
    torch.manual_seed(1)
    block, tokens = Block(32, 4, 64), torch.randn(6, 9, 32)
    for parameter in block.parameters():  # biases too, which start at zero or near it
        parameter.data += torch.randn_like(parameter)
    mask = torch.rand(6, 9) < 0.6
    mask[:, 0] = True
    for given in (mask, None):
        torch.testing.assert_close(block.first(tokens, given), block(tokens, given)[:, 0], atol=1e-4, rtol=1e-4)


def test_order_of_slots_does_not_matter_but_their_meaning_does():
    """A number is known by what the language model made of its slot, not by its position."""
    torch.manual_seed(0)
    head = FusionHead(12, 16, 2, 4, (-1, 0))
    slots, text = torch.randn(1, 3, 12), torch.randn(1, 12)
    values, index = torch.tensor([[0.1, 0.7, -0.4]]), torch.zeros(1, dtype=torch.int64)
    reward = head(slots, text, index, values, None)
    order = [2, 0, 1]
    torch.testing.assert_close(head(slots[:, order], text, index, values[:, order], None), reward)
    assert (head(slots[:, order], text, index, values, None) - reward).abs() > 1e-5
