"""Comments: a line that begins with # vanishes, # inside a line cuts the line there. There is no escape."""

import re

LINES = re.compile(r"(?:\A|\n)#[^\n]*+(?:\n#[^\n]*+)*+(?:\n|\Z)")
REST_OF_LINE = re.compile(r"#[^\n]*+")


def without_comments(text: str) -> str:
    r"""A prompt without its comments.

    >>> without_comments("a cat\n# in the morning\non a mat # or a rug")
    'a cat\non a mat '
    """
    return REST_OF_LINE.sub("", LINES.sub("\n", text))
