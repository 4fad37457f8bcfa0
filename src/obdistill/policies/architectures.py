"""The forms of the policies that are trained on pairs. No torch here: settings are checked against these names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """Hidden widths, and skips that add one hidden layer's output to a later one's.

    Attributes
    ----------
    hidden_widths : tuple of int
        Width of each hidden layer; ``(256, 256, 256)`` is the paper's "4-layer" network (4 linear layers).
    skips : tuple of (int, int)
        ``(i, j)`` adds the output of hidden layer i to that of hidden layer j, after its ReLU (1-based, i < j, equal
        widths, one skip at most into a layer).
    """

    hidden_widths: tuple[int, ...]
    skips: tuple[tuple[int, int], ...] = ()

    def widths(self, state_dim: int, action_dim: int) -> list[int]:
        """Return the widths of all L + 1 layers of units, input and output included."""
        return [state_dim, *self.hidden_widths, action_dim]


# "k-layer" counts linear layers, as the paper does; the residual network has its two middle layers in a block
ARCHITECTURES = {
    "mlp_2": Architecture((256,)),
    "mlp_2_512": Architecture((512,)),
    "mlp_2_1024": Architecture((1024,)),
    "mlp_2_16384": Architecture((16384,)),  # for random features
    "mlp_3": Architecture((256, 256)),
    "mlp_4": Architecture((256, 256, 256)),
    "mlp_5": Architecture((256, 256, 256, 256)),
    "mlp_6": Architecture((256, 256, 256, 256, 256)),
    "residual": Architecture((256, 256, 256), ((1, 3),)),
}
