"""What a run leaves behind: the public summary, the statistics in it, and the raw samples."""
