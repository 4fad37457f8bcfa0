"""From a dataset, a near-expert and an objective to a synset."""
