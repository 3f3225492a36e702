"""Level 1, text: what a prompt says, as pieces, tokens and chunks, and the text stored in a picture. No torch."""
