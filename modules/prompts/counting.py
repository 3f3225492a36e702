"""How long a prompt is, as the page shows it."""

from collections.abc import Mapping

from modules.prompts.chunks import COMMA_BACKTRACK, NO_EMBEDDINGS, count
from modules.prompts.comments import without_comments
from modules.prompts.composition import split_and
from modules.prompts.networks import cut_networks
from modules.prompts.schedule import schedule
from modules.prompts.tokens import Tokenizer

MOST_TEXTS = 50  # an alternation has a text for every step; it is counted while somebody types


def longest_count(
    prompt: str,
    tokenizer: Tokenizer,
    *,
    steps: int = 20,
    positive: bool = True,
    emphasis: str = "Original",
    comma_backtrack: int = COMMA_BACKTRACK,
    embeddings: Mapping[str, int] = NO_EMBEDDINGS,
) -> tuple[int, int]:
    """Tokens, and the end of the last chunk, of the longest text that the prompt gives in any step.

    Comments and network tags do not count. A negative prompt is not split at AND.
    """
    text, _ = cut_networks(without_comments(prompt))
    parts = [part.text for part in split_and(text)] if positive else [text]
    texts = {interval.text: None for part in parts for interval in schedule(part, steps)}
    return max(
        count(one, tokenizer, emphasis=emphasis, comma_backtrack=comma_backtrack, embeddings=embeddings)
        for one in sorted(texts, key=len, reverse=True)[:MOST_TEXTS]
    )
