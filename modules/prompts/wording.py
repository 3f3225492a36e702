"""The English of captions: articles, what is worn, styles. Who writes captions and who reads pictures say the same."""

COLOURED_WEAR = ("hat", "scarf", "bow")  # what is worn in a colour of its own
WEARING = ("wearing", "astronaut")  # one of these words is in every caption that names what is worn
MADE_OF = ("painting", "sketch", "illustration")  # styles that a picture is one of; others are named at the end
USUAL_STYLE = "photo"  # a caption does not name it


def with_article(words: str) -> str:
    """Put 'a' or 'an' before a noun phrase.

    >>> with_article("orange cat"), with_article("sks cat"), with_article("")
    ('an orange cat', 'a sks cat', '')
    """
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}" if words else ""


def wearing(wear: str, colour: str = "") -> str:
    """
    >>> wearing("hat", "orange"), wearing("astronaut helmet"), wearing("glasses"), wearing("")
    ('wearing an orange hat', 'wearing an astronaut helmet', 'wearing glasses', '')
    """
    if not wear:
        return ""
    words = f"{colour} {wear}".strip()
    return f"wearing {words if wear == 'glasses' else with_article(words)}"


def in_style(words: str, style: str) -> str:
    """
    >>> in_style("a red cat", "sketch"), in_style("a red cat", "pixel art"), in_style("a red cat", "photo")
    ('a sketch of a red cat', 'a red cat, pixel art', 'a red cat')
    """
    if style == USUAL_STYLE:
        return words
    return f"{with_article(style)} of {words}" if style in MADE_OF else f"{words}, {style}"
