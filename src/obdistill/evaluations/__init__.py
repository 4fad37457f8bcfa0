"""From a synset to returns."""
