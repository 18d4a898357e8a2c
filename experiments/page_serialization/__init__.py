"""How should a cached page be written down? Codecs compared, and the original's failure shown (README.md)."""
