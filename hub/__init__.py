"""To the Hugging Face Hub and back: what leaves, under which names, and what must not."""
