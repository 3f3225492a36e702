"""What an embedding begins with: the rows of a word's tokens (Gal et al. 2022, arXiv:2208.01618, §4.1)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from modules.core.training import TrainingPlan
from modules.prompts.tokens import Tokenizer

NO_WORD = "*"  # what the field begins with when there is no word


def initial_tokens(plan: TrainingPlan, tokenizer: Tokenizer) -> list[int]:
    """The tokens of the initializer, else of the class noun; of a word without meaning when there is neither."""
    for text in (plan.initializer_token, plan.class_noun, NO_WORD):
        tokens = tokenizer.encode(text.strip())
        if tokens:
            return tokens
    raise ValueError("the tokenizer has no token for an asterisk")


def initial_rows(table: Tensor, tokens: Sequence[int], vectors: int) -> Tensor:
    """(v, d), float32, from the table of token embeddings (n, d).

    With as many vectors as tokens or more, the tokens are spread over the vectors, each for about equally many; with
    fewer, each vector is the mean of its share of them.

    >>> initial_rows(torch.tensor([[0.0], [2.0], [4.0]]), [1, 2], 1).tolist()
    [[3.0]]
    >>> initial_rows(torch.tensor([[0.0], [2.0], [4.0]]), [1, 2], 4).tolist()
    [[2.0], [2.0], [4.0], [4.0]]
    """
    rows = table.detach()[torch.tensor(tokens, device=table.device)].float()
    count = len(tokens)
    if vectors >= count:
        return torch.stack([rows[place * count // vectors] for place in range(vectors)])
    edges = [place * count // vectors for place in range(vectors + 1)]
    return torch.stack([rows[begin:end].mean(dim=0) for begin, end in pairwise(edges)])
