"""Judgement: facts, register and dated policy in; verdicts and findings out. Pure and replayable."""
