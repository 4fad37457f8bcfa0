"""What all tests share."""

import torch

# two threads that wait for each other on a busy machine cost more than one
torch.set_num_threads(1)
