"""From a data set to a model: task, step size, epochs, checkpoint, prediction, plan."""
