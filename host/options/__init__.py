"""Options of a training, and the losses and engines that they name."""
