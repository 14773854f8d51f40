"""Distribution Transformers: networks that map a prior and an observation to a posterior."""
